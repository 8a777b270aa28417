/*
 * cpeer - the C side of the interoperability tests: servers and clients on the session API, one
 * for each command of interop/go's gopeer that the tests need, with the same formats on the
 * streams and options of the same names (interop/go/README.md).
 *
 * A listener prints `listening ADDRESS` once; every command prints one line of JSON at its end.
 * Exit codes: 0 right, 1 something was wrong, 2 usage, 3 time limit.
 */
#include "commands.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    EXIT_USAGE = 2,
    EXIT_TIMEOUT = 3
};

static const struct command {
    const char *name;
    void (*run)(struct peer *peer);
    const char *help;
} k_commands[] = {
    {"echo-server", echo_server, "echo every accepted stream until its end"},
    {"echo-client", echo_client, "messages to an echo server, compared with what comes back"},
    {"sink-server", sink_server, "check bulk data, answer with its SHA-256"},
    {"source-client", source_client, "send bulk data to a sink server"},
    {"source-server", source_server, "send the bulk data a stream asks for"},
    {"sink-client", sink_client, "ask a source server for bulk data and check it"},
    {"duplex-server", duplex_server, "bulk data both ways at once, neither way waiting"},
    {"duplex-client", duplex_client, "the same as a client"},
    {"speak-first-server", speak_first_server, "greet on each accepted stream and close it"},
    {"speak-first-client", speak_first_client, "open streams, write nothing, expect a greeting"},
    {"opener-server", opener_server, "open echo streams towards the client, echo accepted ones"},
    {"accept-client", accept_client, "echo the streams that the server opens"},
    {"noaccept-server", noaccept_server, "accept sessions but no streams, or late"},
    {"open-client", open_client, "open streams and look which of them the server ends"},
    {"halfclose-server", halfclose_server, "read until the end, then reply, or the other way"},
    {"halfclose-client", halfclose_client, "send, half-close, read the reply late"},
    {"closer-server", closer_server, "close each stream while the client still writes"},
    {"closer-client", closer_client, "close streams of a source server midway"},
    {"slow-server", slow_server, "echo server that does not read the first streams"},
    {"slow-client", slow_client, "echo streams that are not read while others must move"},
    {"unread-client", unread_client, "read one stream of a source server beside unread ones"},
    {"deadline-client", deadline_client, "writes that time out, their memory reused at once"},
    {"doomed-client", doomed_client, "every blocking call while the server is killed"},
};

static void usage(void)
{
    printf("usage: cpeer COMMAND [options]\n\n");
    for (size_t i = 0; i < sizeof k_commands / sizeof k_commands[0]; i++) {
        printf("  %-20s %s\n", k_commands[i].name, k_commands[i].help);
    }
    printf("\n");
    options_help();
}

static const struct command *find_command(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof k_commands / sizeof k_commands[0]; i++) {
        if (strcmp(argv[1], k_commands[i].name) == 0) {
            return &k_commands[i];
        }
    }
    return NULL;
}

static void on_alarm(int number)
{
    static const char text[] = "cpeer: not done within -timeout\n";
    (void)number;
    ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);
    (void)n;
    _exit(EXIT_TIMEOUT);
}

static void arm_timeout(uint32_t ms)
{
    struct itimerval when = {
        .it_value = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000}};
    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &when, NULL);
}

int main(int argc, char **argv)
{
    struct options options;
    struct peer peer = {.options = &options};
    const struct command *command = find_command(argc, argv);
    if (command == NULL) {
        usage();
        return EXIT_USAGE;
    }
    if (!options_parse(&options, argc, argv)) {
        return EXIT_USAGE;
    }
    if (options.address == NULL) {
        fprintf(stderr, "cpeer: -l or -r is missing\n");
        return EXIT_USAGE;
    }
    arm_timeout(options.timeout_ms);
    tally_init(&peer.tally);
    uint64_t start = smux_now_us();
    command->run(&peer);
    double seconds = (double)(smux_now_us() - start) / 1e6;
    return tally_report(&peer.tally, options.command, seconds) ? 0 : 1;
}
