#define _GNU_SOURCE 1

#include "link_work.h"

#include "app.h"
#include "bench.h"
#include "link.h"
#include "relay.h"

/* What all sessions that live and are busy may use of a turn of the loop, together: others wait for so
 * long, and the calls by which the loop waits cost some microseconds a turn. Each has an equal share,
 * and not less than SHARE_NS_MIN, which is some system calls. */
#define TURN_NS      60000u
#define SHARE_NS_MIN 10000u

/* What the end of dead sessions may use of it, together. */
#define END_NS 40000u

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

/* Takes up a stream of the peer; false when there is none. */
static bool serve_new(struct link *link)
{
    smux_estream *stream;

    if (smux_engine_accept(link->engine, &stream) != SMUX_OK) {
        return false;
    }
    take_stream(link, stream);
    return true;
}

/* Passes on an event of a stream that was taken up; false when there is none. */
static bool serve_event(struct link *link)
{
    unsigned events;
    smux_estream *stream = smux_engine_next_ready(link->engine, &events);

    if (stream != NULL) {
        dispatch(link, stream, events);
    }
    return stream != NULL;
}

/* --- a dead session ---------------------------------------------------------------------- */

/* Tells a relay of the end, which delivers what arrived complete and may end; then gives up streams that
 * were not taken up, of which there may be thousands. False when nothing is left of both. */
static bool serve_end(struct link *link)
{
    struct relay *relay = link->untold;
    smux_estream *stream;

    if (relay != NULL) {
        link->untold = relay->next;
        relay_on_session_end(relay);
        return true;
    }
    if (smux_engine_accept(link->engine, &stream) == SMUX_OK) {
        smux_estream_close(link->engine, stream);
        return true;
    }
    return false;
}

/* --- turns ------------------------------------------------------------------------------- */

/* Serves a local side; false when none is ready. */
static bool serve_local(struct link *link)
{
    struct relay *relay = link->ready;

    if (relay != NULL) {
        link_work_forget_local(link, relay);
        relay_serve_local(relay);
    }
    return relay != NULL;
}

/* Serves one of each kind in turn, so that none waits for all of another; false when there is nothing
 * to do. */
static bool serve_one(struct link *link)
{
    static bool (*const living[])(struct link *) = {serve_new, serve_event, serve_local};
    static bool (*const dead[])(struct link *) = {serve_end, serve_local};
    bool (*const *kinds)(struct link *) = link->state == LINK_DEAD ? dead : living;
    unsigned n = link->state == LINK_DEAD ? 2 : 3;

    for (unsigned i = 0; i < n; i++) {
        if (kinds[link->kind++ % n](link)) {
            return true;
        }
    }
    return false;
}

/* Serves for `limit_ns`; false when there is nothing left to do. Adds to what was used up. To ask for the
 * time costs 70 ns, and what is served several system calls mostly. */
static bool serve_for(struct link *link, uint64_t limit_ns, uint64_t *used_ns)
{
    uint64_t begin_ns = uv_hrtime() - *used_ns;
    bool more = true;

    while (more && *used_ns < limit_ns) {
        more = serve_one(link);
        *used_ns = uv_hrtime() - begin_ns;
    }
    return more;
}

/* The busy ones are those of the last turn. */
static uint64_t share_ns(const struct app_turn *turn)
{
    return turn->busy > 1 ? TURN_NS / turn->busy : TURN_NS;
}

/* Dead sessions are served one after the other, but something is done for each. */
static bool serve_dead(struct link *link)
{
    struct app_turn *turn = &link->app->turn;

    return serve_one(link) && serve_for(link, END_NS, &turn->end_ns);
}

/* Those that leave nothing over have less than a share each, but may be many. */
static uint64_t limit_ns(const struct link *link)
{
    const struct app_turn *turn = &link->app->turn;
    uint64_t left = turn->used_ns < TURN_NS ? TURN_NS - turn->used_ns : 0;
    uint64_t share = share_ns(turn);

    if (link->turn_ns + left < share) {
        share = link->turn_ns + left;
    }
    return share > SHARE_NS_MIN ? share : SHARE_NS_MIN;
}

static bool serve_living(struct link *link)
{
    struct app_turn *turn = &link->app->turn;

    if (link->turn != turn->number) {
        link->turn = turn->number;
        link->turn_ns = 0;
    }
    uint64_t before_ns = link->turn_ns;
    bool more = serve_for(link, limit_ns(link), &link->turn_ns);
    turn->used_ns += link->turn_ns - before_ns;
    return more;
}

static bool serve(struct link *link)
{
    struct app_turn *turn = &link->app->turn;
    bool dead = link->state == LINK_DEAD;
    bool more = dead ? serve_dead(link) : serve_living(link);

    if (more && link->busy_turn != turn->number) {
        link->busy_turn = turn->number;
        (*(dead ? &turn->ending_now : &turn->busy_now))++;
    }
    return more;
}

static void on_work(uv_idle_t *work);

static void work_turn(struct link *link)
{
    if (serve(link)) {
        uv_idle_start(&link->work, on_work);
    } else {
        uv_idle_stop(&link->work);
    }
}

bool link_work_is_left(const struct link *link)
{
    return uv_is_active((const uv_handle_t *)&link->work);
}

void link_work_take_up(struct link *link)
{
    if (link->state == LINK_DEAD || !link_work_is_left(link)) {
        work_turn(link);
    }
}

static void go_on(struct link *link)
{
    link_pin(link);
    if (link->state == LINK_DEAD || smux_engine_error(link->engine) == SMUX_OK) {
        work_turn(link);
        link_touch(link); /* what is written in on_ready() is sent behind it, but not here */
    } else {
        uv_idle_stop(&link->work); /* on_ready() comes, and tells the reason first */
    }
    link_unpin(link);
}

static void on_work(uv_idle_t *work)
{
    go_on(work->data);
}

void link_work_init(struct link *link)
{
    uv_idle_init(&link->app->loop, &link->work);
    link->work.data = link;
    link->ready_end = &link->ready;
}

/* --- local sides ------------------------------------------------------------------------- */

void link_work_take_up_local(struct link *link, struct relay *relay)
{
    if (relay->ready_at == NULL) {
        relay->ready_at = link->ready_end;
        relay->next_ready = NULL;
        *link->ready_end = relay;
        link->ready_end = &relay->next_ready;
        link->app->n_ready++;
    }
    if (!link_work_is_left(link)) {
        go_on(link);
    }
}

void link_work_forget_local(struct link *link, struct relay *relay)
{
    if (relay->ready_at == NULL) {
        return;
    }
    *relay->ready_at = relay->next_ready;
    if (relay->next_ready != NULL) {
        relay->next_ready->ready_at = relay->ready_at;
    } else {
        link->ready_end = relay->ready_at;
    }
    relay->ready_at = NULL;
    link->app->n_ready--;
}
