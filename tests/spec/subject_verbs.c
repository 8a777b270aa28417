/*
 * subject_verbs.c - a stream: echoed, or served by the verb that it begins with; README.md has the
 * verbs.
 */
#include "subject.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK = 64 << 10,
    PIECE = 4096 /**< of a write: small ones are queued, large ones wait for the transport */
};

/** A stream and the thread that serves it. */
struct visit {
    struct room *room;
    smux_stream *stream;
    bool opened;             /**< by us */
    char line[SUBJECT_LINE]; /**< opened: what to write first; else the line that was read */
    char *arguments;         /**< behind the verb */
    uint8_t buf[CHUNK];
};

/* --- pieces of verbs ------------------------------------------------------------------------ */

__attribute__((format(printf, 2, 3))) static void say(struct visit *v, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    smux_stream_write(v->stream, text, strlen(text), NULL);
}

/** The content of what the verbs write, byte by byte; never an exclamation mark. */
static int write_pattern(struct visit *v, uint64_t n)
{
    uint64_t at = 0;
    int status = SMUX_OK;

    while (at < n && status == SMUX_OK) {
        size_t len = n - at < PIECE ? (size_t)(n - at) : PIECE;

        for (size_t i = 0; i < len; i++, at++) {
            v->buf[i] = (uint8_t)(0x80 | (at ^ at >> 8 ^ at >> 16));
        }
        status = smux_stream_write(v->stream, v->buf, len, NULL);
    }
    return status;
}

/** Reads to the end, counts, returns the status of the end. */
static int drain(struct visit *v, uint64_t *out_bytes)
{
    size_t n = 0;
    int status = SMUX_OK;

    for (*out_bytes = 0; status == SMUX_OK; *out_bytes += n) {
        status = smux_stream_read(v->stream, v->buf, CHUNK, &n);
    }
    return status;
}

static void echo(struct visit *v)
{
    size_t n = 0;

    while (smux_stream_read(v->stream, v->buf, CHUNK, &n) == SMUX_OK &&
           smux_stream_write(v->stream, v->buf, n, NULL) == SMUX_OK) {
    }
}

/** Waits for the verb release, or the end of the session, or `ms` if not 0; tells whether it was
 *  none of the last. */
static bool await_release(struct room *room, unsigned long ms)
{
    struct timespec until = time_after(ms);
    int rc = 0;

    pthread_mutex_lock(&room->lock);
    while (!room->released && !room->over && rc == 0) {
        rc = ms > 0 ? pthread_cond_timedwait(&room->changed, &room->lock, &until)
                    : pthread_cond_wait(&room->changed, &room->lock);
    }
    pthread_mutex_unlock(&room->lock);
    return rc == 0;
}

/* --- verbs ---------------------------------------------------------------------------------- */

static void *visit_thread(void *arg);
static void verb_hello(struct visit *v);

void visit_start(struct room *room, smux_stream *stream, const char *greeting)
{
    struct visit *v = calloc(1, sizeof *v);

    if (v == NULL) {
        abort();
    }
    v->room = room;
    v->stream = stream;
    v->opened = greeting != NULL;
    snprintf(v->line, sizeof v->line, "%s", greeting != NULL ? greeting : "");
    pthread_mutex_lock(&room->lock);
    room->running++;
    pthread_mutex_unlock(&room->lock);
    thread_start(visit_thread, v);
}

static void verb_open(struct visit *v)
{
    char *greeting;
    unsigned long n = strtoul(v->arguments, &greeting, 10);
    smux_stream *stream;

    greeting += *greeting == ' ';
    for (unsigned long i = 0; i < n; i++) {
        if (smux_session_open(v->room->session, &stream) == SMUX_OK) {
            visit_start(v->room, stream, greeting);
        }
    }
    say(v, "ok\n");
}

/** Tells under its second argument, if there is one, that all has been taken. */
static void verb_send(struct visit *v)
{
    char *token;
    uint64_t n = strtoull(v->arguments, &token, 10);
    int status = write_pattern(v, n);

    if (*token == ' ') {
        outcome_put(token + 1, n, status == SMUX_OK ? SMUX_EOF : status);
    }
    smux_stream_shutdown(v->stream);
    drain(v, &n);
}

static void verb_close(struct visit *v)
{
    write_pattern(v, strtoull(v->arguments, NULL, 10));
}

static void verb_abort(struct visit *v)
{
    write_pattern(v, strtoull(v->arguments, NULL, 10));
    smux_stream_abort(v->stream);
}

static void verb_hold(struct visit *v)
{
    if (await_release(v->room, strtoul(v->arguments, NULL, 10))) {
        echo(v);
    }
}

static void verb_release(struct visit *v)
{
    pthread_mutex_lock(&v->room->lock);
    v->room->released = true;
    pthread_cond_broadcast(&v->room->changed);
    pthread_mutex_unlock(&v->room->lock);
    say(v, "ok\n");
}

static void verb_sink(struct visit *v)
{
    uint64_t n;
    int status = drain(v, &n);

    outcome_put(v->arguments, n, status);
    say(v, "end %llu\n", (unsigned long long)n);
}

static void verb_half(struct visit *v)
{
    uint64_t n;
    int status;

    smux_stream_shutdown(v->stream);
    await_release(v->room, 0);
    status = drain(v, &n);
    outcome_put(v->arguments, n, status);
}

static void verb_twice(struct visit *v)
{
    uint64_t n;

    drain(v, &n);
    say(v, "end %llu\n", (unsigned long long)n);
    await_release(v->room, 0);
    drain(v, &n);
    say(v, "late %llu\n", (unsigned long long)n);
}

static void verb_outcome(struct visit *v)
{
    say(v, "%s", outcome_get(v->arguments));
}

static void verb_noaccept(struct visit *v)
{
    pthread_mutex_lock(&v->room->lock);
    v->room->pauses++;
    pthread_mutex_unlock(&v->room->lock);
    say(v, "ok\n");
    echo(v);
    pthread_mutex_lock(&v->room->lock);
    v->room->pauses--;
    pthread_cond_broadcast(&v->room->changed);
    pthread_mutex_unlock(&v->room->lock);
}

static void verb_end(struct visit *v)
{
    pthread_mutex_lock(&v->room->lock);
    v->room->ending = true;
    pthread_mutex_unlock(&v->room->lock);
    smux_session_set_accept_deadline(v->room->session, 1);
    echo(v);
}

static const struct verb {
    const char *name;
    void (*run)(struct visit *v);
} k_verbs[] = {
    {"hello", verb_hello},     {"open", verb_open},       {"send", verb_send},
    {"close", verb_close},     {"abort", verb_abort},     {"hold", verb_hold},
    {"half", verb_half},       {"sink", verb_sink},       {"twice", verb_twice},
    {"end", verb_end},         {"outcome", verb_outcome}, {"noaccept", verb_noaccept},
    {"release", verb_release},
};

#define NUM_VERBS (sizeof k_verbs / sizeof k_verbs[0])

static void verb_hello(struct visit *v)
{
    char verbs[256] = "";
    char settings[512];

    for (size_t i = 0; i < NUM_VERBS; i++) {
        strcat(strcat(verbs, i > 0 ? "," : ""), k_verbs[i].name);
    }
    settings_tell(settings, sizeof settings);
    say(v, "name=libsmux-%s verbs=%s %s\n", smux_version(), verbs, settings);
}

/* --- a stream ------------------------------------------------------------------------------- */

/** Reads the line behind the exclamation mark. */
static bool read_line(struct visit *v)
{
    size_t n = 0;

    for (size_t at = 0; at + 1 < SUBJECT_LINE; at++) {
        if (smux_stream_read(v->stream, v->line + at, 1, &n) != SMUX_OK) {
            return false;
        }
        if (v->line[at] == '\n') {
            v->line[at] = '\0';
            v->arguments = v->line + strcspn(v->line, " ");
            if (*v->arguments != '\0') {
                *v->arguments++ = '\0';
            }
            return true;
        }
    }
    return false;
}

static void obey(struct visit *v)
{
    for (size_t i = 0; i < NUM_VERBS; i++) {
        if (strcmp(v->line, k_verbs[i].name) == 0) {
            k_verbs[i].run(v);
            return;
        }
    }
    say(v, "no verb %s\n", v->line);
}

static void visit_accepted(struct visit *v)
{
    size_t n = 0;

    if (smux_stream_read(v->stream, v->buf, 1, &n) != SMUX_OK) {
        return;
    }
    if (v->buf[0] == '!') {
        if (read_line(v)) {
            obey(v);
        }
    } else if (smux_stream_write(v->stream, v->buf, 1, NULL) == SMUX_OK) {
        echo(v);
    }
}

static void visit_opened(struct visit *v)
{
    smux_stream_write(v->stream, v->line, strlen(v->line), NULL);
    echo(v);
}

static void *visit_thread(void *arg)
{
    struct visit *v = arg;
    struct room *room = v->room;

    if (v->opened) {
        visit_opened(v);
    } else {
        visit_accepted(v);
    }
    smux_stream_close(v->stream);
    free(v);
    pthread_mutex_lock(&room->lock);
    room->running--;
    pthread_cond_broadcast(&room->changed);
    pthread_mutex_unlock(&room->lock);
    return NULL;
}
