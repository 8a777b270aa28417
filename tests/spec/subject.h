/*
 * subject.h - the parts of specsubject: sessions, settings and command line (subject.c), what is done
 * with a stream (subject_verbs.c), what readers saw (subject_outcomes.c).
 */
#ifndef SPEC_SUBJECT_H
#define SPEC_SUBJECT_H

#include <smux/smux.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define SUBJECT_LINE 128

/** A session and what its streams share. */
struct room {
    smux_session *session;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned running; /**< threads of streams */
    unsigned pauses;  /**< streams that asked for no more accepting */
    bool released;    /**< held streams may go on */
    bool over;        /**< the session has ended */
    bool ending;      /**< we were asked to end it */
};

/** Tells of a fault of ours, which decides the exit code. */
void fault(const char *text);
void thread_start(void *(*run)(void *arg), void *arg);
struct timespec time_after(unsigned long ms);

/** Writes connections=N and NAME=VALUE of what is set. */
void settings_tell(char *text, size_t size);

/** Serves a stream in a thread of its own. With a greeting it was opened by us, and that is what is
 *  written first. */
void visit_start(struct room *room, smux_stream *stream, const char *greeting);

/** Keeps under a token what the reader of a stream saw: how many bytes, and how it ended. */
void outcome_put(const char *token, uint64_t bytes, int status);
/** Waits a while for it; "unknown" when it does not come. Texts stay for good. */
const char *outcome_get(const char *token);

#endif
