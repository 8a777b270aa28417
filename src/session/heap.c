#include "heap.h"

#include <stdlib.h>

bool smux__heap_reserve(struct smux__heap *heap, size_t n)
{
    if (n <= heap->capacity) {
        return true;
    }
    size_t capacity = n < 8 ? 8 : n * 2;
    struct smux__timed **items = realloc(heap->items, capacity * sizeof(*items));
    if (items == NULL) {
        return false;
    }
    heap->items = items;
    heap->capacity = capacity;
    return true;
}

void smux__heap_deinit(struct smux__heap *heap)
{
    free(heap->items);
    heap->items = NULL;
    heap->n = 0;
    heap->capacity = 0;
}

static void heap_put(struct smux__heap *heap, size_t place, struct smux__timed *item)
{
    heap->items[place] = item;
    item->place = place;
}

static void heap_rise(struct smux__heap *heap, size_t place, struct smux__timed *item)
{
    while (place > 0 && item->at_us < heap->items[(place - 1) / 2]->at_us) {
        heap_put(heap, place, heap->items[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    heap_put(heap, place, item);
}

static void heap_sink(struct smux__heap *heap, size_t place, struct smux__timed *item)
{
    for (;;) {
        size_t child = 2 * place + 1;
        if (child + 1 < heap->n && heap->items[child + 1]->at_us < heap->items[child]->at_us) {
            child++;
        }
        if (child >= heap->n || item->at_us <= heap->items[child]->at_us) {
            break;
        }
        heap_put(heap, place, heap->items[child]);
        place = child;
    }
    heap_put(heap, place, item);
}

/* Puts an element to where it belongs, starting at a place that is free. */
static void heap_settle(struct smux__heap *heap, size_t place, struct smux__timed *item)
{
    heap_rise(heap, place, item);
    heap_sink(heap, item->place, item);
}

static void heap_take_out(struct smux__heap *heap, const struct smux__timed *item)
{
    struct smux__timed *last = heap->items[--heap->n];

    if (last != item) {
        heap_settle(heap, item->place, last);
    }
}

void smux__heap_set(struct smux__heap *heap, struct smux__timed *item, uint64_t at_us)
{
    bool was_in = item->at_us != SMUX_NEVER;

    item->at_us = at_us;
    if (was_in && at_us == SMUX_NEVER) {
        heap_take_out(heap, item);
    } else if (was_in) {
        heap_settle(heap, item->place, item);
    } else if (at_us != SMUX_NEVER) {
        heap->n++;
        heap_settle(heap, heap->n - 1, item);
    }
}

struct smux__timed *smux__heap_first(const struct smux__heap *heap)
{
    return heap->n > 0 ? heap->items[0] : NULL;
}
