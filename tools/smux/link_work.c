#define _GNU_SOURCE 1

#include "link_work.h"

#include "app.h"
#include "bench.h"
#include "link.h"
#include "relay.h"

/* Streams that are served in one turn, and streams that are told of the end. Each costs some system
 * calls, those that break off a connection the longest, and a peer can have thousands. */
#define SERVE_TURN 32
#define END_TURN   8

/* --- a living session -------------------------------------------------------------------- */

static void take_stream(struct link *link, smux_estream *stream)
{
    if (link->bench != NULL) {
        bench_peer_on_stream(link->bench, stream);
    } else if (link->state != LINK_UP) {
        link_refuse_stream(link, stream, "the session is closing");
    } else {
        link->ops->stream(link, stream);
    }
}

static void dispatch(struct link *link, smux_estream *stream, unsigned events)
{
    if (link->bench != NULL) {
        bench_peer_on_event(link->bench, stream, events);
        return;
    }
    struct relay *relay = *(struct relay **)smux_estream_user(stream);
    if (relay != NULL) {
        relay_on_event(relay, events);
    }
}

/* Takes up a stream of the peer, or passes an event on; false when there is none. */
static bool serve_one(struct link *link)
{
    smux_estream *stream;
    unsigned events;

    if (smux_engine_accept(link->engine, &stream) == SMUX_OK) {
        take_stream(link, stream);
        return true;
    }
    stream = smux_engine_next_ready(link->engine, &events);
    if (stream != NULL) {
        dispatch(link, stream, events);
    }
    return stream != NULL;
}

/* --- a dead session ---------------------------------------------------------------------- */

/* Tells a relay of the end, which delivers what arrived complete and may end; false when all know. */
static bool end_one(struct link *link)
{
    struct relay *relay = link->untold;

    if (relay != NULL) {
        link->untold = relay->next;
        relay_on_session_end(relay);
    }
    return relay != NULL;
}

/* --- turns ------------------------------------------------------------------------------- */

static void on_work(uv_idle_t *work);

void link_work_turn(struct link *link)
{
    bool dead = link->state == LINK_DEAD;
    bool more = true;

    for (int i = dead ? END_TURN : SERVE_TURN; i > 0 && more; i--) {
        more = dead ? end_one(link) : serve_one(link);
    }
    if (more) {
        uv_idle_start(&link->work, on_work);
    } else {
        uv_idle_stop(&link->work);
    }
}

static void on_work(uv_idle_t *work)
{
    struct link *link = work->data;

    link_pin(link);
    if (link->state == LINK_DEAD || smux_engine_error(link->engine) == SMUX_OK) {
        link_work_turn(link);
        link_touch(link); /* what is written in on_ready() is sent behind it, but not here */
    } else {
        uv_idle_stop(work); /* on_ready() comes, and tells the reason first */
    }
    link_unpin(link);
}

void link_work_init(struct link *link)
{
    uv_idle_init(&link->app->loop, &link->work);
    link->work.data = link;
}

bool link_work_is_left(const struct link *link)
{
    return uv_is_active((const uv_handle_t *)&link->work);
}
