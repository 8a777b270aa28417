#include "core.h"

/* Windows that let so many bytes pass in a microsecond are not what slows streams down: 8 Gbit/s.
 * More in flight between two ends of one machine only means that it has left the cache. */
#define FAST_ENOUGH 1000u
/* As long as the line has not shown that it is long, a few busy streams share so much, and each has
 * at most this. The last byte in flight waits for all before it, and so does what is urgent. */
#define SHORT_LINE 524288u
#define SHARE_MAX  131072u
/* Of many, each has so much for every one of them, up to its first window: the more there are, the
 * longer until the reader of each has its turn, and the dearer to wake it for little. */
#define SHARE_OF_MANY 8192u
/* A pause of the reader from here on is worth a larger window. */
#define PAUSE_US 5000u
/* A line that answers later is long, whatever the machine is busy with: with one stream, and with
 * several. Of others so many answers are awaited first, as the shortest of them tells. */
#define SURELY_US         5000u
#define SURELY_SEVERAL_US 20000u
#define SAMPLES           8u
/* This part of a round without data is worth a larger window. */
#define QUIET_SHARE 16u
/* What larger windows bring is seen in so many rounds. */
#define TRIAL_ROUNDS 2u
/* Between two looks for windows that have become too large. */
#define LOOK_US 1000000u

/* The stream windows are not ours to change if the application has set them. */
static bool is_fixed(const smux_engine *e)
{
    return e->config.max_stream_buffer != 0 || e->config.max_window_growth == SMUX_OFF;
}

static uint32_t first_window(const smux_engine *e)
{
    uint32_t set = e->config.max_stream_buffer;

    return set != 0 ? set : smux__min_u32(SMUX__INITIAL_WINDOW, e->config.max_receive_buffer);
}

void smux__tune_init(smux_engine *e)
{
    e->tuner.look_at_us = SMUX_NEVER;
    e->tuner.round_us[0] = SMUX_NEVER;
    e->tuner.round_us[1] = SMUX_NEVER;
    e->tuner.tried_us = SMUX_NEVER;
}

/* The round trip, as far as one knows: all streams go the same way. */
static uint64_t shortest_round(const smux_engine *e)
{
    const uint64_t *round_us = e->tuner.round_us;

    return round_us[0] < round_us[1] ? round_us[0] : round_us[1];
}

/* What each of several busy streams gets of a short line, or before it has grown. */
static uint32_t share_of_short_line(const smux_engine *e)
{
    uint32_t few = smux__min_u32(SHORT_LINE / e->tuner.n, SHARE_MAX);
    uint32_t many = first_window(e);

    if (e->tuner.n < many / SHARE_OF_MANY) {
        many = e->tuner.n * SHARE_OF_MANY;
    }
    return smux__max_u32(few, many);
}

uint32_t smux__tune_window(const smux_engine *e, const struct smux_estream *stream)
{
    uint32_t window = stream->tuning != NULL ? stream->tuning->window : first_window(e);
    bool has_grown = window > first_window(e) && shortest_round(e) >= SURELY_US;

    if (e->tuner.n > 1 && !has_grown) { /* what it has grown for pauses it needs when alone */
        return smux__min_u32(window, share_of_short_line(e));
    }
    return window;
}

/* The room in the budget that each of many streams takes for its share; 0 if there is enough. */
static uint32_t room_of_many(const smux_engine *e)
{
    uint64_t share = e->tuner.n > 1 ? share_of_short_line(e) : 0;

    return share * (e->tuner.n + 1) > e->config.max_receive_buffer ? (uint32_t)share : 0;
}

uint32_t smux__tune_growth(const struct smux_estream *stream)
{
    return stream->tuning != NULL ? stream->tuning->room : 0;
}

/* --- watching ------------------------------------------------------------------------------ */

/* Where the window ends that the last update told. */
static uint32_t last_edge(const struct smux_estream *stream)
{
    return stream->updated_at + stream->advertised;
}

static void watch(smux_engine *e, struct smux_estream *stream)
{
    const struct smux_allocator *alloc = &e->pool.alloc;
    struct smux__tuner *tuner = &e->tuner;
    struct smux__tuning *tuning = alloc->alloc(sizeof(*tuning), alloc->ctx);

    if (tuning == NULL) {
        return; /* the window stays as it is */
    }
    *tuning = (struct smux__tuning){
        .stream = stream,
        .next = tuner->head,
        .window = first_window(e),
        .told = stream->received < SMUX__INITIAL_WINDOW ? SMUX__INITIAL_WINDOW : last_edge(stream),
        .asked_us = SMUX_NEVER,
        .dry_us = SMUX_NEVER,
        .full_us = SMUX_NEVER,
        .seen = stream->consumed,
    };
    if (tuner->head != NULL) {
        tuner->head->prev = tuning;
    } else {
        tuner->looked_us = e->now_us;
        tuner->look_at_us = e->now_us + LOOK_US;
    }
    tuner->head = tuning;
    tuner->n++;
    stream->tuning = tuning;
}

/* Takes room for a window into the budget, or returns some. */
static void resize(smux_engine *e, struct smux__tuning *tuning, uint32_t window, uint32_t room)
{
    e->tuner.growth -= tuning->room;
    e->tuner.growth += room;
    smux__engine_set_admission(e);
    tuning->window = window;
    tuning->room = room;
    if (!e->decoder.busy && !e->intake.under_way) {
        smux__intake_note_pause(e);
    }
}

void smux__tune_forget(smux_engine *e, struct smux_estream *stream)
{
    struct smux__tuning *tuning = stream->tuning;

    if (tuning == NULL) {
        return;
    }
    resize(e, tuning, first_window(e), 0);
    *(tuning->prev != NULL ? &tuning->prev->next : &e->tuner.head) = tuning->next;
    if (tuning->next != NULL) {
        tuning->next->prev = tuning->prev;
    }
    if (--e->tuner.n == 0) {
        e->tuner.look_at_us = SMUX_NEVER;
        e->tuner.tried_us = SMUX_NEVER;
        e->tuner.best_rate = 0;
    }
    stream->tuning = NULL;
    e->pool.alloc.free(tuning, e->pool.alloc.ctx);
}

/* Takes the room of one of many as soon as an update can tell of it; look() gives it back. Not while
 * reading pauses for want of budget: an update is formed where nobody goes on decoding. */
static void take_room(smux_engine *e, struct smux__tuning *tuning)
{
    uint32_t room = room_of_many(e);

    if (smux__engine_has_budget(e) && tuning->room < room &&
        room - tuning->room <= e->config.max_window_growth - e->tuner.growth) {
        resize(e, tuning, tuning->window, room);
    }
}

/* --- growing ------------------------------------------------------------------------------- */

/* Bytes still to come before the sender has used up its window; one that avoids small frames may
 * stop a little before [WIN-8]. Negative behind the answer. */
static int32_t to_come(const struct smux_estream *stream, uint32_t edge)
{
    return (int32_t)(edge - (uint32_t)stream->received);
}

static bool is_dry(int32_t left)
{
    return left >= 0 && left < (int32_t)SMUX__SILLY_WINDOW;
}

/* Tells whether the window ends where the sender has to stop. One that became smaller does not: what
 * comes behind its end may have been allowed before, and answers nothing. */
static bool note_told(const struct smux_estream *stream, struct smux__tuning *tuning)
{
    uint32_t edge = last_edge(stream);

    if ((int32_t)(edge - tuning->told) > 0) {
        tuning->told = edge;
    }
    return edge == tuning->told;
}

void smux__tune_update(smux_engine *e, struct smux_estream *stream)
{
    if (is_fixed(e)) {
        return;
    }
    if (stream->tuning == NULL) {
        watch(e, stream);
    }
    struct smux__tuning *tuning = stream->tuning;
    if (tuning != NULL) {
        take_room(e, tuning);
    }
    if (tuning != NULL && tuning->full_us != SMUX_NEVER) {
        tuning->stopped_us = e->now_us - tuning->full_us;
        tuning->full_us = SMUX_NEVER;
    }
    if (tuning != NULL && note_told(stream, tuning) && tuning->asked_us == SMUX_NEVER) {
        tuning->edge = tuning->told;
        tuning->asked_us = e->now_us;
        tuning->quiet_us = e->tuner.quiet_us;
        tuning->dry_us = is_dry(to_come(stream, tuning->edge)) ? e->now_us : SMUX_NEVER;
    }
}

/* What the peer may have sent for a larger window keeps its room until it was read. */
static uint32_t room_for(const smux_engine *e, const struct smux__tuning *tuning, uint32_t window)
{
    uint32_t unread =
        smux__min_u32(smux__stream_input(tuning->stream), tuning->room + first_window(e));

    return smux__max_u32(window, unread) - first_window(e);
}

static void grow(smux_engine *e, struct smux__tuning *tuning, uint64_t more)
{
    uint64_t left = e->config.max_window_growth - e->tuner.growth;
    uint32_t room = SMUX__MAX_WINDOW - tuning->window;

    more = more < room ? more : room;
    more = more < left ? more : left;
    if (more > 0) {
        uint32_t window = tuning->window + (uint32_t)more;
        resize(e, tuning, window, room_for(e, tuning, window));
        tuning->grown = true;
        e->stats.windows_grown++;
        tuning->stream->flags |= STREAM_UPD_DUE; /* [UPD-2] */
        smux__send_schedule(e, tuning->stream);
    }
}

/* The window that the sender has: less than the stream is worth while several share. */
static uint32_t offered(const struct smux__tuning *tuning)
{
    return smux__min_u32(tuning->window, tuning->stream->advertised);
}

/* What may be in flight passes too slowly over a line of this round trip. Several streams that keep
 * a machine busy answer as late as over a line of some ms, and one that grew would leave the others
 * with their share. */
static bool is_long_line(const smux_engine *e, const struct smux__tuning *tuning)
{
    uint64_t round_us = shortest_round(e);
    bool sampled = tuning->answers >= SAMPLES;

    if (e->tuner.n > 1) {
        return round_us >= (sampled ? SURELY_US : SURELY_SEVERAL_US);
    }
    return round_us > tuning->window / FAST_ENOUGH && (sampled || round_us >= SURELY_US);
}

/* Nothing of any stream comes for longer than some packets take, when a line is not full. */
static void note_arrival(smux_engine *e)
{
    uint64_t gap_us = e->now_us - e->tuner.heard_us;

    e->tuner.heard_us = e->now_us;
    if (gap_us >= shortest_round(e) / QUIET_SHARE) {
        e->tuner.quiet_us += gap_us;
    }
}

/* The line itself was idle for part of a round, and not only this stream. */
static bool line_was_quiet(const smux_engine *e, const struct smux__tuning *tuning,
                           uint64_t round_us)
{
    return e->tuner.n == 1 || e->tuner.quiet_us - tuning->quiet_us >= round_us / QUIET_SHARE;
}

/* Streams that answer at different times leave no gap that is long, although the line is not full.
 * So windows grow for a while, and go on if all streams together got a quarter more by it. */
static bool growth_pays(smux_engine *e, uint64_t round_us)
{
    struct smux__tuner *tuner = &e->tuner;
    uint64_t elapsed_us = e->now_us - tuner->tried_us;

    if (tuner->tried_us == SMUX_NEVER) {
        tuner->pays = true; /* to be seen */
    } else if (elapsed_us >= TRIAL_ROUNDS * round_us) {
        uint64_t rate = (e->stats.payload_in - tuner->tried_at) * 1000 / elapsed_us;
        tuner->pays = rate >= tuner->best_rate + tuner->best_rate / 4;
        tuner->best_rate = rate > tuner->best_rate ? rate : tuner->best_rate;
    } else {
        return tuner->pays;
    }
    tuner->tried_us = e->now_us;
    tuner->tried_at = e->stats.payload_in;
    return tuner->pays;
}

/* The answer has come. */
static void judge(smux_engine *e, struct smux__tuning *tuning)
{
    const struct smux_estream *stream = tuning->stream;
    uint64_t round_us = e->now_us - tuning->asked_us;
    uint64_t idle_us = tuning->dry_us != SMUX_NEVER ? e->now_us - tuning->dry_us : 0;
    int32_t unread = (int32_t)(tuning->edge - stream->consumed);
    bool was_idle = idle_us > 0 && idle_us >= round_us / QUIET_SHARE;
    bool has_read = unread <= (int32_t)(offered(tuning) / 4);

    tuning->asked_us = SMUX_NEVER;
    if (tuning->answers < SAMPLES) {
        tuning->answers++;
    }
    if (round_us < e->tuner.round_us[0]) { /* also when it waited behind what was sent before */
        e->tuner.round_us[0] = round_us;
    }
    if (was_idle && has_read && is_long_line(e, tuning) &&
        (line_was_quiet(e, tuning, round_us) || growth_pays(e, round_us))) {
        bool mostly = idle_us >= round_us - round_us / 4;
        grow(e, tuning, (uint64_t)tuning->window * (mostly ? 3 : 1));
    }
}

/* Watches whether an application that had stopped the line by a pause catches up. Beside others it
 * has stopped only itself. */
static void mind_pauses(smux_engine *e, struct smux__tuning *tuning)
{
    const struct smux_estream *stream = tuning->stream;

    if (e->tuner.n == 1 && tuning->stopped_us >= PAUSE_US &&
        smux__stream_input(stream) <= offered(tuning) / 4) {
        tuning->stopped_us = 0;
        grow(e, tuning, tuning->window);
    }
    if (tuning->full_us == SMUX_NEVER &&
        is_dry(to_come(stream, stream->updated_at + stream->advertised))) {
        tuning->full_us = e->now_us;
        tuning->stopped_us = 0;
    }
}

void smux__tune_received(smux_engine *e, struct smux_estream *stream)
{
    struct smux__tuning *tuning = stream->tuning;

    note_arrival(e);
    mind_pauses(e, tuning);
    if (tuning->asked_us == SMUX_NEVER) {
        return;
    }
    int32_t left = to_come(stream, tuning->edge);
    if (left < 0) {
        judge(e, tuning);
    } else if (tuning->dry_us == SMUX_NEVER && is_dry(left)) {
        tuning->dry_us = e->now_us;
    }
}

/* --- shrinking ----------------------------------------------------------------------------- */

/* Halves the window of a stream that makes little use of it. */
static void look(smux_engine *e, struct smux__tuning *tuning, uint64_t elapsed_us)
{
    struct smux_estream *stream = tuning->stream;
    uint32_t used = stream->consumed - tuning->seen;
    uint32_t window = tuning->window;

    tuning->seen = stream->consumed;
    if (!tuning->grown && window > first_window(e) &&
        used * shortest_round(e) / elapsed_us < window / 4) {
        window = window / 2 > first_window(e) ? window / 2 : first_window(e);
    }
    tuning->grown = false;
    uint32_t room = room_for(e, tuning, window);
    if (used >= tuning->room) { /* it makes use of it */
        room = smux__max_u32(room, smux__min_u32(room_of_many(e), tuning->room));
    }
    resize(e, tuning, window, room);
    if (used == 0 && tuning->room == 0) {
        smux__tune_forget(e, stream);
    }
    if (!smux__stream_is(stream, STREAM_FIN_RCVD) && stream->advertised > window) {
        stream->flags |= STREAM_UPD_DUE;
        smux__send_schedule(e, stream);
    }
}

void smux__tune_tick(smux_engine *e)
{
    struct smux__tuner *tuner = &e->tuner;
    struct smux__tuning *next;

    if (e->now_us < tuner->look_at_us) {
        return;
    }
    uint64_t elapsed_us = e->now_us - tuner->looked_us;
    tuner->looked_us = e->now_us;
    tuner->look_at_us = e->now_us + LOOK_US;
    for (struct smux__tuning *tuning = tuner->head; tuning != NULL; tuning = next) {
        next = tuning->next;
        look(e, tuning, elapsed_us);
    }
    if (tuner->round_us[0] != SMUX_NEVER) {
        tuner->round_us[1] = tuner->round_us[0];
        tuner->round_us[0] = SMUX_NEVER;
    }
}
