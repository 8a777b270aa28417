/*
 * bench_channel.h - what a test moves bytes through: a stream of a session, or a TCP connection.
 *
 * All calls block; a channel has at most one thread that writes and one that reads. Statuses are
 * those of smux/session.h, for TCP too.
 */
#ifndef TOOL_BENCH_CHANNEL_H
#define TOOL_BENCH_CHANNEL_H

#include <smux/session.h>

#include "bench_request.h"

struct channel {
    smux_stream *stream; /* NULL for a TCP connection */
    int fd;              /* the TCP connection */
};

/* Makes a channel of a stream or of a connection, and owns it. */
struct channel channel_of_stream(smux_stream *stream);
struct channel channel_of_socket(int fd);

/* Lets every call end with SMUX_EDEADLINE that waits for too long: for a stream beyond now plus
 * the limit, for a connection longer than the limit. */
void channel_set_limit(struct channel *channel, uint32_t limit_ms);

/* Writes all of it. */
int channel_write(struct channel *channel, const void *data, size_t len);

/* Reads what is there, at least one byte. SMUX_EOF at the end. */
int channel_read(struct channel *channel, void *buf, size_t len, size_t *out_len);

/* Reads exactly so much; SMUX_EOF when the end comes before. */
int channel_read_full(struct channel *channel, void *buf, size_t len);

/* Makes reading non-blocking from now on: for channel_has_ended(). */
void channel_stop_waiting(struct channel *channel);

/* Tells whether the peer has ended its direction or is gone; drops what it sent. */
bool channel_has_ended(struct channel *channel);

/* Ends our direction; the peer reads the end after all data. */
int channel_shutdown(struct channel *channel);

void channel_close(struct channel *channel);

/* Sends a request. */
int channel_request(struct channel *channel, enum bench_service service, uint32_t size);

/* Reads the answer of a count or a sink. */
int channel_read_count(struct channel *channel, uint64_t *out_count);

#endif
