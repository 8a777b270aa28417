/*
 * poison.h - memory in a free list of ours is not to be touched, and AddressSanitizer sees to it.
 *
 * The sanitizer knows what the allocator has; of our own free lists it has to be told. Without it
 * these are nothing.
 */
#ifndef SMUX__POISON_H
#define SMUX__POISON_H

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define SMUX__POISONS 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define SMUX__POISONS 1
#endif

#ifdef SMUX__POISONS
#include <sanitizer/asan_interface.h>
#define SMUX__POISON(ptr, len)   ASAN_POISON_MEMORY_REGION(ptr, len)
#define SMUX__UNPOISON(ptr, len) ASAN_UNPOISON_MEMORY_REGION(ptr, len)
#else
#define SMUX__POISON(ptr, len)   ((void)(ptr))
#define SMUX__UNPOISON(ptr, len) ((void)(ptr))
#endif

#endif
