/*
 * Opens, writes, reads, half-closes, aborts and deadlines at random, in many threads; and in half of
 * the runs the end of a session in the midst of it.
 */
#define _GNU_SOURCE 1

#include "scenarios.h"
#include "scene.h"

#include "session/traffic.h"

static void cut(struct ends *ends, struct rng *rng)
{
    scene_pause(rng, 50000);
    smux_session_abort(rng_chance(rng, 50) ? ends->client : ends->server);
}

void random_mix(struct rng *rng)
{
    struct smux_config config;
    struct ends ends;
    struct traffic traffic = {.ends = &ends,
                              .seed = rng_next(rng),
                              .threads = 4,
                              .streams_each = 3,
                              .max_len = 4000,
                              .small_budget = true,
                              .may_end = rng_chance(rng, 50)};

    scene_config(&config, rng);
    config.max_frame_size = rng_log(rng, 50, 20000);
    config.max_receive_buffer = 1 << 20;
    scene_open(&ends, rng, &config, &config);
    traffic_start(&traffic);
    if (traffic.may_end) {
        cut(&ends, rng);
    }
    traffic_join(&traffic);
    scene_close_anyhow(&ends);
}
