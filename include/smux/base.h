/*
 * smux/base.h - what every part of libsmux shares: version, errors, vectors, the allocator,
 * the configuration and the statistics.
 *
 * libsmux speaks smux, the stream multiplexing protocol of xtaci/smux, versions 1 and 2.
 * docs/PROTOCOL.md is the protocol; clause ids such as [WIN-4] refer to it.
 *
 * Conventions of all headers:
 *   - functions return a status, SMUX_OK or a negative code; amounts come through out-parameters;
 *   - out-parameters stand last and may be NULL where the text says so;
 *   - points in time are microseconds of one monotonic clock (`_us`), durations in the
 *     configuration are milliseconds (`_ms`);
 *   - a function succeeds or changes nothing, except where its text says otherwise.
 */
#ifndef SMUX_BASE_H
#define SMUX_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(SMUX_BUILDING) && defined(__GNUC__)
#define SMUX_API __attribute__((visibility("default")))
#else
/** Marks an exported function. */
#define SMUX_API
#endif

/** Version of these headers: breaks compatibility. */
#define SMUX_VERSION_MAJOR 0
/** Version of these headers: adds to the interface. */
#define SMUX_VERSION_MINOR 1
/** Version of these headers: repairs. */
#define SMUX_VERSION_PATCH 0
/** Version of these headers as text. */
#define SMUX_VERSION_STRING "0.1.0"

/** Returns the version of the library that is linked, such as "0.1.0". Static memory. */
SMUX_API const char *smux_version(void);

/*
 * Errors
 *
 * One table gives code, name and text. Tiers, from harmless to final:
 *   -1..-9    try again, or an ordinary end
 *   -10..-19  the caller's mistake, or a local shortage; nothing changed
 *   -20..-39  this stream failed; the session lives
 *   -40..-    the session is dead; the first such error is sticky [END-1]
 */

/** X(name, code, text) for every status. */
#define SMUX_STATUS_MAP(X)                                                                         \
    X(OK, 0, "success")                                                                            \
    X(EAGAIN, -1, "would block: try again when the event is reported")                             \
    X(EOF, -2, "end: the peer finished in order and all its data was read")                        \
    X(EDEADLINE, -3, "the deadline of this call has passed")                                       \
    X(EINVAL, -10, "invalid argument")                                                             \
    X(ECONFIG, -11, "invalid configuration")                                                       \
    X(ENOMEM, -12, "out of memory")                                                                \
    X(EADDRESS, -13, "address not understood or not found")                                        \
    X(ELIMIT, -14, "a local limit is reached")                                                     \
    X(EGOAWAY, -15, "no new streams: stream ids are used up or the session is closing")            \
    X(EPIPE, -20, "the write side of this stream is closed")                                       \
    X(EABORTED, -21, "the stream was aborted on this side")                                        \
    X(ECONSUMED, -22, "the peer acknowledged more than was sent")                                  \
    X(EWINDOW, -23, "the peer sent more than the window allows")                                   \
    X(ESTALLED, -24, "the stream held the receive buffer of a stalled session")                    \
    X(ECLOSED, -40, "the session was closed on this side")                                         \
    X(EPROTO, -41, "the peer violated the protocol")                                               \
    X(ETIMEDOUT, -42, "the peer was silent for too long")                                          \
    X(EFLOOD, -43, "the peer flooded the session with useless frames")                             \
    X(ETRUNCATED, -44, "the connection ended before the stream did")                               \
    X(EIO, -45, "the transport failed")

/** Status codes; see SMUX_STATUS_MAP for their meaning. */
enum smux_status {
#define SMUX_STATUS_ENUM(name, code, text) SMUX_##name = (code),
    SMUX_STATUS_MAP(SMUX_STATUS_ENUM)
#undef SMUX_STATUS_ENUM
};

/** Returns the text of a status, "unknown status" for any other number. Static memory. */
SMUX_API const char *smux_strerror(int status);

/** Returns the name of a status such as "SMUX_EPROTO". Static memory. */
SMUX_API const char *smux_status_name(int status);

/** Tells whether a status means that the whole session is dead. SMUX_EOF does not by itself, as
 *  most often a stream has ended; from an accept or open call it says that the session has. */
SMUX_API bool smux_status_is_fatal(int status);

/** A piece of memory; has the layout of struct iovec where that exists. */
struct smux_iov {
    void *base; /**< first byte */
    size_t len; /**< number of bytes */
};

/**
 * Where memory comes from. Each function gets `ctx` as its last argument. A NULL result means
 * that there is none; libsmux then reports SMUX_ENOMEM or sheds load, and never aborts.
 */
struct smux_allocator {
    void *(*alloc)(size_t size, void *ctx); /**< like malloc; size is never 0 */
    void (*free)(void *ptr, void *ctx);     /**< like free; ptr is never NULL */
    void *ctx;                              /**< handed to both */
};

/** Which end of the session this is; it decides the stream ids [SID-1]. */
enum smux_role {
    SMUX_CLIENT = 0, /**< opens odd stream ids */
    SMUX_SERVER = 1  /**< opens even stream ids */
};

/** smux_config.version: take the version from the first byte received [VER-2]. */
#define SMUX_VERSION_AUTO 255
/** A duration in the configuration that never ends, or a limit that is switched off. */
#define SMUX_OFF UINT32_MAX
/** A point in time that never comes. */
#define SMUX_NEVER UINT64_MAX

/** The highest class of smux_stream_set_priority(); the lowest is 0. */
#define SMUX_PRIORITY_MAX 7
/** The class of a new stream. */
#define SMUX_PRIORITY_DEFAULT 3
/** The largest weight of smux_stream_set_priority(); the smallest is 1. */
#define SMUX_WEIGHT_MAX 256
/** The weight of a new stream. */
#define SMUX_WEIGHT_DEFAULT 16

/** When silence of the peer ends the session [KA-4]. */
enum smux_keepalive_mode {
    SMUX_KEEPALIVE_AUTO = 0,   /**< only once the peer has sent a NOP itself */
    SMUX_KEEPALIVE_ALWAYS = 1, /**< from the start */
    SMUX_KEEPALIVE_NEVER = 2   /**< never */
};

/**
 * Configuration of a session or an engine. Fill it with smux_config_init() and change what you
 * need; a field that is 0 means its default. Copied when a session is made.
 */
struct smux_config {
    size_t struct_size; /**< set by smux_config_init(); tells which fields the caller knows */

    uint32_t version;        /**< 1 (default), 2, or SMUX_VERSION_AUTO (servers) [VER-1] */
    uint32_t max_frame_size; /**< largest payload sent in a frame, 1..65535 bytes; 32768 */
    uint32_t
        max_receive_buffer; /**< budget of the session for unread data in bytes; 4 MiB [BKT-1] */
    uint32_t max_stream_buffer; /**< v2: fixed window of a stream in bytes; 0: it tunes itself,
                                     from 262144 (or max_receive_buffer if that is less) up. A
                                     stream with twice its largest window unread, and at least
                                     512 KiB, is aborted [UPD-9] */
    uint32_t max_window_growth; /**< v2: bytes by which the windows of all streams that tune
                                     themselves may grow, and with them the budget, while the
                                     application keeps up; shares of many busy streams
                                     count, too; 64 MiB; SMUX_OFF = none */

    uint32_t keepalive_interval_ms; /**< a NOP each interval; 10000; SMUX_OFF sends none [KA-1] */
    uint32_t keepalive_timeout_ms;  /**< silence that ends the session; 30000 [KA-4] */
    uint32_t keepalive_mode;        /**< enum smux_keepalive_mode */

    uint32_t max_remote_streams; /**< streams opened by the peer and not yet closed here; 16384 */
    uint32_t accept_backlog;     /**< of these, not yet accepted; 1024 [OPN-6] */
    uint32_t accept_timeout_ms;  /**< age at which an unaccepted stream is refused; 30000 */
    uint32_t
        accept_guard_ms; /**< wait before answering a fresh stream; 5; SMUX_OFF = none [OPN-5] */
    uint32_t max_stream_send_buffer; /**< bytes queued for sending, a stream; 256 KiB */
    uint32_t max_send_buffer;        /**< bytes queued for sending, the session; 1 MiB (each stream
                                          may queue 4 KiB beyond it) */
    uint32_t fin_linger_ms;          /**< FIN held back after the peer's FIN; 250, up to 5000;
                                          SMUX_OFF = none [FIN-7] */
    uint32_t half_close_timeout_ms;  /**< v2: no credit after the peer's FIN; 300000 [FIN-9] */
    uint32_t drain_timeout_ms;       /**< longest graceful close; 5000 [END-4] */
    uint32_t frame_timeout_ms;       /**< longest time for one frame to arrive; 120000 [FRM-11] */
    uint32_t idle_timeout_ms;       /**< session without streams is closed; 0 or SMUX_OFF = never */
    uint32_t send_stall_timeout_ms; /**< output pending and nothing taken; 0 or SMUX_OFF = never */
    uint32_t stall_timeout_ms;      /**< budget exhausted and nothing read: abort the stream that
                                          holds most; 0 or SMUX_OFF = pause for ever, as Go [BKT-8] */
    uint32_t glitch_burst;          /**< glitches forgiven at once; 10000; SMUX_OFF = no limit */
    uint32_t glitch_rate;           /**< glitches forgiven per second; 330 */
    uint32_t max_refusals;          /**< refusals waiting to be sent; 1024 */
    uint32_t max_discards; /**< closed streams still credited; 1024; SMUX_OFF = none [FIN-11] */
    uint32_t max_unanswered_opens; /**< hold back SYNs while so many of our streams have received
                                          nothing; 0 or SMUX_OFF = never [OPN-8] */
    uint32_t busy_poll_us; /**< sessions: a blocked call that receives looks for data again and
                                again for so long before it sleeps, 0..1000000; 0 = sleeps at once.
                                Trades a processor for the time of a wake-up */
    bool allow_any_parity; /**< accept streams with ids of our own parity [SID-4] */

    uint64_t hash_seed; /**< secret random number that keys the stream table; the session layer
                             and the loop driver fill it when it is 0, the engine takes it as is */
    const struct smux_allocator *allocator; /**< NULL: malloc and free; must outlive the session */
};

/** Fills a configuration with zeros, that is with the defaults. Prefer smux_config_init(). */
SMUX_API void smux_config_init_sized(struct smux_config *config, size_t struct_size);

/** Fills a configuration with the defaults of this header's version. */
#define smux_config_init(config) smux_config_init_sized((config), sizeof(struct smux_config))

/**
 * Checks a configuration as the session constructors do, after replacing zeros by defaults.
 *
 * @param config   the configuration; NULL means all defaults
 * @param role     for whom: a client must not use SMUX_VERSION_AUTO
 * @param out_why  may be NULL; on SMUX_ECONFIG a static sentence that names field and range
 * @return SMUX_OK or SMUX_ECONFIG
 */
SMUX_API int smux_config_check(const struct smux_config *config, enum smux_role role,
                               const char **out_why);

/** Number of frames by type. */
struct smux_frame_counts {
    uint64_t syn; /**< streams opened */
    uint64_t fin; /**< write sides closed */
    uint64_t psh; /**< data */
    uint64_t nop; /**< signs of life */
    uint64_t upd; /**< window updates */
};

/**
 * X(limit, name) for what limits do; docs/RELIABILITY.md has them in a table. The names are words
 * for logs.
 */
#define SMUX_LIMIT_MAP(X)                                                                          \
    X(REFUSED_STREAMS, "refused_streams")       /* max_remote_streams: a stream refused */         \
    X(REFUSED_BACKLOG, "refused_backlog")       /* accept_backlog: a stream refused */             \
    X(REFUSED_LATE, "refused_late")             /* accept_timeout_ms: a stream refused */          \
    X(REFUSED_MEMORY, "refused_memory")         /* no memory: a stream refused */                  \
    X(DROPPED_SYNS, "dropped_syns")             /* max_refusals: refused without an answer */      \
    X(ABORTED_WINDOW, "aborted_window")         /* stream with data far beyond its window */       \
    X(ABORTED_CONSUMED, "aborted_consumed")     /* stream credited for more than was sent */       \
    X(ABORTED_STALL, "aborted_stall")           /* stall_timeout_ms: a stream aborted */           \
    X(ABORTED_HALF_CLOSE, "aborted_half_close") /* half_close_timeout_ms: a stream aborted */      \
    X(ABORTED_MEMORY, "aborted_memory")         /* no memory for its data: a stream aborted */     \
    X(FORGOTTEN_DISCARDS, "forgotten_discards") /* max_discards, 1 MiB, 5 min: not credited */     \
    X(BLOCKED_WRITES, "blocked_writes")         /* max_send_buffer and that of a stream */         \
    X(ENDED_FLOOD, "ended_flood")               /* glitch_burst: the session ended */              \
    X(ENDED_KEEPALIVE, "ended_keepalive")       /* keepalive_timeout_ms: the session ended */      \
    X(ENDED_FRAME, "ended_frame")               /* frame_timeout_ms: the session ended */          \
    X(ENDED_SEND_STALL, "ended_send_stall")     /* send_stall_timeout_ms: the session ended */     \
    X(ENDED_IDLE, "ended_idle")                 /* idle_timeout_ms: the session ended */

/** What a limit did, for smux_session_stats.limits; see SMUX_LIMIT_MAP. */
enum smux_limit {
#define SMUX_LIMIT_ENUM(limit, name) SMUX_LIMIT_##limit,
    SMUX_LIMIT_MAP(SMUX_LIMIT_ENUM)
#undef SMUX_LIMIT_ENUM
    SMUX_LIMIT_COUNT /**< how many there are */
};

/** Returns the name of a limit such as "refused_streams", NULL for any other number. Static
 *  memory. */
SMUX_API const char *smux_limit_name(unsigned limit);

/** Counters of a session. All since its start, except those called "now". */
struct smux_session_stats {
    struct smux_frame_counts frames_in;  /**< received */
    struct smux_frame_counts frames_out; /**< handed to the transport */
    uint64_t wire_in;                    /**< bytes from the transport, headers included */
    uint64_t wire_out;                   /**< bytes formed for the transport, headers included */
    uint64_t payload_in;                 /**< stream data received for known streams */
    uint64_t payload_out;                /**< stream data sent */
    uint64_t payload_discarded;          /**< received for unknown, closed or aborted streams */
    uint64_t streams_opened;             /**< by us */
    uint64_t streams_accepted;           /**< opened by the peer and taken up */
    uint64_t streams_refused;            /**< opened by the peer and refused [OPN-4] */
    uint64_t streams_aborted;   /**< by either of: application, peer's fault, stall policy */
    uint64_t glitches;          /**< price of useless frames, see docs/PROTOCOL.md */
    uint64_t syn_ignored;       /**< SYN for a known id [RCV-5] */
    uint64_t psh_after_fin;     /**< dropped [RCV-10] */
    uint64_t upd_stale;         /**< ignored as older [RCV-17] */
    uint64_t windows_shrunk;    /**< updates that offered less than the stream's window because of
                                       the budget [BKT-7] */
    uint64_t windows_grown;     /**< times a window that tunes itself grew */
    uint64_t receive_pauses;    /**< times the budget was exhausted */
    uint64_t receive_paused_us; /**< total time of these pauses */
    uint64_t limits[SMUX_LIMIT_COUNT]; /**< how often each limit did something, by enum
                                            smux_limit */
    uint32_t streams_now;              /**< in the table now */
    uint32_t backlog_now;              /**< waiting to be accepted now */
    uint32_t receive_buffer;           /**< bytes of memory charged to the budget now */
    uint32_t receive_budget; /**< its limit now: max_receive_buffer and what windows have grown */
    uint32_t credit_now;     /**< v2: credit granted and not yet used by the peer, now */
    uint32_t send_buffer;    /**< bytes accepted from writers and not yet formed into frames */
    uint32_t version;        /**< 1 or 2; 0 while unknown */
};

/** Counters of a stream. */
struct smux_stream_stats {
    uint64_t bytes_in;      /**< received */
    uint64_t bytes_read;    /**< of these consumed by the application */
    uint64_t bytes_out;     /**< handed to the transport */
    uint32_t unread;        /**< received and not consumed, now */
    uint32_t unsent;        /**< accepted from the application and not yet formed, now */
    uint32_t send_window;   /**< v2: bytes that may be sent now, 0 once both directions
                                are over or the stream failed; UINT32_MAX in v1 */
    uint32_t recv_window;   /**< v2: window last advertised, 0 likewise */
    bool blocked_on_window; /**< has data, but the peer's window is used up */
};

#ifdef __cplusplus
}
#endif

#endif
