#define _GNU_SOURCE 1

#include "help.h"

#include <smux/base.h>
#include <string.h>
#include <sysexits.h>
#include <uv.h>

#include "commands.h"
#include "usage.h"

static const char overview[] =
    "usage: " SMUX_TOOL_NAME " COMMAND [OPTION]...\n"
    "\n"
    "Carries many connections over one, with the smux protocol (version 1 and 2).\n"
    "\n"
    "  server    accept sessions, connect each stream to a target\n"
    "  client    listen locally, carry connections through one or more sessions\n"
    "  bench     measure throughput, latency, churn and memory\n"
    "  decode    print the frames of a captured byte stream\n"
    "  version   print version and build\n"
    "  help      print this text, or help on a COMMAND or a topic:\n"
    "            addresses, exit-codes, signals, options\n"
    "\n"
    "One port of a server, reached through a port of this machine:\n"
    "\n"
    "  server$ " SMUX_TOOL_NAME " server -l :29900 -t 127.0.0.1:5432 --insecure=session\n"
    "  client$ " SMUX_TOOL_NAME " client -r SERVER:29900 -l 127.0.0.1:15432\n";

static const char addresses[] =
    "  host:port  1.2.3.4:port  [v6]:port\n"
    "                TCP; a name is resolved again on each attempt, and all its\n"
    "                addresses are tried\n"
    "  port          loopback, IPv4 and IPv6\n"
    "  :port         listening: all addresses; connecting: loopback\n"
    "  unix:/path  /path  ./path\n"
    "                Unix socket, mode 0600 when created; one that exists is\n"
    "                replaced only if nobody listens on it\n"
    "  @name         abstract Unix socket (Linux)\n"
    "  fd:N          listening: a socket that was inherited\n"
    "  -             client --listen: standard input and output as one stream\n"
    "\n"
    "Sizes are bytes, or have KiB, MiB, GiB (1024) or kB, MB, GB (1000) behind them.\n"
    "Times are seconds, or have ms, s, m, h, d behind them.\n";

static const char exit_codes[] =
    "   0  done, or drained after TERM\n"
    "  64  wrong usage\n"
    "  65  input not understood (decode)\n"
    "  66  input cannot be opened (decode)\n"
    "  69  server not reachable within the limits, or the one stream of -l - failed\n"
    "  71  operating system error\n"
    "  73  cannot bind or create a file or socket\n"
    "  74  cannot write output\n"
    "  76  protocol error: the peer is not smux, or another version\n"
    "  78  configuration error, or refused for safety\n"
    " 130  interrupted\n";

static const char signals[] =
    "  TERM, INT  drain: take nothing new, let streams finish within --drain-timeout,\n"
    "             end sessions in order; a second one ends at once\n"
    "             bench, INT: show what was measured so far\n"
    "  USR1       connect again now; write all counters to the log\n"
    "  USR2       open the log file again\n"
    "  HUP        ignored, with a log line\n";

void help_overview(FILE *out)
{
    fputs(overview, out);
}

/* For the test that compares the table with the man page: one option a line. */
static void list_options(void)
{
    char name[64];

    for (size_t i = 0; all_commands[i] != NULL; i++) {
        const struct option_spec *spec;
        for (size_t at = 0; (spec = options_next(all_commands[i], &at)) != NULL;) {
            printf("%s %s\n", all_commands[i]->name, option_display_name(spec, name, sizeof(name)));
            if (spec->alias != NULL) {
                printf("%s --%s\n", all_commands[i]->name, spec->alias);
            }
        }
    }
}

static bool help_on_command(const char *name)
{
    for (size_t i = 0; all_commands[i] != NULL; i++) {
        if (strcmp(all_commands[i]->name, name) == 0) {
            options_help(all_commands[i], stdout);
            return true;
        }
    }
    return false;
}

static int help_on(const char *topic)
{
    static const struct {
        const char *name;
        const char *text;
    } topics[] = {{"addresses", addresses}, {"exit-codes", exit_codes}, {"signals", signals}};

    if (strcmp(topic, "options") == 0) {
        list_options();
        return EX_OK;
    }
    if (help_on_command(topic)) {
        return EX_OK;
    }
    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++) {
        if (strcmp(topics[i].name, topic) == 0) {
            fputs(topics[i].text, stdout);
            return EX_OK;
        }
    }
    usage_error("no help on \"%s\": see " SMUX_TOOL_NAME " help", topic);
    return EX_USAGE;
}

int help_main(int argc, char **argv)
{
    if (argc > 1) {
        return help_on(argv[1]);
    }
    help_overview(stdout);
    return EX_OK;
}

int version_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf(SMUX_TOOL_NAME " %s\n", SMUX_VERSION_STRING);
    printf("libsmux %s, libuv %s\n", smux_version(), uv_version_string());
    printf("smux protocol 1 and 2; without TLS, status endpoint, configuration file, routed "
           "mode\n");
    return EX_OK;
}
