/*
 * main.c - the subcommands of the program.
 */
#define _GNU_SOURCE 1

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "bench.h"
#include "client.h"
#include "decode.h"
#include "help.h"
#include "server.h"
#include "usage.h"
#include "values.h"

struct entry {
    const char *name;
    int (*run)(int argc, char **argv); /* NULL: not available in this build */
};

static const struct entry entries[] = {
    {"server", server_main}, {"client", client_main}, {"bench", bench_main},
    {"decode", decode_main}, {"help", help_main},     {"version", version_main},
    {"--help", help_main},   {"-h", help_main},       {"--version", version_main},
    {"-v", version_main},    {"check", NULL},         {"keygen", NULL},
    {"top", NULL},           {"ctl", NULL},           {"completion", NULL},
};

/* Whoever began us may have closed them. Their numbers must not become those of sockets, to which log
 * lines would go: they get something of which no use can be made, so that using them fails. */
static bool hold_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) {
            usage_error("cannot open /dev/null: %s", value_errno_text(errno));
            return false;
        }
    }
    return true;
}

/* Standard output may be a full disk: what was written counts only when it is there. */
static int flush_output(int exit_code)
{
    if (fflush(stdout) != 0 && exit_code == EX_OK) {
        usage_error("cannot write output");
        return EX_IOERR;
    }
    return exit_code;
}

int main(int argc, char **argv)
{
    if (!hold_standard_descriptors()) {
        return EX_OSERR;
    }
    if (argc < 2) {
        help_overview(stderr);
        return EX_USAGE;
    }
    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
        if (strcmp(entries[i].name, argv[1]) != 0) {
            continue;
        }
        if (entries[i].run == NULL) {
            usage_error("the command %s is not available in this build", argv[1]);
            return EX_USAGE;
        }
        return flush_output(entries[i].run(argc - 1, argv + 1));
    }
    usage_error("unknown command \"%s\": see " SMUX_TOOL_NAME " help", argv[1]);
    return EX_USAGE;
}
