#include "counted.h"

static void *counted_alloc(size_t size, void *ctx)
{
    struct counted *counted = ctx;
    pthread_mutex_lock(&counted->lock);
    void *ptr = counted->heap.allocator.alloc(size, &counted->heap);
    pthread_mutex_unlock(&counted->lock);
    return ptr;
}

static void counted_free(void *ptr, void *ctx)
{
    struct counted *counted = ctx;
    pthread_mutex_lock(&counted->lock);
    counted->heap.allocator.free(ptr, &counted->heap);
    pthread_mutex_unlock(&counted->lock);
}

void counted_init(struct counted *counted)
{
    heap_init(&counted->heap);
    pthread_mutex_init(&counted->lock, NULL);
    counted->allocator = (struct smux_allocator){counted_alloc, counted_free, counted};
}

void counted_bytes(struct counted *counted, size_t *out_now, size_t *out_peak)
{
    pthread_mutex_lock(&counted->lock);
    *out_now = counted->heap.now;
    *out_peak = counted->heap.peak;
    pthread_mutex_unlock(&counted->lock);
}
