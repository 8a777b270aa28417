/*
 * options.h - what the command line asks for.
 */
#ifndef LINKEMU_OPTIONS_H
#define LINKEMU_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_FREEZES 16

/* The directions of a link. */
enum direction {
    UP,  /* from the client, which connected, to the target */
    DOWN /* from the target to the client */
};

struct freeze {
    uint64_t at_ns; /* since the first connection */
    uint64_t for_ns;
};

/* One direction of the link. Times are in nanoseconds. */
struct direction_options {
    uint64_t rate; /* bits per second; 0: no limit */
    uint64_t delay_ns;
    uint64_t jitter_ns; /* at most delay_ns */
    uint64_t queue;     /* bytes that wait in front of the rate limit; 0: the default */
    uint64_t cut_bytes; /* reset after so many delivered bytes; 0: never */
    struct freeze freezes[MAX_FREEZES];
    unsigned n_freezes;
};

struct options {
    const char *listen;
    const char *target;
    struct direction_options directions[2];
    uint64_t cut_at_ns; /* reset all connections so long after the first one; 0: never */
    uint64_t seed;
    uint64_t time_ns; /* end of the program; 0: never */
    size_t max_connections;
    bool control; /* takes orders from standard input */
    bool verbose;
};

/*
 * Parses a command line.
 *
 * Returns -1 to go on, or the exit code: 0 after --help, EX_USAGE after a message.
 */
int options_parse(struct options *options, int argc, char **argv);

#endif
