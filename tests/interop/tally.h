/*
 * tally.h - what a command did and what went wrong, and the line of JSON that tells it.
 */
#ifndef INTEROP_TALLY_H
#define INTEROP_TALLY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    TALLY_TEXT = 256,
    TALLY_EXTRA = 16
};

/** Counters of a run; all functions are safe from any thread. */
struct tally {
    atomic_uint_fast64_t streams;
    atomic_uint_fast64_t bytes; /**< payload that was checked or counted */
    atomic_uint_fast64_t errors;
    atomic_uint_fast64_t sessions;
    atomic_uint_fast64_t session_errors; /**< sessions that did not end in the ordinary way */
    atomic_uint_fast32_t lost;           /**< streams whose greeting or end did not come */
    pthread_mutex_t lock;                /**< of the fields below */
    unsigned logged;
    char first[TALLY_TEXT];        /**< first failure */
    const char *session_status;    /**< name of the status of the last bad session */
    char session_text[TALLY_TEXT]; /**< and its explanation */
    struct {
        const char *name;
        uint64_t value;
    } extra[TALLY_EXTRA];
    unsigned n_extra;
};

void tally_init(struct tally *tally);

/** Writes a line to standard error; only the first twenty, a flood helps nobody. */
void tally_note(struct tally *tally, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Counts a failure, keeps the text of the first; returns false. */
bool tally_fail(struct tally *tally, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Records how a session ended out of order. */
void tally_session_error(struct tally *tally, int status, const char *text);

/** Adds a figure to the report; the name must stay. */
void tally_set(struct tally *tally, const char *name, uint64_t value);

/** Prints the report; returns whether there was no failure. */
bool tally_report(struct tally *tally, const char *command, double seconds);

#endif
