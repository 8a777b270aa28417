#include "pipe.h"

#include <stdlib.h>

#define KIB             1024u
#define CHUNK           (64u * KIB) /* of one read or write */
#define UNLIMITED_QUEUE (16u * KIB * KIB)
/* The queue keeps the link busy while nobody fills it. This program and the sender may lose the
 * processor for some milliseconds on a busy machine. */
#define QUEUE_MS  10u
#define MIN_QUEUE (128u * KIB)
/* Slices: so many each second at most, and never smaller than a packet on Ethernet. Within a tenth
 * of the delay they do not change the round trip by much; shorter ones only cost time. */
#define MIN_SLICE    1448u
#define MIN_SLICE_NS 100000u
#define MAX_SLICE_NS 500000u
/* Slices of short messages, beyond those of full size that fill the pipe. */
#define SPARE_SLICES 8192u

static uint64_t queue_size(const struct direction_options *options)
{
    uint64_t queue = options->rate == 0 ? UNLIMITED_QUEUE : options->rate / 8000 * QUEUE_MS;

    if (options->queue != 0) {
        return options->queue;
    }
    return queue > MIN_QUEUE ? queue : MIN_QUEUE;
}

double pipe_capacity(const struct direction_options *options)
{
    return (double)options->rate / 8e9 * (double)(options->delay_ns + options->jitter_ns) +
           (double)queue_size(options);
}

/* How long bytes take to pass the rate limit. */
static uint64_t passage_ns(const struct direction_options *options, size_t len)
{
    return options->rate == 0 ? 0 : (uint64_t)len * 8000000000u / options->rate;
}

static size_t slice_size(const struct direction_options *options)
{
    uint64_t ns = options->delay_ns / 10;
    double size;

    ns = ns < MIN_SLICE_NS ? MIN_SLICE_NS : ns > MAX_SLICE_NS ? MAX_SLICE_NS : ns;
    size = (double)options->rate / 8e9 * (double)ns;
    if (options->rate == 0 || size > CHUNK) {
        return CHUNK;
    }
    return size < MIN_SLICE ? MIN_SLICE : (size_t)size;
}

bool pipe_init(struct pipe *pipe, const struct direction_options *options,
               const struct linkclock *clock, uint64_t seed)
{
    size_t capacity = (size_t)pipe_capacity(options);
    uint64_t queue = queue_size(options);

    *pipe = (struct pipe){.options = options, .clock = clock, .random = seed};
    pipe->slice_size = slice_size(options);
    pipe->read_size = (size_t)(queue / 2 < CHUNK ? queue / 2 : CHUNK);
    pipe->n_slices = 2 * (capacity / pipe->slice_size) + SPARE_SLICES;
    pipe->slices = calloc(pipe->n_slices, sizeof(pipe->slices[0]));
    if (pipe->slices == NULL || !ring_init(&pipe->ring, capacity)) {
        pipe_deinit(pipe);
        return false;
    }
    return true;
}

void pipe_deinit(struct pipe *pipe)
{
    ring_deinit(&pipe->ring);
    free(pipe->slices);
    pipe->slices = NULL;
}

/* --- in ----------------------------------------------------------------------------------- */

/* splitmix64: a stream of numbers that the seed decides. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* The delay with the jitter of the next slice: delay - jitter to delay + jitter. */
static uint64_t draw_delay(struct pipe *pipe)
{
    uint64_t jitter = pipe->options->jitter_ns;

    if (jitter == 0) {
        return pipe->options->delay_ns;
    }
    return pipe->options->delay_ns - jitter + next_random(&pipe->random) % (2 * jitter + 1);
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void add_slice(struct pipe *pipe, size_t len)
{
    struct slice *slice = &pipe->slices[(pipe->first_slice + pipe->used_slices) % pipe->n_slices];

    pipe->free_ns = later(pipe->free_ns, pipe->clock->now_ns) + passage_ns(pipe->options, len);
    pipe->last_ns = later(pipe->last_ns, pipe->free_ns + draw_delay(pipe));
    pipe->taken += len;
    slice->end = pipe->taken;
    slice->due_ns = pipe->last_ns;
    pipe->used_slices++;
}

bool pipe_has_room(const struct pipe *pipe)
{
    return pipe->ending == PIPE_OPEN && pipe->ring.size - pipe->ring.len >= pipe->read_size &&
           pipe->n_slices - pipe->used_slices > CHUNK / pipe->slice_size;
}

ssize_t pipe_fill(struct pipe *pipe, int fd)
{
    ssize_t got = ring_fill(&pipe->ring, fd, CHUNK);
    size_t rest = got > 0 ? (size_t)got : 0;

    while (rest > 0) {
        size_t len = rest < pipe->slice_size ? rest : pipe->slice_size;
        add_slice(pipe, len);
        rest -= len;
    }
    if (pipe->ring.len > pipe->peak) {
        pipe->peak = pipe->ring.len;
    }
    return got;
}

void pipe_end(struct pipe *pipe, enum pipe_ending ending)
{
    uint64_t free_ns = later(pipe->free_ns, pipe->clock->now_ns);

    pipe->ending = ending;
    pipe->end_ns = later(pipe->last_ns, free_ns + pipe->options->delay_ns);
}

/* --- out ---------------------------------------------------------------------------------- */

static bool is_frozen(const struct pipe *pipe)
{
    return pipe->clock->thaw_ns != 0;
}

/* Drops the slices that are due; their bytes may be delivered from now on. */
static void look_for_due(struct pipe *pipe)
{
    while (pipe->used_slices > 0 && pipe->slices[pipe->first_slice].due_ns <= pipe->clock->now_ns) {
        pipe->due = pipe->slices[pipe->first_slice].end;
        pipe->first_slice = (pipe->first_slice + 1) % pipe->n_slices;
        pipe->used_slices--;
    }
}

static uint64_t deliverable(const struct pipe *pipe)
{
    uint64_t cut = pipe->options->cut_bytes;

    return (cut != 0 && cut < pipe->due ? cut : pipe->due) - pipe->delivered;
}

ssize_t pipe_drain(struct pipe *pipe, int fd)
{
    uint64_t len;
    ssize_t put;

    if (is_frozen(pipe)) {
        return 0;
    }
    look_for_due(pipe);
    len = deliverable(pipe);
    if (len == 0) {
        return 0;
    }
    put = ring_drain(&pipe->ring, fd, len < CHUNK ? (size_t)len : CHUNK);
    if (put > 0) {
        pipe->delivered += (uint64_t)put;
    }
    return put;
}

enum pipe_ending pipe_ended(const struct pipe *pipe)
{
    bool due =
        pipe->delivered == pipe->taken && pipe->end_ns <= pipe->clock->now_ns && !is_frozen(pipe);

    return due ? pipe->ending : PIPE_OPEN;
}

bool pipe_is_cut(const struct pipe *pipe)
{
    return pipe->options->cut_bytes != 0 && pipe->delivered == pipe->options->cut_bytes;
}

uint64_t pipe_next_ns(const struct pipe *pipe)
{
    if (is_frozen(pipe) && (pipe->ring.len > 0 || pipe->ending != PIPE_OPEN)) {
        return pipe->clock->now_ns; /* due already, or never before the thaw */
    }
    if (pipe->used_slices > 0) {
        return pipe->slices[pipe->first_slice].due_ns;
    }
    if (pipe->ending != PIPE_OPEN && pipe->end_ns > pipe->clock->now_ns) {
        return pipe->end_ns;
    }
    return NEVER;
}
