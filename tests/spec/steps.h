/*
 * steps.h - what cases do again and again, in a line each.
 */
#ifndef SPEC_STEPS_H
#define SPEC_STEPS_H

#include "conn.h"
#include "sabotage.h"

/** An echo on a stream of its own: the session lives, and the subject has dealt with all that was
 *  sent before. */
void fence(struct conn *c);

/** A fence, time for slow reactions, another fence: what has not come now does not come. */
void settle(struct conn *c);

/** Returns how much the subject lets us send now. */
uint64_t allowance(const struct conn *c, const struct stream *s);

/** Sends `len` bytes of the pattern in frames of up to `frame_len`, within the window that
 *  the subject grants, and receives meanwhile. */
void send_data(struct conn *c, struct stream *s, size_t len, size_t frame_len);

/** All that was sent, and nothing else, has come back. */
void await_echo(struct conn *c, struct stream *s);

/** The text has come back. */
void await_text(struct conn *c, struct stream *s, const char *text);

/** Sends a text on a new stream, waits for its echo, leaves the stream open. */
struct stream *open_echo(struct conn *c);

/** The subject has ended the stream. */
void await_fin(struct conn *c, struct stream *s);

/** The subject has closed the connection. */
void await_end(struct conn *c);

/** The same at once, or in a time that a clause names. */
void expect_end_within(struct conn *c, unsigned ms);

/** Returns a time for what happens at once, shorter than that after which silence is death. */
unsigned soon(const struct conn *c);

/** The session is dead: a new stream is not echoed, whether the connection was closed or not. */
void expect_dead(struct conn *c);

/** Opens a stream with a line for the subject, "send 1000". */
struct stream *command(struct conn *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** The answer of a command, up to the end of its stream; valid while the stream is. */
const char *answer(struct conn *c, struct stream *s);

/** The same up to the end of a line; more may follow. */
const char *answer_line(struct conn *c, struct stream *s);

/** Lets all held streams of the session go on. */
void release(struct conn *c);

/** Waits until the subject has opened `n` streams in all; returns the last one. */
struct stream *await_opened(struct conn *c, unsigned n);

/** The first `len` bytes that came on the stream are the pattern of the verbs. */
void expect_pattern(struct conn *c, const struct stream *s, uint64_t len);

/** Asks in a further session what a reader saw, "bytes=N end=eof why=..."; also in c->text. */
const char *outcome(struct conn *c, const char *token);

/** What it saw begins like this. */
void expect_outcome(struct conn *c, const char *token, const char *text);

/** Sends a UPD; from then on the case alone grants window to this stream. */
void grant(struct conn *c, struct stream *s, uint32_t consumed, uint32_t window);

/** Exactly `n` bytes come on the stream for now. */
void expect_got(struct conn *c, struct stream *s, uint64_t n);

/** A number the subject told about itself, 0 if it did not. */
unsigned long setting(const struct conn *c, const char *name);

/** A token that no other case uses. */
const char *fresh_token(struct conn *c);

#endif
