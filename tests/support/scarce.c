#include "scarce.h"

#include <stdatomic.h>
#include <stdlib.h>

/* What the copy of the library calls instead; see tests/CMakeLists.txt. */
void *scarce_malloc(size_t size);
void *scarce_calloc(size_t n, size_t size);
void *scarce_realloc(void *ptr, size_t size);
void scarce_free(void *ptr);

static atomic_uint fail_at;
static atomic_bool fail_on;
static atomic_uint calls;
static atomic_uint failures;
static atomic_size_t live;

static bool must_fail(void)
{
    unsigned call = atomic_fetch_add(&calls, 1) + 1;
    unsigned nth = atomic_load(&fail_at);

    if (nth == 0 || call < nth || (call > nth && !atomic_load(&fail_on))) {
        return false;
    }
    atomic_fetch_add(&failures, 1);
    return true;
}

static void *count(void *ptr)
{
    if (ptr != NULL) {
        atomic_fetch_add(&live, 1);
    }
    return ptr;
}

void *scarce_malloc(size_t size)
{
    return must_fail() ? NULL : count(malloc(size));
}

void *scarce_calloc(size_t n, size_t size)
{
    return must_fail() ? NULL : count(calloc(n, size));
}

void *scarce_realloc(void *ptr, size_t size)
{
    if (must_fail()) {
        return NULL;
    }
    return ptr == NULL ? count(malloc(size)) : realloc(ptr, size);
}

void scarce_free(void *ptr)
{
    if (ptr != NULL) {
        atomic_fetch_sub(&live, 1);
        free(ptr);
    }
}

void scarce_begin(unsigned nth, bool on)
{
    atomic_store(&fail_at, nth);
    atomic_store(&fail_on, on);
    atomic_store(&calls, 0);
    atomic_store(&failures, 0);
    atomic_store(&live, 0);
}

unsigned scarce_end(void)
{
    atomic_store(&fail_at, 0);
    return scarce_failures();
}

unsigned scarce_failures(void)
{
    return atomic_load(&failures);
}

size_t scarce_live(void)
{
    return atomic_load(&live);
}
