/*
 * scarce.h - malloc, calloc and realloc of the library fail on demand.
 *
 * For what does not go through the allocator of a configuration: sessions, loops, transports. A
 * test with `ctest-scarce` in its first lines is linked with a copy of the library whose calls of
 * malloc() and the like go to scarce.c. Those of the test itself do not. Any thread may call.
 *
 *     do {
 *         scarce_begin(++n, false);
 *         ... a scenario ...
 *         ck_assert_uint_eq(scarce_live(), 0);
 *     } while (scarce_end() > 0);
 */
#ifndef SUPPORT_SCARCE_H
#define SUPPORT_SCARCE_H

#include <stdbool.h>
#include <stddef.h>

/** From here on the `nth` allocation (from 1; 0 = none) fails, and all later ones if `on`. */
void scarce_begin(unsigned nth, bool on);

/** Nothing fails any more. Returns how many allocations failed. */
unsigned scarce_end(void);

/** Returns how many allocations have failed since scarce_begin(). */
unsigned scarce_failures(void);

/** Returns how many blocks were allocated since scarce_begin() and are not freed. */
size_t scarce_live(void);

#endif
