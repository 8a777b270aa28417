/*
 * app.h - the application of a victim. The first byte on a stream or connection says what is done
 * with it:
 *
 *   E   echo the rest
 *   H   hold: read nothing more, and keep it
 *   S   send without end
 *   F   end the own direction at once, and read the rest
 *
 * Each of them needs a worker, of which there are only so many; what comes on top waits, accepted
 * and unread, as it does in many a real program.
 */
#ifndef ATTACK_APP_H
#define ATTACK_APP_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** How the application speaks with a stream or connection. A result other than 0 is its end. */
struct app_ops {
    int (*read)(void *item, void *buf, size_t len, size_t *out_len);
    int (*write)(void *item, const void *data, size_t len);
    void (*shutdown)(void *item);
    void (*hold)(void *item); /**< waits until it breaks; NULL: held ones are only put aside */
    void (*close)(void *item);
};

struct app_item {
    void *item;
    struct app_item *next;
};

struct app {
    const struct app_ops *ops;
    void (*ended)(void *arg, int status); /**< told how each ended; may be NULL */
    void *arg;
    uint32_t max_workers;
    pthread_mutex_t lock; /**< of all below */
    pthread_cond_t changed;
    struct app_item *waiting;
    struct app_item **waiting_end;
    struct app_item *held;
    uint32_t n_workers;
    uint32_t n_idle;
    uint32_t n_waiting;
    bool over;
};

void app_init(struct app *app, const struct app_ops *ops, uint32_t max_workers);

/** Hands over a stream or connection. */
void app_add(struct app *app, void *item);

/** Closes everything that is still there. What blocks in read or write must have ended before. */
void app_finish(struct app *app);

#endif
