/*
 * bench_interrupt.h - INT in the middle of a measurement.
 *
 * The first asks the measurement to end and to show what there is, a second one ends the process.
 * Before interrupt_catch() the first one does, too: there is nothing to show.
 */
#ifndef TOOL_BENCH_INTERRUPT_H
#define TOOL_BENCH_INTERRUPT_H

#include <stdbool.h>

/* From now on INT only asks. May be called again; a second INT stays deadly. */
void interrupt_catch(void);

/* Tells whether INT has come. */
bool interrupt_came(void);

#endif
