#include "app.h"

#include "interop/workers.h"

#include <stdlib.h>
#include <string.h>

enum {
    PIECE = 16 << 10
};

/* --- one item ----------------------------------------------------------------------------- */

static int echo(const struct app *app, void *item)
{
    uint8_t buf[PIECE];
    size_t len;
    int status;
    do {
        status = app->ops->read(item, buf, sizeof buf, &len);
        if (status == 0) {
            status = app->ops->write(item, buf, len);
        }
    } while (status == 0);
    return status;
}

static int send_for_ever(const struct app *app, void *item)
{
    uint8_t buf[PIECE];
    int status;
    memset(buf, 'S', sizeof buf);
    do {
        status = app->ops->write(item, buf, sizeof buf);
    } while (status == 0);
    return status;
}

static int drain(const struct app *app, void *item)
{
    uint8_t buf[PIECE];
    size_t len;
    int status;
    app->ops->shutdown(item);
    do {
        status = app->ops->read(item, buf, sizeof buf, &len);
    } while (status == 0);
    return status;
}

static void hold(struct app *app, struct app_item *at)
{
    pthread_mutex_lock(&app->lock);
    at->next = app->held;
    app->held = at;
    pthread_mutex_unlock(&app->lock);
}

static void finish(const struct app *app, struct app_item *at, int status)
{
    app->ops->close(at->item);
    free(at);
    if (app->ended != NULL) {
        app->ended(app->arg, status);
    }
}

static void serve(struct app *app, struct app_item *at)
{
    char what = 0;
    size_t len;
    int status = app->ops->read(at->item, &what, 1, &len);
    if (status == 0 && what == 'H' && app->ops->hold == NULL) {
        hold(app, at);
        return;
    }
    if (status == 0 && what == 'H') {
        app->ops->hold(at->item);
    } else if (status == 0) {
        status = what == 'S'   ? send_for_ever(app, at->item)
                 : what == 'F' ? drain(app, at->item)
                               : echo(app, at->item);
    }
    finish(app, at, status);
}

/* --- workers ------------------------------------------------------------------------------ */

/** The next item; NULL when all is over. */
static struct app_item *take(struct app *app)
{
    struct app_item *at;
    pthread_mutex_lock(&app->lock);
    app->n_idle++;
    while (app->waiting == NULL && !app->over) {
        pthread_cond_wait(&app->changed, &app->lock);
    }
    app->n_idle--;
    at = app->waiting;
    if (at != NULL) {
        app->waiting = at->next;
        app->n_waiting--;
        if (app->waiting == NULL) {
            app->waiting_end = &app->waiting;
        }
    }
    pthread_mutex_unlock(&app->lock);
    return at;
}

static void *work(void *arg)
{
    struct app *app = arg;
    struct app_item *at;
    while ((at = take(app)) != NULL) {
        serve(app, at);
    }
    pthread_mutex_lock(&app->lock);
    app->n_workers--;
    pthread_cond_broadcast(&app->changed);
    pthread_mutex_unlock(&app->lock);
    return NULL;
}

void app_init(struct app *app, const struct app_ops *ops, uint32_t max_workers)
{
    memset(app, 0, sizeof *app);
    app->ops = ops;
    app->max_workers = max_workers;
    app->waiting_end = &app->waiting;
    pthread_mutex_init(&app->lock, NULL);
    pthread_cond_init(&app->changed, NULL);
}

void app_add(struct app *app, void *item)
{
    struct app_item *at = malloc(sizeof *at);
    if (at == NULL) {
        abort();
    }
    *at = (struct app_item){item, NULL};
    pthread_mutex_lock(&app->lock);
    *app->waiting_end = at;
    app->waiting_end = &at->next;
    app->n_waiting++;
    bool more = app->n_waiting > app->n_idle && app->n_workers < app->max_workers;
    app->n_workers += more;
    pthread_cond_signal(&app->changed);
    pthread_mutex_unlock(&app->lock);
    if (more) {
        pthread_detach(worker_start(work, app));
    }
}

void app_finish(struct app *app)
{
    pthread_mutex_lock(&app->lock);
    app->over = true;
    pthread_cond_broadcast(&app->changed);
    while (app->n_workers > 0) {
        pthread_cond_wait(&app->changed, &app->lock);
    }
    pthread_mutex_unlock(&app->lock);
    while (app->held != NULL) {
        struct app_item *at = app->held;
        app->held = at->next;
        finish(app, at, 0);
    }
    pthread_cond_destroy(&app->changed);
    pthread_mutex_destroy(&app->lock);
}
