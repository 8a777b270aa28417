/*
 * main.c - all programs of the attack suite in one.
 */
#include "honest.h"
#include "run.h"
#include "target.h"
#include "victim.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/** Thousands of connections need as many descriptors. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    signal(SIGPIPE, SIG_IGN);
    raise_descriptors();
    if (strcmp(command, "list") == 0) {
        return list_attacks();
    }
    if (strcmp(command, "run") == 0) {
        return run_attack(argc - 2, argv + 2, false);
    }
    if (strcmp(command, "serve") == 0) {
        return run_attack(argc - 2, argv + 2, true);
    }
    if (strcmp(command, "victim") == 0) {
        return victim_main(argc - 2, argv + 2);
    }
    if (strcmp(command, "target") == 0) {
        return target_main(argc - 2, argv + 2);
    }
    if (strcmp(command, "locals") == 0) {
        return locals_main(argc - 2, argv + 2);
    }
    if (strcmp(command, "honest") == 0) {
        return honest_main(argc - 2, argv + 2);
    }
    fprintf(stderr, "usage: attack list\n"
                    "       attack run NAME ADDRESS VERSION SECONDS\n"
                    "       attack serve NAME ADDRESS VERSION SECONDS\n"
                    "       attack victim VERSION [FRAME_TIMEOUT_MS [WINDOW]]\n"
                    "       attack target [ADDRESS]\n"
                    "       attack locals ADDRESS\n"
                    "       attack honest ADDRESS VERSION [PID]\n");
    return 2;
}
