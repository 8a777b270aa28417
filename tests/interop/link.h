/*
 * link.h - where sessions and streams come from: a client's connection, a server's listener with
 * a thread for each session, and a thread for each accepted stream.
 */
#ifndef INTEROP_LINK_H
#define INTEROP_LINK_H

#include "options.h"
#include "tally.h"

#include <smux/session.h>

/** A run of one command. */
struct peer {
    const struct options *options;
    struct tally tally;
};

/** What is done with one accepted stream; false after tally_fail(). The stream is closed after
 *  it. */
typedef bool stream_work(struct peer *peer, smux_stream *stream);

/** What is done with one session of a server. The session is closed after it. */
typedef void session_work(struct peer *peer, smux_session *session);

/** Connects as a client. NULL after tally_fail(). */
smux_session *link_connect(struct peer *peer);

/** Closes a session in order; how it ended goes to the tally, and so does memory that is still
 *  charged to its budget [BKT-5] although no stream is open. */
void link_close(struct peer *peer, smux_session *session);

/** Opens a stream and counts it. NULL after tally_fail(). */
smux_stream *link_open(struct peer *peer, smux_session *session);

/** Runs `work` on one stream. */
void link_on_stream(struct peer *peer, smux_session *session, stream_work *work);

/** Opens `n` streams, `parallel` at a time, and runs `work` on each. */
void link_on_streams(struct peer *peer, smux_session *session, uint32_t n, uint32_t parallel,
                     stream_work *work);

/** Connects, runs `work` on `n` streams and closes. */
void link_run_client(struct peer *peer, uint32_t n, uint32_t parallel, stream_work *work);

/** Listens, prints the address and runs `work` on each session until the options say that it is
 *  enough. */
void link_serve(struct peer *peer, session_work *work);

/** Accepts streams until the session ends, or -last of them; each gets a thread for `work`.
 *  Returns when all are done. */
void link_each_stream(struct peer *peer, smux_session *session, stream_work *work);

/** Tells whether a status is how a session or stream ends in the ordinary way. Go resets the
 *  connection when it closes with unread frames, so an I/O error is one, too. */
bool link_is_end(int status);

#endif
