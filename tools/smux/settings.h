/*
 * settings.h - what the command line of `server`, `client` and `bench` asks for.
 *
 * Filled by options_parse() from the table in option_table.c, which says what each field means
 * to the user, its unit on the command line, its range and its default. In here all sizes are
 * bytes and all durations milliseconds.
 */
#ifndef TOOL_SETTINGS_H
#define TOOL_SETTINGS_H

#include <smux/base.h>

struct option_spec;

/* Values of an option that may be given several times, in order; the texts are argv's. */
struct text_list {
    const char **items;
    size_t n;
};

/* Which plaintext listeners outside loopback the user has agreed to; bits. */
enum insecure {
    INSECURE_SESSION = 1,
    INSECURE_FORWARD = 2,
    INSECURE_STATUS = 4
};

/* Which log lines the user does not want; bits. */
enum quiet {
    QUIET_STREAMS = 1,
    QUIET_HANDSHAKES = 2
};

/* Which session gets the next stream. */
enum conn_policy {
    POLICY_LEAST,
    POLICY_RR
};

/* What happens to a session that data nobody reads has filled. */
enum stall {
    STALL_PAUSE,
    STALL_ABORT
};

/* An option that was given, for the `config` lines of the log. */
struct option_given {
    const struct option_spec *spec;
    const char *text;
};

struct settings {
    const char *listen;
    const char *target;
    struct text_list remotes;
    bool bench;
    uint32_t conn;
    uint32_t conn_policy; /* enum conn_policy */
    uint32_t max_streams_per_conn;

    uint32_t smuxver; /* 1, 2 or SMUX_VERSION_AUTO */
    uint32_t smuxbuf;
    uint32_t streambuf; /* 0: tunes itself */
    uint32_t window_growth;
    uint32_t busy_poll; /* us */
    uint32_t framesize;
    uint32_t keepalive;
    uint32_t keepalive_timeout;
    bool keepalive_strict;
    uint32_t idle_timeout;
    uint32_t frame_timeout;
    uint32_t send_stall;
    uint32_t v1_stall; /* enum stall */
    uint32_t v1_stall_time;

    bool half_close;
    uint32_t half_close_timeout;
    uint32_t closewait;
    uint32_t sockbuf;
    bool tcp_nodelay;
    uint32_t notsent_lowat;
    uint32_t connect_timeout;
    uint32_t tcp_user_timeout;
    uint32_t dscp;

    uint32_t insecure; /* enum insecure */

    uint32_t max_memory; /* 0: no limit */
    uint32_t max_sessions;
    uint32_t max_sessions_per_source;
    uint32_t max_streams;
    uint32_t max_streams_per_session;
    uint32_t accept_backlog;
    uint32_t handshake_timeout;

    uint32_t retry_min;
    uint32_t retry_cap;
    uint32_t retry_max;
    uint32_t retry_max_time;
    uint32_t drain_timeout;

    const char *log;
    uint32_t log_level;  /* enum level */
    uint32_t log_format; /* enum log_format */
    uint32_t quiet;      /* enum quiet */
    const char *name;

    struct option_given *given; /* what stood on the command line, in order */
    size_t n_given;
};

/* Releases what options_parse() allocated. */
void settings_free(struct settings *settings);

/* Tells whether an option was given on the command line, by its long name. */
bool settings_were_given(const struct settings *settings, const char *name);

/* Fills the configuration of a session. */
void settings_session_config(const struct settings *settings, struct smux_config *out_config);

/* Checks what no single option can tell: 0, or the exit code after a message on stderr. */
int settings_check(const struct settings *settings, enum smux_role role);

/* Writes one `config` line at debug level for each option that was given. */
void settings_log(const struct settings *settings, const char *component);

#endif
