#include "bench_machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#ifdef __linux__
#include <sys/prctl.h>
#endif

static void copy_cpu_model(char *out, size_t size)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");

    snprintf(out, size, "unknown");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon != NULL) {
            line[strcspn(line, "\n")] = '\0'; // cppcheck-suppress unreadVariable ; by colon
            snprintf(out, size, "%s", colon + 2);
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

static void copy_congestion_control(char *out, size_t size)
{
    FILE *file = fopen("/proc/sys/net/ipv4/tcp_congestion_control", "r");

    snprintf(out, size, "unknown");
    if (file != NULL) {
        char line[32];
        if (fgets(line, sizeof(line), file) != NULL) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(out, size, "%s", line);
        }
        fclose(file);
    }
}

void machine_describe(struct machine *machine)
{
    struct utsname name;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    machine->cores = cores > 0 ? (uint32_t)cores : 0;
#ifdef __clang__
    machine->compiler = __VERSION__;
#else
    machine->compiler = "gcc " __VERSION__;
#endif
    snprintf(machine->os, sizeof(machine->os), "unknown");
    if (uname(&name) == 0) {
        snprintf(machine->os, sizeof(machine->os), "%.50s %.50s %.50s", name.sysname, name.release,
                 name.machine);
    }
    copy_cpu_model(machine->cpu, sizeof(machine->cpu));
    copy_congestion_control(machine->tcp, sizeof(machine->tcp));
}

static double seconds_of(const struct timeval *time)
{
    return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

void machine_usage(struct machine_usage *out)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    out->user_s = seconds_of(&usage.ru_utime);
    out->system_s = seconds_of(&usage.ru_stime);
    out->switches = (uint64_t)usage.ru_nvcsw + (uint64_t)usage.ru_nivcsw;
}

uint64_t machine_rss_bytes(void)
{
    struct rusage usage;
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file != NULL) {
        /* NOLINTNEXTLINE(cert-err34-c): the kernel writes no number that is too large */
        int n = fscanf(file, "%*u %llu", &pages);
        fclose(file);
        if (n == 1) {
            return pages * (uint64_t)sysconf(_SC_PAGESIZE);
        }
    }
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_maxrss * 1024;
}

void machine_trim_heap(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

void machine_sleep_exactly(void)
{
#ifdef PR_SET_TIMERSLACK
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
#endif
}

uint64_t machine_raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 0;
    }
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}
