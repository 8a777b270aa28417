/*
 * bench_machine.h - the machine a result comes from, and what this process takes of it.
 */
#ifndef TOOL_BENCH_MACHINE_H
#define TOOL_BENCH_MACHINE_H

#include <stdint.h>

struct machine {
    char os[160];  /* system, release, architecture */
    char cpu[128]; /* model */
    char tcp[32];  /* congestion control: bbr paces loopback, too, cubic does not */
    const char *compiler;
    uint32_t cores;
};

void machine_describe(struct machine *machine);

/* What all threads of this process have taken so far. */
struct machine_usage {
    double user_s; /* processor time outside the kernel */
    double system_s;
    uint64_t switches; /* times a thread gave its processor to another */
};

void machine_usage(struct machine_usage *out);

/* Resident memory now in bytes; where the system does not tell, the largest so far. */
uint64_t machine_rss_bytes(void);

/* Gives memory back that the allocator keeps, so that it does not hide what is used next. */
void machine_trim_heap(void);

/* Lets waits end on time: by default Linux lets them oversleep by 50 microseconds. */
void machine_sleep_exactly(void);

/* Raises the limit of descriptors as far as it goes and returns it. */
uint64_t machine_raise_descriptor_limit(void);

#endif
