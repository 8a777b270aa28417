#include "registry.h"

#include <stdlib.h>

static bool registry_grow(struct smux__registry *registry)
{
    uint32_t capacity = registry->capacity > 0 ? registry->capacity * 2 : 8;
    struct smux__registry_slot *slots =
        realloc(registry->slots, capacity * sizeof(struct smux__registry_slot));

    if (slots == NULL) {
        return false;
    }
    registry->slots = slots;
    registry->capacity = capacity;
    return true;
}

/* Index of a free slot + 1; 0 without memory. */
static uint32_t registry_take(struct smux__registry *registry)
{
    uint32_t place = registry->first_free;

    if (place > 0) {
        registry->first_free = registry->slots[place - 1].next_free;
        return place;
    }
    if (registry->n == registry->capacity && !registry_grow(registry)) {
        return 0;
    }
    registry->slots[registry->n].uses = 0;
    return ++registry->n;
}

uint64_t smux__registry_add(struct smux__registry *registry, smux_session *session)
{
    uint32_t place = registry_take(registry);

    if (place == 0) {
        return 0;
    }
    struct smux__registry_slot *slot = &registry->slots[place - 1];
    slot->session = session;
    slot->uses = (slot->uses + 1) & INT32_MAX;
    return (uint64_t)slot->uses << 32 | place;
}

smux_session *smux__registry_find(const struct smux__registry *registry, uint64_t number)
{
    uint32_t place = (uint32_t)number;

    if (place == 0 || place > registry->n) {
        return NULL;
    }
    const struct smux__registry_slot *slot = &registry->slots[place - 1];
    return slot->uses == number >> 32 ? slot->session : NULL;
}

void smux__registry_remove(struct smux__registry *registry, uint64_t number)
{
    uint32_t place = (uint32_t)number;

    registry->slots[place - 1].session = NULL;
    registry->slots[place - 1].next_free = registry->first_free;
    registry->first_free = place;
}

void smux__registry_deinit(struct smux__registry *registry)
{
    free(registry->slots);
    *registry = (struct smux__registry){0};
}
