#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "guard.h"

#include "must.h"
#include <stdlib.h>
#include <string.h>

#if defined(__unix__) && !defined(SUPPORT_NO_MMAP)
#include <sys/mman.h>
#include <unistd.h>

static void guard_map(struct guard *guard)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t usable = (GUARD_SIZE + page - 1) / page * page;
    void *map =
        mmap(NULL, usable + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (map == MAP_FAILED) {
        return;
    }
    guard->map = map;
    guard->map_len = usable + page;
    guard->end = guard->map + usable;
    mprotect(guard->end, page, PROT_NONE);
}

void *guard_shared(size_t size)
{
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return map != MAP_FAILED ? map : calloc(1, size);
}

static void guard_unmap(struct guard *guard)
{
    if (guard->map != NULL) {
        munmap(guard->map, guard->map_len);
    }
}
#else
void *guard_shared(size_t size)
{
    return calloc(1, size);
}

static void guard_map(struct guard *guard)
{
    (void)guard;
}

static void guard_unmap(struct guard *guard)
{
    (void)guard;
}
#endif

void guard_init(struct guard *guard)
{
    memset(guard, 0, sizeof(*guard));
    guard_map(guard);
}

void guard_free(struct guard *guard)
{
    guard_unmap(guard);
    free(guard->plain);
    memset(guard, 0, sizeof(*guard));
}

const uint8_t *guard_copy(struct guard *guard, const void *data, size_t len)
{
    must(len > 0 && len <= GUARD_SIZE, "%zu bytes to guard", len);
    if (guard->map != NULL) {
        return memcpy(guard->end - len, data, len);
    }
    free(guard->plain);
    guard->plain = malloc(len);
    must(guard->plain != NULL, "no memory for the test");
    return memcpy(guard->plain, data, len);
}
