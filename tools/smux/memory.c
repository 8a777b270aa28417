#define _GNU_SOURCE 1

#include "memory.h"

#include "app.h"
#include "log.h"
#include "relay.h"

void memory_init(struct memory *memory, uint64_t limit)
{
    *memory = (struct memory){.limit = limit};
    heap_init(&memory->heap);
}

uint64_t memory_used(const struct app *app)
{
    return heap_bytes(&app->memory.heap) + app->dials.bytes +
           (uint64_t)app->n_links * sizeof(struct link) +
           (uint64_t)app->n_relays * sizeof(struct relay);
}

bool memory_is_scarce(const struct app *app)
{
    return app->memory.limit > 0 && memory_used(app) > app->memory.limit / 10 * 9;
}

static void throttle(struct app *app, bool on)
{
    app->memory.exhausted = on;
    for (struct link *link = app->links; link != NULL; link = link->next) {
        smux_engine_throttle(link->engine, on);
        link_touch(link); /* what to wait for has changed */
    }
}

void memory_check(struct app *app)
{
    struct memory *memory = &app->memory;
    uint64_t used = memory->limit > 0 ? memory_used(app) : 0;

    if (!memory->exhausted && used > memory->limit) {
        memory->times++;
        throttle(app, true);
    } else if (memory->exhausted && used < memory->limit / 20 * 19) {
        throttle(app, false);
    }
}

void memory_tell(struct app *app)
{
    struct memory *memory = &app->memory;

    if (memory->times > memory->told) {
        LOG_EVENT(LEVEL_WARN, app->ops->name, "stalled", LOG_STR("reason", "memory"),
                  LOG_U64("used", memory_used(app)), LOG_U64("limit", memory->limit),
                  LOG_U64("times", memory->times - memory->told),
                  LOG_STR("hint", "raise --max-memory"));
        memory->told = memory->times;
    }
}
