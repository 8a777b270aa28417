/*
 * tune.h - windows that tune themselves (version 2).
 *
 * A stream starts with the window that both ends assume anyway [WIN-1]. Whether it is too small is
 * seen from here, without help of the peer: an update that moves the end of the window from E to E'
 * is answered, a round trip later, by the first byte behind E.
 *
 *      update        last byte before E        first byte behind E
 *        |-- bytes come --|------ nothing comes ------|            the window stops the sender
 *        |-------------- bytes come ------------------|            it does not
 *
 * If nothing came for a sixteenth of that time or more, and the application had read nearly
 * everything meanwhile, the window doubles: the line was idle although both ends would have gone
 * on. It grows fourfold if that was so for three quarters of the time. The time between updates
 * says nothing of this and is not used. While several streams are busy, the line has to be idle as a
 * whole, or all of them together have to get more by larger windows: on a slow line a stream waits
 * behind the others, however short that is.
 *
 * An application that reads in bursts lets the window fill up, and then reads all that came and
 * what follows. The line is idle from the last byte that the window allows to the update that
 * allows more. If that was five milliseconds or more, and the application comes to have read nearly
 * everything before the window is full again, it doubles, too.
 *
 * It halves, second by second, while four times of what is read in such a round would still fit
 * into it: so it follows an application that slows down or stops.
 *
 * What windows have grown beyond their first size is added to the budget of the session, up to
 * max_window_growth: a peer has to be read from in order to occupy more memory. So are the shares of
 * many busy streams, which the budget could not give to all of them.
 */
#ifndef SMUX__TUNE_H
#define SMUX__TUNE_H

#include <stdbool.h>
#include <stdint.h>

struct smux_engine;
struct smux_estream;

/* What a stream has besides, while its window is watched. */
struct smux__tuning {
    struct smux_estream *stream;
    struct smux__tuning *prev, *next; /* in tuner.head */
    uint32_t window;                  /* to be offered if the budget allows */
    uint32_t room;                    /* in the budget: the window, or what came for an older one */
    uint32_t told;                    /* the last byte that any update allowed, */
    uint32_t edge;                    /* E: the byte behind it answers an update, */
    uint64_t asked_us;                /* which was formed then; SMUX_NEVER: none is watched */
    uint64_t dry_us;                  /* when all bytes before E were there; SMUX_NEVER: not yet */
    uint64_t full_us;                 /* when all that the window allows was there; SMUX_NEVER: it
                                         is not */
    uint64_t stopped_us;              /* how long that lasted the last time; 0: it is settled */
    uint64_t quiet_us;                /* tuner.quiet_us when it was asked */
    uint32_t seen;                    /* stream.consumed at the last look */
    uint8_t answers;                  /* so many were seen; no more than are of interest */
    bool grown;                       /* since the last look */
};

struct smux__tuner {
    struct smux__tuning *head; /* streams that are watched, */
    uint32_t n;                /* and how many that are */
    uint64_t growth;           /* sum of what their windows have grown */
    uint64_t look_at_us;       /* next look at all of them; SMUX_NEVER if there are none */
    uint64_t looked_us;        /* the last one */
    uint64_t heard_us;         /* when payload of any of them came last */
    uint64_t quiet_us;         /* sum of the gaps in which none came */
    uint64_t tried_us;         /* larger windows are on trial since then, SMUX_NEVER: not yet, */
    uint64_t tried_at;         /* and stats.payload_in was this */
    uint64_t best_rate;        /* bytes in a thousand microseconds of the best trial */
    bool pays;                 /* the last one was better than those before */
    uint64_t round_us[2];      /* shortest time from update to answer: since the last look, and
                                  before; SMUX_NEVER if none was seen */
};

void smux__tune_init(struct smux_engine *e);

/* The window that a stream is worth, whatever the budget says. */
uint32_t smux__tune_window(const struct smux_engine *e, const struct smux_estream *stream);

/* What was added to the budget for this stream. */
uint32_t smux__tune_growth(const struct smux_estream *stream);

/* To be called before an update of a stream that was told a window before is formed. */
void smux__tune_update(struct smux_engine *e, struct smux_estream *stream);

/* To be called when payload of a watched stream has arrived. */
void smux__tune_received(struct smux_engine *e, struct smux_estream *stream);

/* Watches a stream no more; what it had grown is given back. */
void smux__tune_forget(struct smux_engine *e, struct smux_estream *stream);

/* Looks for windows that have become too large, when it is time to. */
void smux__tune_tick(struct smux_engine *e);

#endif
