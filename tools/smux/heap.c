#include "heap.h"

#include <stddef.h>
#include <stdlib.h>

/* Stands before each piece, so that free knows how much goes. */
union heap_head {
    size_t size;
    max_align_t align;
};

static void *heap_alloc(size_t size, void *ctx)
{
    struct heap *heap = ctx;
    union heap_head *head = malloc(sizeof(*head) + size);

    if (head == NULL) {
        return NULL;
    }
    head->size = size;
    atomic_fetch_add_explicit(&heap->bytes, size, memory_order_relaxed);
    return head + 1;
}

static void heap_free(void *ptr, void *ctx)
{
    struct heap *heap = ctx;
    union heap_head *head = (union heap_head *)ptr - 1;

    atomic_fetch_sub_explicit(&heap->bytes, head->size, memory_order_relaxed);
    free(head);
}

void heap_init(struct heap *heap)
{
    heap->allocator = (struct smux_allocator){heap_alloc, heap_free, heap};
    atomic_init(&heap->bytes, 0);
}

uint64_t heap_bytes(const struct heap *heap)
{
    return atomic_load_explicit(&heap->bytes, memory_order_relaxed);
}
