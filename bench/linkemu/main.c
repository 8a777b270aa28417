/*
 * linkemu - carries TCP connections over an emulated link, see README.md.
 *
 * One loop: epoll tells when sockets change, a timer when the next bytes are due. Each round sets
 * the clocks of the two directions, then lets every connection move what it can.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "address.h"
#include "conn.h"
#include "control.h"

#define MAX_EVENTS   64
#define MAX_CAPACITY 2e9 /* bytes of one direction of a connection */

/* What epoll calls the descriptors that are no connection's. */
enum {
    TAG_LISTENER = -1,
    TAG_TIMER = -2,
    TAG_SIGNALS = -3,
    TAG_CONTROL = -4
};

struct emulator {
    struct options options;
    struct address target;
    struct linkclock clocks[2];
    struct control control;
    struct conn **conns; /* of max_connections; NULL: a free place */
    size_t n_conns;
    uint64_t n_accepted;
    uint64_t now_ns;
    uint64_t begin_ns;
    uint64_t timer_ns; /* what the timer is set to */
    int epoll;
    int listener;
    int timer;
    int signals;
    bool orders;  /* standard input may have more */
    bool pending; /* the listener may have more connections */
    bool cut;     /* the cut at a time is over */
    bool stop;
};

static int os_error(const char *what)
{
    fprintf(stderr, "linkemu: %s: %s\n", what, strerror(errno));
    return EX_OSERR;
}

/* --- connections -------------------------------------------------------------------------- */

static bool watch(const struct emulator *emulator, int fd, uint32_t events, int64_t tag)
{
    struct epoll_event event = {.events = events | EPOLLET, .data.u64 = (uint64_t)tag};

    return epoll_ctl(emulator->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Returns a socket that is connecting to the target, or -1. */
static int connect_target(const struct emulator *emulator)
{
    const struct address *target = &emulator->target;
    int fd = socket(target->name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return -1;
    }
    conn_tune_socket(fd, emulator->options.directions[DOWN].rate);
    if (connect(fd, (const struct sockaddr *)&target->name, target->len) != 0 &&
        errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}

static size_t free_place(const struct emulator *emulator)
{
    size_t place = 0;

    while (emulator->conns[place] != NULL) {
        place++;
    }
    return place;
}

/* The link's time begins with the first connection. */
static void start_clocks(struct emulator *emulator)
{
    for (int i = 0; i < 2; i++) {
        emulator->clocks[i].start_ns = emulator->now_ns;
        linkclock_set(&emulator->clocks[i], emulator->now_ns);
    }
}

static void add_connection(struct emulator *emulator, int client)
{
    size_t place = free_place(emulator);
    int target = connect_target(emulator);
    struct conn *conn;

    if (target < 0) {
        os_error("cannot connect to the target");
        close(client);
        return;
    }
    if (emulator->n_accepted == 0) {
        start_clocks(emulator);
    }
    conn = conn_new(emulator->n_accepted++, client, target, &emulator->options, emulator->clocks);
    if (conn == NULL) {
        fputs("linkemu: no memory for a connection\n", stderr);
        return;
    }
    emulator->conns[place] = conn;
    emulator->n_conns++;
    for (int i = 0; i < 2; i++) {
        if (!watch(emulator, conn->sockets[i].fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP,
                   (int64_t)place * 2 + i)) {
            os_error("epoll");
            conn_cut(conn);
        }
    }
}

static void accept_connections(struct emulator *emulator)
{
    while (emulator->pending && emulator->n_conns < emulator->options.max_connections) {
        int fd = accept4(emulator->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            conn_tune_socket(fd, emulator->options.directions[UP].rate);
            add_connection(emulator, fd);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            if (errno != EAGAIN) {
                os_error("accept");
            }
            emulator->pending = false;
        }
    }
}

static void tell_end(const struct conn *conn)
{
    static const char *const ends[] = {"stopped", "closed", "reset", "cut"};

    fprintf(stderr,
            "connection %llu %s: up %llu bytes, down %llu bytes, under way at most %zu, %zu\n",
            (unsigned long long)conn->number, ends[conn->end],
            (unsigned long long)conn->pipes[UP].delivered,
            (unsigned long long)conn->pipes[DOWN].delivered, conn->pipes[UP].peak,
            conn->pipes[DOWN].peak);
}

static void remove_connection(struct emulator *emulator, size_t place)
{
    if (emulator->options.verbose) {
        tell_end(emulator->conns[place]);
    }
    conn_free(emulator->conns[place]);
    emulator->conns[place] = NULL;
    emulator->n_conns--;
}

/* Returns true when some connection has more to do at once. */
static bool pump_connections(struct emulator *emulator)
{
    bool more = false;

    for (size_t i = 0; i < emulator->options.max_connections; i++) {
        struct conn *conn = emulator->conns[i];
        if (conn == NULL) {
            continue;
        }
        more |= conn_pump(conn);
        if (conn->end != CONN_OPEN) {
            remove_connection(emulator, i);
        }
    }
    return more;
}

/* --- time --------------------------------------------------------------------------------- */

static uint64_t real_time(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void set_clocks(struct emulator *emulator)
{
    emulator->now_ns = real_time();
    linkclock_set(&emulator->clocks[UP], emulator->now_ns);
    linkclock_set(&emulator->clocks[DOWN], emulator->now_ns);
}

/* When something planned happens: `after_ns` of 0 is never. */
static uint64_t planned(uint64_t begin_ns, uint64_t after_ns)
{
    return after_ns == 0 || begin_ns == NEVER ? NEVER : begin_ns + after_ns;
}

static uint64_t cut_time(const struct emulator *emulator)
{
    return emulator->cut ? NEVER
                         : planned(emulator->clocks[UP].start_ns, emulator->options.cut_at_ns);
}

static void cut_all(struct emulator *emulator)
{
    for (size_t i = 0; i < emulator->options.max_connections; i++) {
        if (emulator->conns[i] != NULL) {
            conn_cut(emulator->conns[i]);
        }
    }
}

static void obey(struct emulator *emulator, const struct order *order)
{
    if (order->kind == ORDER_CUT) {
        cut_all(emulator);
    } else if (order->kind == ORDER_END) {
        emulator->stop = true;
    }
    for (int i = 0; i < 2; i++) {
        if ((order->directions & 1u << i) != 0) {
            linkclock_hold(&emulator->clocks[i], order->kind == ORDER_FREEZE, emulator->now_ns);
            linkclock_set(&emulator->clocks[i], emulator->now_ns);
        }
    }
}

static void take_orders(struct emulator *emulator)
{
    struct order order;

    while (emulator->orders && !emulator->stop) {
        emulator->orders = control_next(&emulator->control, &order);
        if (emulator->orders) {
            obey(emulator, &order);
        }
    }
}

static void check_plans(struct emulator *emulator)
{
    if (emulator->now_ns >= planned(emulator->begin_ns, emulator->options.time_ns)) {
        emulator->stop = true;
    }
    if (emulator->now_ns < cut_time(emulator)) {
        return;
    }
    emulator->cut = true;
    cut_all(emulator);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Sets the timer to the next time at which something is due. */
static void set_timer(struct emulator *emulator)
{
    uint64_t wake =
        earlier(planned(emulator->begin_ns, emulator->options.time_ns), cut_time(emulator));
    struct itimerspec spec = {0};

    for (size_t i = 0; i < emulator->options.max_connections; i++) {
        if (emulator->conns[i] != NULL) {
            wake = earlier(wake, conn_wake_ns(emulator->conns[i], emulator->now_ns));
        }
    }
    if (wake == emulator->timer_ns) {
        return;
    }
    emulator->timer_ns = wake;
    if (wake != NEVER) {
        spec.it_value.tv_sec = (time_t)(wake / 1000000000u);
        spec.it_value.tv_nsec = (long)(wake % 1000000000u);
    }
    (void)timerfd_settime(emulator->timer, TFD_TIMER_ABSTIME, &spec, NULL);
}

/* --- the loop ----------------------------------------------------------------------------- */

static void take_event(struct emulator *emulator, const struct epoll_event *event)
{
    int64_t tag = (int64_t)event->data.u64;

    if (tag >= 0) {
        conn_take_events(emulator->conns[tag / 2], (int)(tag % 2), event->events);
    } else if (tag == TAG_LISTENER) {
        emulator->pending = true;
    } else if (tag == TAG_TIMER) {
        emulator->timer_ns = NEVER; /* has expired */
    } else if (tag == TAG_CONTROL) {
        emulator->orders = true;
    } else {
        emulator->stop = true;
    }
}

static int loop(struct emulator *emulator)
{
    struct epoll_event events[MAX_EVENTS];
    bool more = false;

    while (!emulator->stop) {
        set_timer(emulator);
        int n = epoll_wait(emulator->epoll, events, MAX_EVENTS, more ? 0 : -1);
        if (n < 0 && errno != EINTR) {
            return os_error("epoll_wait");
        }
        for (int i = 0; i < n; i++) {
            take_event(emulator, &events[i]);
        }
        set_clocks(emulator);
        accept_connections(emulator);
        take_orders(emulator);
        check_plans(emulator);
        more = pump_connections(emulator);
    }
    return 0;
}

/* --- start -------------------------------------------------------------------------------- */

static int listen_there(struct emulator *emulator)
{
    struct address address;
    char text[128];
    int on = 1;

    if (!address_resolve(emulator->options.listen, &address)) {
        return EX_USAGE;
    }
    emulator->listener =
        socket(address.name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (emulator->listener < 0) {
        return os_error("socket");
    }
    (void)setsockopt(emulator->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    /* Before the handshake, which agrees on the scale of the window. */
    conn_tune_socket(emulator->listener, emulator->options.directions[UP].rate);
    if (bind(emulator->listener, (struct sockaddr *)&address.name, address.len) != 0 ||
        listen(emulator->listener, SOMAXCONN) != 0 ||
        getsockname(emulator->listener, (struct sockaddr *)&address.name, &address.len) != 0) {
        os_error(emulator->options.listen);
        return EX_CANTCREAT;
    }
    printf("listening %s\n", address_format(&address, text, sizeof(text)));
    return fflush(stdout) == 0 ? 0 : EX_IOERR;
}

/* TERM and INT become readable; writes to closed sockets are errors only. */
static int open_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int start(struct emulator *emulator)
{
    int status;

    for (int i = 0; i < 2; i++) {
        linkclock_init(&emulator->clocks[i], &emulator->options.directions[i]);
        if (pipe_capacity(&emulator->options.directions[i]) > MAX_CAPACITY) {
            fputs("linkemu: rate x delay + queue is more than 2 GB\n", stderr);
            return EX_USAGE;
        }
    }
    if (!address_resolve(emulator->options.target, &emulator->target)) {
        return EX_USAGE;
    }
    emulator->begin_ns = real_time();
    emulator->timer_ns = NEVER;
    emulator->conns = calloc(emulator->options.max_connections, sizeof(emulator->conns[0]));
    emulator->signals = open_signals();
    emulator->epoll = epoll_create1(EPOLL_CLOEXEC);
    emulator->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (emulator->conns == NULL || emulator->signals < 0 || emulator->epoll < 0 ||
        emulator->timer < 0) {
        return os_error("start");
    }
    status = listen_there(emulator);
    if (status == 0 && (!watch(emulator, emulator->listener, EPOLLIN, TAG_LISTENER) ||
                        !watch(emulator, emulator->timer, EPOLLIN, TAG_TIMER) ||
                        !watch(emulator, emulator->signals, EPOLLIN, TAG_SIGNALS))) {
        return os_error("epoll");
    }
    if (status == 0 && emulator->options.control) {
        int input = control_open();
        if (input < 0 || !watch(emulator, input, EPOLLIN, TAG_CONTROL)) {
            return os_error("--control: standard input");
        }
    }
    return status;
}

int main(int argc, char **argv)
{
    struct emulator emulator = {0};
    int status = options_parse(&emulator.options, argc, argv);

    if (status != -1) {
        return status;
    }
    status = start(&emulator);
    if (status == 0) {
        status = loop(&emulator);
    }
    for (size_t i = 0; emulator.conns != NULL && i < emulator.options.max_connections; i++) {
        if (emulator.conns[i] != NULL) {
            remove_connection(&emulator, i);
        }
    }
    free(emulator.conns);
    return status;
}
