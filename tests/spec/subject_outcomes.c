/*
 * subject_outcomes.c - what a reader saw, to be asked for in another session.
 */
#include "subject.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUTCOME_MS 5000

struct outcome {
    struct outcome *next;
    char token[SUBJECT_LINE];
    char text[SUBJECT_LINE];
};

static struct outcome *g_outcomes;
static pthread_mutex_t g_outcomes_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t g_outcomes_changed = PTHREAD_COND_INITIALIZER;

void outcome_put(const char *token, uint64_t bytes, int status)
{
    struct outcome *o = calloc(1, sizeof *o);

    if (o == NULL) {
        abort();
    }
    snprintf(o->token, sizeof o->token, "%s", token);
    snprintf(o->text, sizeof o->text, "bytes=%llu end=%s why=%s\n", (unsigned long long)bytes,
             status == SMUX_EOF ? "eof" : "error", smux_status_name(status));
    pthread_mutex_lock(&g_outcomes_lock);
    o->next = g_outcomes;
    g_outcomes = o;
    pthread_cond_broadcast(&g_outcomes_changed);
    pthread_mutex_unlock(&g_outcomes_lock);
}

static const char *outcome_find(const char *token)
{
    for (const struct outcome *o = g_outcomes; o != NULL; o = o->next) {
        if (strcmp(o->token, token) == 0) {
            return o->text;
        }
    }
    return NULL;
}

const char *outcome_get(const char *token)
{
    struct timespec until = time_after(OUTCOME_MS);
    const char *text;
    int rc = 0;

    pthread_mutex_lock(&g_outcomes_lock);
    while ((text = outcome_find(token)) == NULL && rc == 0) {
        rc = pthread_cond_timedwait(&g_outcomes_changed, &g_outcomes_lock, &until);
    }
    pthread_mutex_unlock(&g_outcomes_lock);
    return text != NULL ? text : "unknown\n";
}
