/*
 * smuxspec - asks an smux server or client, case by case, whether it does what docs/PROTOCOL.md
 * says. README.md tells what the subject has to do, and how to read the answers.
 */
#include "address.h"
#include "conn.h"
#include "report.h"
#include "sabotage.h"
#include "spec.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    EXIT_USAGE = 64,
    EXIT_UNREACHABLE = 69,
    STACK = 1 << 20
};

static const char k_help[] =
    "usage: smuxspec --connect ADDRESS | --listen ADDRESS [options]\n"
    "       smuxspec --list [--only PATTERN]\n"
    "\n"
    "Asks an smux server or client whether it does what the protocol says.\n"
    "\n"
    "  --connect ADDRESS   the server under test: host:port, [v6]:port or port\n"
    "  --listen ADDRESS    wait here for the client under test\n"
    "  --smuxver 1|2       version of the protocol (1)\n"
    "  --auto              the server takes the version from the first byte\n"
    "  --only PATTERN      only cases whose clause or name contains this; may be repeated\n"
    "  --list              tell the cases: clauses, name, version, what the subject must offer\n"
    "  --timeout MS        until something that must come is missed (3000)\n"
    "  --jobs N            cases at a time (24; a client that tells its number of\n"
    "                      connections gets half as many)\n"
    "  --markdown, --json  instead of a table\n"
    "  --sabotage KIND     falsify what arrives, to see cases fail; \"list\" tells the kinds\n"
    "  --help              this text\n"
    "\n"
    "The subject echoes each stream; what else it may offer is in tests/spec/README.md.\n"
    "Exit code: 0 all passed or not applicable, 1 some failed, 64 usage, 69 no subject.\n";

struct options {
    const char *connect;
    const char *listen;
    const char *only[256];
    size_t n_only;
    unsigned jobs;
    bool list;
    enum report_format format;
    struct spec_run run;
};

/** What the workers share. */
struct queue {
    struct spec_test *tests;
    size_t n;
    atomic_size_t next;
};

/* --- command line --------------------------------------------------------------------------- */

static int usage(const char *why, const char *what)
{
    fprintf(stderr, "smuxspec: %s%s; --help tells how it is used\n", why, what);
    return EXIT_USAGE;
}

static bool parse_number(const char *text, unsigned max, unsigned *out)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    *out = (unsigned)n;
    return end != text && *end == '\0' && n > 0 && n <= max;
}

static int list_sabotages(void)
{
    for (size_t i = 0; sabotage_name(i) != NULL; i++) {
        printf("%s\n", sabotage_name(i));
    }
    return -1;
}

static int set_sabotage(struct options *o, const char *name)
{
    if (strcmp(name, "list") == 0) {
        return list_sabotages();
    }
    for (size_t i = 0; sabotage_name(i) != NULL; i++) {
        if (strcmp(name, sabotage_name(i)) == 0) {
            o->run.sabotage = name;
            return 0;
        }
    }
    return usage("no sabotage of this kind: ", name);
}

enum option_key {
    OPT_CONNECT,
    OPT_LISTEN,
    OPT_SMUXVER,
    OPT_AUTO,
    OPT_ONLY,
    OPT_LIST,
    OPT_TIMEOUT,
    OPT_JOBS,
    OPT_MARKDOWN,
    OPT_JSON,
    OPT_SABOTAGE,
    OPT_HELP
};

/** Takes one option. 0 to go on, -1 when all is done, or an exit code. */
static int set_option(struct options *o, int key, const char *value)
{
    switch (key) {
    case OPT_CONNECT:
        o->connect = value;
        return 0;
    case OPT_LISTEN:
        o->listen = value;
        return 0;
    case OPT_SMUXVER:
        return parse_number(value, 2, &o->run.version) ? 0 : usage("no version of smux: ", value);
    case OPT_AUTO:
        o->run.autodetect = true;
        return 0;
    case OPT_ONLY:
        if (o->n_only == sizeof o->only / sizeof o->only[0]) {
            return usage("too many --only", "");
        }
        o->only[o->n_only++] = value;
        return 0;
    case OPT_LIST:
        o->list = true;
        return 0;
    case OPT_TIMEOUT:
        return parse_number(value, 600000, &o->run.patience_ms)
                   ? 0
                   : usage("--timeout is in milliseconds, not ", value);
    case OPT_JOBS:
        return parse_number(value, 1000, &o->jobs) ? 0 : usage("--jobs is a number, not ", value);
    case OPT_MARKDOWN:
        o->format = REPORT_MARKDOWN;
        return 0;
    case OPT_JSON:
        o->format = REPORT_JSON;
        return 0;
    case OPT_SABOTAGE:
        return set_sabotage(o, value);
    case OPT_HELP:
        fputs(k_help, stdout);
        return -1;
    default:
        return usage("the command line was not understood", "");
    }
}

static int parse(struct options *o, int argc, char **argv)
{
    static const struct option k_options[] = {
        {"connect", required_argument, NULL, OPT_CONNECT},
        {"listen", required_argument, NULL, OPT_LISTEN},
        {"smuxver", required_argument, NULL, OPT_SMUXVER},
        {"auto", no_argument, NULL, OPT_AUTO},
        {"only", required_argument, NULL, OPT_ONLY},
        {"list", no_argument, NULL, OPT_LIST},
        {"timeout", required_argument, NULL, OPT_TIMEOUT},
        {"jobs", required_argument, NULL, OPT_JOBS},
        {"markdown", no_argument, NULL, OPT_MARKDOWN},
        {"json", no_argument, NULL, OPT_JSON},
        {"sabotage", required_argument, NULL, OPT_SABOTAGE},
        {"help", no_argument, NULL, OPT_HELP},
        {NULL, 0, NULL, 0},
    };
    int key;
    int rc = 0;

    while (rc == 0 && (key = getopt_long(argc, argv, "", k_options, NULL)) != -1) {
        rc = set_option(o, key, optarg);
    }
    if (rc != 0) {
        return rc;
    }
    if (optind < argc) {
        return usage("unexpected argument: ", argv[optind]);
    }
    if (!o->list && (o->connect == NULL) == (o->listen == NULL)) {
        return usage("it needs either --connect or --listen", "");
    }
    return o->run.autodetect && o->listen != NULL ? usage("--auto is for servers", "") : 0;
}

/* --- cases ---------------------------------------------------------------------------------- */

static bool wanted(const struct options *o, const struct spec_group *group,
                   const struct spec_case *spec)
{
    for (size_t i = 0; i < o->n_only; i++) {
        if (strstr(spec->clauses, o->only[i]) != NULL || strstr(spec->name, o->only[i]) != NULL ||
            strcmp(group->name, o->only[i]) == 0) {
            return true;
        }
    }
    return o->n_only == 0;
}

/** Makes a test of each case that is wanted. */
static size_t collect(const struct options *o, struct spec_test **out_tests)
{
    size_t room = 0;
    size_t n = 0;

    for (size_t g = 0; k_spec_groups[g] != NULL; g++) {
        room += k_spec_groups[g]->n;
    }
    *out_tests = calloc(room, sizeof **out_tests);
    if (*out_tests == NULL) {
        abort();
    }
    for (size_t g = 0; k_spec_groups[g] != NULL; g++) {
        for (size_t i = 0; i < k_spec_groups[g]->n; i++) {
            if (wanted(o, k_spec_groups[g], &k_spec_groups[g]->cases[i])) {
                (*out_tests)[n].run = &o->run;
                (*out_tests)[n++].spec = &k_spec_groups[g]->cases[i];
            }
        }
    }
    return n;
}

static void *worker(void *arg)
{
    struct queue *queue = arg;

    for (size_t i = queue->next++; i < queue->n; i = queue->next++) {
        spec_execute(&queue->tests[i]);
    }
    return NULL;
}

static void run_all(const struct options *o, struct spec_test *tests, size_t n)
{
    unsigned most = (unsigned)spec_setting(&o->run, "connections", 1) / 2;
    unsigned jobs = o->listen != NULL && o->jobs > most ? most : o->jobs;
    struct queue queue = {.tests = tests, .n = n};
    pthread_t *threads;
    pthread_attr_t attr;

    jobs = jobs > 0 ? jobs : 1;
    threads = calloc(jobs, sizeof *threads);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    for (unsigned i = 0; i < jobs; i++) {
        if (threads == NULL || pthread_create(&threads[i], &attr, worker, &queue) != 0) {
            abort();
        }
    }
    for (unsigned i = 0; i < jobs; i++) {
        pthread_join(threads[i], NULL);
    }
    free(threads);
}

/** Finds the subject. 0, or an exit code after a message. */
static int reach(struct options *o)
{
    char text[SPEC_TEXT];

    if (o->listen != NULL) {
        o->run.listen_fd = address_listen(o->listen, text, sizeof text);
        if (o->run.listen_fd < 0) {
            fprintf(stderr, "smuxspec: cannot listen at %s: %s\n", o->listen, strerror(errno));
            return EXIT_UNREACHABLE;
        }
        fprintf(stderr, "listening %s\n", text);
    }
    if (!spec_greet(&o->run, text)) {
        fprintf(stderr, "smuxspec: no subject at %s: %s (smux %u?)\n",
                o->connect != NULL ? o->connect : o->listen, text, o->run.version);
        return EXIT_UNREACHABLE;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct options o = {.jobs = 24, .run = {.listen_fd = -1, .version = 1, .patience_ms = 3000}};
    struct spec_test *tests;
    size_t n;
    size_t failed = 0;
    int rc = parse(&o, argc, argv);

    if (rc != 0) {
        return rc < 0 ? 0 : rc;
    }
    signal(SIGPIPE, SIG_IGN);
    o.run.address = o.connect;
    n = collect(&o, &tests);
    if (n == 0) {
        rc = usage("no case matches --only", "");
    } else if (o.list) {
        report_list(tests, n);
    } else if ((rc = reach(&o)) == 0) {
        uint64_t start = clock_us();

        run_all(&o, tests, n);
        failed = report_print(o.format, &o.run, tests, n, (double)(clock_us() - start) / 1e6);
    }
    free(tests);
    return rc != 0 ? rc : failed > 0 ? 1 : 0;
}
