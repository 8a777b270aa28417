/*
 * options.h - the command line of cpeer, in the manner of gopeer: "-name value", "-flag".
 *
 * Durations are a number with ms, s or m, and "off" where the library knows SMUX_OFF. A
 * configuration value that is not given stays 0, which means the default of libsmux.
 */
#ifndef INTEROP_OPTIONS_H
#define INTEROP_OPTIONS_H

#include <smux/base.h>

#include <stdbool.h>
#include <stdint.h>

/** What can be asked for; a command reads the fields it knows. */
struct options {
    const char *command;
    const char *address; /**< -l or -r */
    struct smux_config config;
    uint32_t timeout_ms; /**< the process gives up then */
    bool exit_on_stdin;  /**< a listener ends when standard input does */
    uint32_t sessions;   /**< a listener ends after so many; 0 = never */

    uint32_t c;           /**< streams */
    uint32_t parallel;    /**< of them at once */
    uint32_t m;           /**< messages on each */
    uint32_t size;        /**< bytes of a message */
    bool lockstep;        /**< each message waits for the echo of the one before */
    bool eof;             /**< half-close after the data */
    uint32_t idle_ms;     /**< silence before the second half of the messages */
    uint64_t bytes;       /**< payload of a stream */
    uint32_t streams;     /**< at once */
    uint32_t chunk;       /**< bytes of a write */
    bool no_wait;         /**< source-client: close everything after the last write */
    uint32_t last;        /**< a server closes the session after so many streams; 0 = never */
    uint32_t wait_ms;     /**< how long to look for what should or should not come */
    uint32_t allow_lost;  /**< lost greetings that are tolerated */
    uint32_t expect;      /**< streams of the peer to wait for */
    uint32_t ended;       /**< streams the peer must have ended; UINT32_MAX = any number */
    bool probe;           /**< one more stream must echo */
    uint64_t send;        /**< half-close: bytes sent */
    uint64_t reply;       /**< half-close: bytes of the reply */
    const char *order;    /**< half-close: client-first or server-first */
    uint32_t delay_ms;    /**< before reading */
    uint32_t before_ms;   /**< between the data and the half-close */
    uint32_t stalled;     /**< streams left unread */
    uint64_t stall;       /**< bytes written to each of them */
    uint32_t settle_ms;   /**< time for them to fill up */
    uint32_t release_ms;  /**< when they are read */
    uint64_t after;       /**< bytes after which a stream is closed */
    uint32_t accept_ms;   /**< noaccept-server: accept after this time; 0 = never */
    uint32_t deadline_ms; /**< of each write */
};

/** Parses what follows the command's name. On failure a message was printed. */
bool options_parse(struct options *options, int argc, char **argv);

/** Prints all options. */
void options_help(void);

#endif
