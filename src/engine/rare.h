/*
 * rare.h - what is hardly ever called, and what is called for every frame.
 *
 * Inlined, the former would make those that call them save registers and jump around them each
 * time; so would what is not rare but long (APART). A call of the latter can cost more than what they
 * do.
 */
#ifndef SMUX__RARE_H
#define SMUX__RARE_H

#ifdef __GNUC__
#define SMUX__RARE   __attribute__((cold, noinline))
#define SMUX__APART  __attribute__((noinline))
#define SMUX__INLINE __attribute__((always_inline)) inline
#else
#define SMUX__RARE
#define SMUX__APART
#define SMUX__INLINE inline
#endif

#endif
