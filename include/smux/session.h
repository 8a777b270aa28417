/*
 * smux/session.h - sessions and streams for threads.
 *
 * The interface most programs want: blocking calls with deadlines, safe from any thread.
 *
 *     client                                      server
 *     int fd;  smux_session *s;  smux_stream *st; int fd;  smux_session *s;  smux_stream *st;
 *     smux_dial("127.0.0.1:9000", 5000, &fd);     smux_accept_fd(listener, SMUX_OFF, &fd);
 *     smux_client(fd, NULL, &s);                  smux_server(fd, NULL, &s);
 *     smux_session_open(s, &st);                  smux_session_accept(s, &st);
 *     smux_stream_write(st, "ping", 4, NULL);     smux_stream_read(st, buf, sizeof buf, &n);
 *     smux_stream_close(st);                      smux_stream_close(st);
 *     smux_session_close(s);                      smux_session_close(s);
 *
 * Threads: a session has no thread of its own. A caller that waits does the I/O of its session
 * meanwhile; one background thread a process, started with the first session, serves sessions
 * nobody waits on, and the timers.
 *
 * Errors: a constructor that fails leaves NULL, and open, accept, read, write and shutdown answer
 * SMUX_EINVAL to a NULL handle, so that a program may check once, at the end of a sequence.
 *
 * Lifetime: every handle is released by its close function, exactly once, and is invalid from
 * the moment that call begins, except for calls on it that are already blocked: those end with
 * an error, on a stream with SMUX_EABORTED. To stop a stream or session that others still use,
 * abort it; the handles then stay valid and report the error. Streams may be closed before or
 * after their session.
 *
 * A child of fork(2) may close the handles it inherited, which does not touch the connection of
 * the parent, and nothing else; it may have sessions of its own.
 */
#ifndef SMUX_SESSION_H
#define SMUX_SESSION_H

#include <smux/base.h>
#include <smux/transport.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One end of a session. Safe from any thread. */
typedef struct smux_session smux_session;
/** A stream of a session. Safe from any thread. */
typedef struct smux_stream smux_stream;

/* --- sessions --------------------------------------------------------------------------- */

/**
 * Starts a session on a transport.
 *
 * @param role        which end this is
 * @param transport   taken over on success; on failure it still belongs to the caller
 * @param config      copied; NULL means defaults
 * @param out_session to be released with smux_session_close()
 * @return SMUX_OK, SMUX_ECONFIG (smux_config_check() tells why), SMUX_ENOMEM, SMUX_EINVAL (a
 *         descriptor that is not open or cannot be polled, such as a plain file), SMUX_EIO (the
 *         background thread or a descriptor could not be made)
 */
SMUX_API int smux_session_new(enum smux_role role, const struct smux_transport *transport,
                              const struct smux_config *config, smux_session **out_session);

/** Starts a client session on a connected descriptor, which it owns from then on. As
 *  smux_session_new(). */
SMUX_API int smux_client(int fd, const struct smux_config *config, smux_session **out_session);

/** Starts a server session on a connected descriptor, which it owns from then on. As
 *  smux_session_new(). */
SMUX_API int smux_server(int fd, const struct smux_config *config, smux_session **out_session);

/**
 * Opens a stream. Never waits: the SYN leaves with the first data, or at once by itself when
 * nothing is written [OPN-2].
 *
 * @return SMUX_OK, SMUX_EGOAWAY, SMUX_ENOMEM, or the error of the session
 */
SMUX_API int smux_session_open(smux_session *session, smux_stream **out_stream);

/**
 * Waits for a stream opened by the peer.
 *
 * @return SMUX_OK, SMUX_EDEADLINE, SMUX_EGOAWAY once the session is closing, or its error:
 *         SMUX_EOF when the peer closed it in order
 */
SMUX_API int smux_session_accept(smux_session *session, smux_stream **out_stream);

/** Sets until when smux_session_accept() waits; also for calls under way. SMUX_NEVER (default);
 *  a time in the past makes it non-blocking. */
SMUX_API void smux_session_set_accept_deadline(smux_session *session, uint64_t deadline_us);

/**
 * Closes a session in order and releases the handle: no new streams, all accepted data and the
 * FIN of every stream is sent, then the sending side is shut down and the peer's end awaited, at
 * most `drain_timeout_ms` in total [END-4]. Streams that are still open then report
 * SMUX_ECLOSED; their handles must still be closed. NULL is fine.
 *
 * @return SMUX_OK when everything was sent, or the peer had closed in order before and no stream
 *         and no accepted data was cut by that; SMUX_EDEADLINE when time ran out first; or the error
 *         with which the session had ended, such as SMUX_ETRUNCATED
 */
SMUX_API int smux_session_close(smux_session *session);

/** Ends a session at once, without waiting; every call on it and on its streams ends with
 *  SMUX_ECLOSED. The handle stays valid until smux_session_close(). */
SMUX_API void smux_session_abort(smux_session *session);

/** Returns the error with which the session ended, SMUX_OK while it lives. SMUX_EOF means that the
 *  peer closed it in order and nothing was lost. */
SMUX_API int smux_session_error(smux_session *session);

/** Copies a sentence that explains smux_session_error(), cut to `size` bytes with its 0. */
SMUX_API void smux_session_error_text(smux_session *session, char *out, size_t size);

/** Returns the number of streams that are open, half-closed or still sending. */
SMUX_API uint32_t smux_session_num_streams(smux_session *session);

/** Copies the counters. */
SMUX_API void smux_session_stats(smux_session *session, struct smux_session_stats *out_stats);

/** Writes the local or remote address as text. SMUX_OK, SMUX_EINVAL when there is none. */
SMUX_API int smux_session_address(smux_session *session, bool remote, char *out, size_t size);

/* --- streams ---------------------------------------------------------------------------- */

/**
 * Reads what is there, at least one byte; waits while there is nothing.
 *
 * @param len      at least 1
 * @param out_len  bytes stored; 0 with every status but SMUX_OK
 * @return SMUX_OK, SMUX_EOF [FIN-2], SMUX_EDEADLINE, SMUX_EINVAL, or the error of the stream or
 *         session
 */
SMUX_API int smux_stream_read(smux_stream *stream, void *buf, size_t len, size_t *out_len);

/**
 * Writes all of the data. Less than 16 KiB is copied; the call waits while the send queue is full.
 * More is sent from where it lies, without a copy: the call waits until the transport has taken
 * it, also if the send queue has room. Where that must not take long, set a deadline or write
 * smaller pieces. The memory is not used after the call has returned. Several writers of one stream
 * are not interleaved within a call.
 *
 * @param out_len  may be NULL; bytes accepted: they are sent exactly once, in order, or the
 *                 stream fails; less than len only with an error status [ORD-4]
 * @return SMUX_OK when all was accepted, SMUX_EDEADLINE, SMUX_EPIPE, SMUX_ENOMEM, or the error
 *         of the stream or session
 */
SMUX_API int smux_stream_write(smux_stream *stream, const void *data, size_t len, size_t *out_len);

/** Writes several pieces as smux_stream_write() does one. */
SMUX_API int smux_stream_writev(smux_stream *stream, const struct smux_iov *iov, int n,
                                size_t *out_len);

/**
 * Reads until the end of the stream and hands each piece to `sink`, which may take its time:
 * other streams go on meanwhile. Other readers of this stream wait.
 *
 * @param sink     returns SMUX_OK to go on; anything else ends the copy with that status, and
 *                 the piece counts as not consumed. It may abort the stream or close the
 *                 session, but not read the stream.
 * @param out_len  may be NULL; bytes that sink has taken
 * @return SMUX_OK at the end of the stream, the status of sink, SMUX_ENOMEM, or as
 *         smux_stream_read()
 */
SMUX_API int smux_stream_copy_to(smux_stream *stream,
                                 int (*sink)(void *arg, const void *data, size_t len), void *arg,
                                 uint64_t *out_len);

/** Closes the write side behind all data [FIN-5]; reading goes on. Never waits. Returns SMUX_OK
 *  or the error of the stream or session. */
SMUX_API int smux_stream_shutdown(smux_stream *stream);

/** Closes both sides and releases the handle [FIN-10]: written data is still sent, unread data
 *  is dropped. Never waits. NULL is fine. */
SMUX_API void smux_stream_close(smux_stream *stream);

/** Ends the stream at once [FIN-12]: calls on it end with SMUX_EABORTED. The handle stays valid
 *  until smux_stream_close(). */
SMUX_API void smux_stream_abort(smux_stream *stream);

/** Sets until when reading waits, see smux_session_set_accept_deadline(). */
SMUX_API void smux_stream_set_read_deadline(smux_stream *stream, uint64_t deadline_us);

/** Sets until when writing waits, see smux_session_set_accept_deadline(). */
SMUX_API void smux_stream_set_write_deadline(smux_stream *stream, uint64_t deadline_us);

/** Sets both deadlines. */
SMUX_API void smux_stream_set_deadline(smux_stream *stream, uint64_t deadline_us);

/**
 * Says whose data goes first when several streams of this end have data to send; also for data
 * that waits already, for example from another thread while smux_stream_write() is blocked. Never
 * waits. The peer is not told: each end has its own choice for what it sends.
 *
 * Classes are strict: while a stream of a higher class has data that the peer lets it send,
 * lower classes send none, for ever if need be; their writers wait. Within a class, streams that
 * have data share the connection by bytes in proportion to their weights, and none starves.
 * Details: smux_estream_set_priority().
 *
 * @param priority  class, 0..SMUX_PRIORITY_MAX, the highest first; SMUX_PRIORITY_DEFAULT at first
 * @param weight    1..SMUX_WEIGHT_MAX; SMUX_WEIGHT_DEFAULT at first
 * @return SMUX_OK, also for a stream that has failed; SMUX_EINVAL for a number out of range, and
 *         then nothing is changed
 */
SMUX_API int smux_stream_set_priority(smux_stream *stream, unsigned priority, unsigned weight);

/** Returns the id on the wire. */
SMUX_API uint32_t smux_stream_id(const smux_stream *stream);

/** Returns the session, whose handle may already be closed: for comparison only. */
SMUX_API smux_session *smux_stream_session(const smux_stream *stream);

/** Writes the local or remote address of the session as text. */
SMUX_API int smux_stream_address(const smux_stream *stream, bool remote, char *out, size_t size);

/** Copies the counters. */
SMUX_API void smux_stream_stats(smux_stream *stream, struct smux_stream_stats *out_stats);

#ifdef __cplusplus
}
#endif

#endif
