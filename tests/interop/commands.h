/*
 * commands.h - what cpeer can do; cpeer.c has the table with a line about each.
 */
#ifndef INTEROP_COMMANDS_H
#define INTEROP_COMMANDS_H

#include "link.h"

/* echo.c: messages that come back */

void echo_server(struct peer *peer);
void echo_client(struct peer *peer);

/** Sends back what arrives until the peer ends the stream. */
bool echo_stream(struct peer *peer, smux_stream *stream);

/** Writes -m messages of -size bytes, compares what comes back; both directions at once, or one
 *  after the other with -lockstep. */
bool echo_exchange(struct peer *peer, smux_stream *stream);

/** Opens -c streams, -parallel at once, and runs an exchange on each. */
void echo_streams(struct peer *peer, smux_session *session);

/* bulk.c: long transfers with a digest */

void sink_server(struct peer *peer);
void source_client(struct peer *peer);
void source_server(struct peer *peer);
void sink_client(struct peer *peer);

/** Bulk data both ways at once, neither direction waiting for the other. */
void duplex_server(struct peer *peer);
void duplex_client(struct peer *peer);

/** Asks a source server for -bytes and checks them. */
bool bulk_fetch(struct peer *peer, smux_stream *stream);

/* opening.c: how streams begin */

void speak_first_server(struct peer *peer);
void speak_first_client(struct peer *peer);
void opener_server(struct peer *peer);
void accept_client(struct peer *peer);
void noaccept_server(struct peer *peer);
void open_client(struct peer *peer);

/* ending.c: how they end */

void halfclose_server(struct peer *peer);
void halfclose_client(struct peer *peer);
void closer_server(struct peer *peer);
void closer_client(struct peer *peer);

/* slow.c: readers that read late */

void slow_server(struct peer *peer);
void slow_client(struct peer *peer);
void unread_client(struct peer *peer);

/* deadline.c: writes that time out */

void deadline_client(struct peer *peer);

/* doom.c: every call while the peer dies */

void doomed_client(struct peer *peer);

#endif
