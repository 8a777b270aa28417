/*
 * smux/engine.h - the smux protocol without I/O.
 *
 * An engine is one end of one session. It owns no descriptor, clock, thread or global state.
 * Its owner moves bytes and passes the time:
 *
 *      transport --> recv_iov / recv_commit --> [engine] --> send_iov / send_commit --> transport
 *      clock     --> tick                       deadline --> timer of the owner
 *      events    <-- next_ready, accept         open, read, write, shutdown, close --> streams
 *
 * Rules
 *   1. One engine is used by one thread at a time.
 *   2. I/O is "peek, then acknowledge": recv_iov and send_iov hand out memory of the engine that
 *      stays valid and untouched until the matching commit, whatever other calls are made in
 *      between. So an owner may do the system call without holding its lock. At most one receive
 *      and one send may be under way.
 *   3. Events are pulled. Nothing calls back, nothing re-enters.
 *   4. The first fatal error is sticky [END-1]. After it, sending stops, data that arrived
 *      complete stays readable, and every other call on a stream reports it.
 *   5. `now_us` never goes back; a smaller value counts as the largest one seen. Calls without it,
 *      that is those on streams, may come at any later time: what they start runs from the next
 *      call with it, and smux_engine_deadline() asks for that call at once where it matters.
 *
 * A stream lives from open or accept until smux_estream_close(); after that call its pointer is
 * invalid, while the engine still delivers what was written.
 */
#ifndef SMUX_ENGINE_H
#define SMUX_ENGINE_H

#include <smux/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One end of a session, without I/O. */
typedef struct smux_engine smux_engine;
/** A stream of an engine. */
typedef struct smux_estream smux_estream;

/** What may be done with a stream; bits of smux_engine_next_ready(). */
enum smux_event {
    SMUX_EVENT_READABLE = 1, /**< data, end of stream or an error can be read */
    SMUX_EVENT_WRITABLE = 2, /**< space again after a write was cut short or refused, or lent
                                  memory was released, or writing fails now */
    SMUX_EVENT_FINISHED = 4  /**< our FIN left and the peer's FIN arrived */
};

/* --- life ------------------------------------------------------------------------------- */

/**
 * Makes an engine.
 *
 * @param role       which end this is
 * @param config     copied; NULL means defaults; config->hash_seed should be a secret random number
 * @param user_size  bytes of zeroed memory that every stream carries for its owner, 0..4096,
 *                   aligned for pointers and 64-bit numbers; see smux_estream_user()
 * @param now_us     the time
 * @param out_engine the engine, to be freed with smux_engine_free()
 * @return SMUX_OK, SMUX_ECONFIG (see smux_config_check()), SMUX_EINVAL, SMUX_ENOMEM
 */
SMUX_API int smux_engine_new(enum smux_role role, const struct smux_config *config,
                             size_t user_size, uint64_t now_us, smux_engine **out_engine);

/** Frees an engine and all its streams, whoever still holds them. NULL is fine. */
SMUX_API void smux_engine_free(smux_engine *engine);

/* --- bytes in --------------------------------------------------------------------------- */

/**
 * Asks where the next bytes from the transport should be read to.
 *
 * With more than 2 vectors one read may bring several large frames, each into its own place, when
 * those before were of one length: 128 KiB of them. That saves calls of the transport, and suits an
 * owner who lets readers read after each of them; one who posts memory (smux_estream_post()) should
 * ask for 2, as payload for which there is a place already is copied to get there.
 *
 * @param out_iov  filled in the order in which bytes must be stored
 * @param max_iov  number of vectors, at least 2; more than 64 are of no use
 * @return the number filled; 0 when nothing should be read now: the budget is exhausted
 *         [BKT-4] (see smux_engine_wants_read()), the session is dead, or there is no memory
 */
SMUX_API int smux_engine_recv_iov(smux_engine *engine, struct smux_iov *out_iov, int max_iov);

/**
 * Tells that `len` bytes were stored into the vectors of the last smux_engine_recv_iov(), and
 * decodes them. len = 0 gives the vectors back unused.
 *
 * @return SMUX_OK, or the sticky error of the session
 */
SMUX_API int smux_engine_recv_commit(smux_engine *engine, size_t len, uint64_t now_us);

/**
 * Hands bytes in by copying, for owners that have them already.
 *
 * @param out_taken  how many were taken; fewer than len only when the budget is exhausted
 *                   (offer the rest again when smux_engine_wants_read() is true), on an error, or
 *                   after smux_engine_recv_eof(), when none are
 * @return SMUX_OK, or the sticky error of the session
 */
SMUX_API int smux_engine_recv(smux_engine *engine, const void *data, size_t len, uint64_t now_us,
                              size_t *out_taken);

/** Tells that the transport ended in order [END-3]. Streams without the peer's FIN fail, once all
 *  that came before the end is decoded. */
SMUX_API void smux_engine_recv_eof(smux_engine *engine, uint64_t now_us);

/** Returns the stream that the next bytes belong to, when it is worth while to smux_estream_post()
 *  memory for them: they are the rest of a large payload. Otherwise NULL. */
SMUX_API smux_estream *smux_engine_recv_stream(const smux_engine *engine);

/** Tells whether the engine can take bytes now. */
SMUX_API bool smux_engine_wants_read(const smux_engine *engine);

/* --- bytes out -------------------------------------------------------------------------- */

/**
 * Forms frames and fills vectors with what should go out now, without consuming it.
 *
 * @param max_iov  number of vectors, at least 1; 64 is a good number
 * @return the number filled; 0 when there is nothing to send now
 */
SMUX_API int smux_engine_send_iov(smux_engine *engine, struct smux_iov *out_iov, int max_iov,
                                  uint64_t now_us);

/** Tells that the transport took the first `len` bytes of the last smux_engine_send_iov(). */
SMUX_API void smux_engine_send_commit(smux_engine *engine, size_t len, uint64_t now_us);

/** Tells whether smux_engine_send_iov() may find something at this time. */
SMUX_API bool smux_engine_wants_write(const smux_engine *engine);

/** Returns the stream of which all that was lent has been sent in the middle of a long turn, while
 *  nothing else is urgent. An owner with a thread for each stream does well to let its writer send
 *  next, if that comes back with more in some 100 us: what others have can wait so long, and their
 *  threads are woken less often. NULL if output is to be sent as it is. */
SMUX_API smux_estream *smux_engine_send_stream(const smux_engine *engine);

/* --- time ------------------------------------------------------------------------------- */

/** Returns when smux_engine_tick() must be called at the latest; SMUX_NEVER for never. */
SMUX_API uint64_t smux_engine_deadline(const smux_engine *engine);

/**
 * Lets the timers run that are due.
 *
 * @return SMUX_OK, or the sticky error of the session
 */
SMUX_API int smux_engine_tick(smux_engine *engine, uint64_t now_us);

/* --- the session ------------------------------------------------------------------------ */

/** Returns the sticky error, SMUX_OK while the session lives. SMUX_EOF means that the peer closed
 *  the connection in order, no stream was cut but those closed here before, and no accepted data
 *  was left unsent [END-3]. */
SMUX_API int smux_engine_error(const smux_engine *engine);

/**
 * Returns a sentence that explains the sticky error, such as
 * `peer does not speak smux: first bytes "GET / HT" look like HTTP`. Valid until the engine
 * is freed; the text of the status when there is nothing to add.
 */
SMUX_API const char *smux_engine_error_text(const smux_engine *engine);

/** Ends the session at once with `status` (a fatal one), for example after a transport error. */
SMUX_API void smux_engine_fail(smux_engine *engine, int status, const char *why);

/**
 * Begins a graceful end [END-4]: no new streams; every open stream is shut down behind its
 * data; linger times end. The owner goes on with I/O until smux_engine_drained().
 */
SMUX_API void smux_engine_drain(smux_engine *engine);

/** Opens no more streams, as the peer cannot answer any more: smux_engine_open() says
 *  SMUX_EGOAWAY. For what is noticed of the transport before all that came has been read. */
SMUX_API void smux_engine_goaway(smux_engine *engine);

/** Tells whether everything accepted from the application has been taken by the transport. */
SMUX_API bool smux_engine_drained(const smux_engine *engine);

/**
 * Lets the session hold 4 KiB of unread data and 4 KiB to be sent (and each stream 512 bytes beyond
 * that) instead of what is configured, or goes back to that: for a process that is short of memory.
 * The engine drops nothing for it, and data moves as long as both ends keep up: a program that reads
 * only when its own writes have gone may have to wait until this is over, as window updates wait
 * behind what it does not read. It is a pause like any other [BKT-4]: the silence of the peer does
 * not count meanwhile, and stall_timeout_ms, if it is set, does. Ask smux_engine_wants_read()
 * afterwards.
 */
SMUX_API void smux_engine_throttle(smux_engine *engine, bool on);

/** Returns the number of streams in the table: open, half-closed and finishing ones. */
SMUX_API uint32_t smux_engine_num_streams(const smux_engine *engine);

/** Returns the protocol version: 1, 2, or 0 while it is unknown [VER-2]. */
SMUX_API uint32_t smux_engine_version(const smux_engine *engine);

/** Returns the number of frames received of all types, since the start: the sum of
 *  smux_session_stats.frames_in, without a copy of all counters. */
SMUX_API uint64_t smux_engine_frames_in(const smux_engine *engine);

/** Copies the counters of the session. */
SMUX_API void smux_engine_stats(const smux_engine *engine, struct smux_session_stats *out_stats);

/* --- streams ---------------------------------------------------------------------------- */

/**
 * Opens a stream. Never waits; the SYN leaves with the next send [OPN-3].
 *
 * @return SMUX_OK, SMUX_EGOAWAY [SID-2], SMUX_ENOMEM, or the sticky error
 */
SMUX_API int smux_engine_open(smux_engine *engine, smux_estream **out_stream);

/**
 * Takes up the oldest stream that the peer opened.
 *
 * @return SMUX_OK, SMUX_EAGAIN when there is none, or the sticky error
 */
SMUX_API int smux_engine_accept(smux_engine *engine, smux_estream **out_stream);

/**
 * Takes the next stream from the list of those that have something new for their owner.
 *
 * @param out_events  bits of enum smux_event as they are now
 * @return the stream, or NULL when the list is empty
 */
SMUX_API smux_estream *smux_engine_next_ready(smux_engine *engine, unsigned *out_events);

/** Returns the memory that the owner asked for with user_size. */
SMUX_API void *smux_estream_user(smux_estream *stream);

/** Returns the stream that this memory belongs to: the inverse of smux_estream_user(). */
SMUX_API smux_estream *smux_estream_of(const void *user);

/** Returns the id on the wire. */
SMUX_API uint32_t smux_estream_id(const smux_estream *stream);

/** Returns the events of a stream as they are now, without taking it from any list. */
SMUX_API unsigned smux_estream_events(const smux_engine *engine, const smux_estream *stream);

/**
 * Copies data into the send queue.
 *
 * @param out_len  how much was taken: it will be sent once and in order, or the stream fails
 * @return SMUX_OK with out_len > 0 (or len = 0), SMUX_EAGAIN when the queue is full (an event
 *         will tell), SMUX_EPIPE after shutdown, SMUX_ENOMEM, the error of the stream or session
 */
SMUX_API int smux_estream_write(smux_engine *engine, smux_estream *stream, const void *data,
                                size_t len, size_t *out_len);

/**
 * Asks for room in the send queue, to be filled by the caller, for example by read(2).
 * Follow it with smux_estream_write_commit() before any other call on this engine: the room may be
 * gone after one, with what was put there.
 *
 * @param want     how much room is hoped for, at least 1
 * @param out_iov  the room; its len is at least 1
 * @return as smux_estream_write()
 */
SMUX_API int smux_estream_write_reserve(smux_engine *engine, smux_estream *stream, size_t want,
                                        struct smux_iov *out_iov);

/** Takes the first `len` bytes of the reserved room into the send queue; 0 is fine. */
SMUX_API void smux_estream_write_commit(smux_engine *engine, smux_estream *stream, size_t len);

/**
 * Lends 1 to 2^30 bytes to the send queue instead of copying them. They must stay put and
 * unchanged until smux_estream_lent() is 0 or smux_estream_reclaim() has taken it back. Data
 * written earlier goes first. One loan a stream at a time; the buffer limits do not apply to it.
 *
 * @return SMUX_OK, SMUX_EINVAL while another loan is out or for len = 0, otherwise as
 *         smux_estream_write()
 */
SMUX_API int smux_estream_lend(smux_engine *engine, smux_estream *stream, const void *data,
                               size_t len);

/** Returns how many lent bytes the engine may still read. */
SMUX_API size_t smux_estream_lent(const smux_engine *engine, const smux_estream *stream);

/**
 * Takes a loan back. Bytes that were not yet formed into a frame are dropped from the queue;
 * those formed and not yet taken by the transport are copied. No send may be under way.
 *
 * The loan is over whatever is returned. Without memory for the copy the frames cannot be
 * finished, and nothing could follow them: the session fails with SMUX_EIO.
 *
 * @param out_kept  bytes of the loan that were sent or, while the session lives, will be sent
 * @return SMUX_OK, also when the session was dead before; SMUX_EIO
 */
SMUX_API int smux_estream_reclaim(smux_engine *engine, smux_estream *stream, size_t *out_kept);

/**
 * Shows unread data without consuming it. The pieces stay where they are until this engine takes
 * bytes in, ticks or is throttled, or any of its streams is read from, consumed, aborted or closed:
 * each of these may let frames in, by which the peer makes this stream fail, or serve a limit, and
 * what is unread is dropped then. Look again before you use them after such a call.
 *
 * @param out_iov  filled with up to max_iov pieces, in order
 * @param out_n    their number, at least 1 with SMUX_OK
 * @return SMUX_OK, SMUX_EAGAIN when there is nothing yet, SMUX_EOF after all data before the
 *         peer's FIN [FIN-2], or the error of the stream or session
 */
SMUX_API int smux_estream_peek(smux_engine *engine, smux_estream *stream, struct smux_iov *out_iov,
                               int max_iov, int *out_n);

/** Consumes `len` bytes that smux_estream_peek() showed; this grants credit to the peer. When it
 *  frees a used-up budget, frames that were waiting are decoded: pull events afterwards. Has no
 *  effect if the stream was ended since, and they were dropped. */
SMUX_API void smux_estream_consume(smux_engine *engine, smux_estream *stream, size_t len);

/** Copies unread data out and consumes it. Statuses of smux_estream_peek(). */
SMUX_API int smux_estream_read(smux_engine *engine, smux_estream *stream, void *buf, size_t len,
                               size_t *out_len);

/**
 * Offers memory into which payload of this stream may be received directly, past the queue.
 * smux_estream_unpost() must be called before the memory goes away, and not while a receive
 * is under way. Only payload that arrives while the queue is empty lands there.
 *
 * @return SMUX_OK, SMUX_EAGAIN when it is of no use now: read instead
 */
SMUX_API int smux_estream_post(smux_engine *engine, smux_estream *stream, void *buf, size_t len);

/** Returns how much of the posted memory of this stream is still free; 0 when none is posted. */
SMUX_API size_t smux_estream_posted(const smux_engine *engine, const smux_estream *stream);

/** Takes the memory back; out_len is how many bytes arrived in it; they count as consumed. */
SMUX_API void smux_estream_unpost(smux_engine *engine, smux_estream *stream, size_t *out_len);

/** Closes the write side: FIN behind all data [FIN-5]. Reading goes on. Repeats are harmless.
 *  Returns SMUX_OK, or the error of the stream or session. */
SMUX_API int smux_estream_shutdown(smux_engine *engine, smux_estream *stream);

/**
 * Ends a stream on this side at once: drops what was not yet formed and what is unread, sends
 * FIN [FIN-12]. The handle stays valid and reports `status` until smux_estream_close().
 *
 * @param status  SMUX_EABORTED or another error of the stream tier
 */
SMUX_API void smux_estream_abort(smux_engine *engine, smux_estream *stream, int status);

/** Releases a stream: unread data is dropped, written data and FIN are still sent [FIN-10].
 *  The handle is invalid afterwards. A loan or posted memory must have been taken back. */
SMUX_API void smux_estream_close(smux_engine *engine, smux_estream *stream);

/**
 * Says whose data goes first when several streams of this end have data to send. May be called at
 * any time, also while data waits. It concerns data only, which is never reordered within a
 * stream; the control frames of all streams go before. The peer is not told.
 *
 * Classes are strict: a stream sends nothing while one of a higher class has data that the peer
 * lets it send. A class that always has such data starves the lower ones for as long; what they
 * have queued goes on counting against max_send_buffer. Frames that smux_engine_send_iov() has
 * formed already, 16 KiB to 256 KiB, are not overtaken.
 *
 * Within a class, streams with data share the transport by bytes in proportion to their weights. A
 * turn of the default weight is max_frame_size; behind a transport that takes more at once it is
 * up to 128 KiB. A stream that was idle goes first, until it has sent its share of the round.
 *
 * @param priority  class, 0..SMUX_PRIORITY_MAX, the highest first; SMUX_PRIORITY_DEFAULT at first
 * @param weight    1..SMUX_WEIGHT_MAX; SMUX_WEIGHT_DEFAULT at first
 * @return SMUX_OK, also for a stream that has failed; SMUX_EINVAL for a number out of range, and
 *         then nothing is changed
 */
SMUX_API int smux_estream_set_priority(smux_engine *engine, smux_estream *stream, unsigned priority,
                                       unsigned weight);

/** Copies the counters of a stream. */
SMUX_API void smux_estream_stats(const smux_engine *engine, const smux_estream *stream,
                                 struct smux_stream_stats *out_stats);

#ifdef __cplusplus
}
#endif

#endif
