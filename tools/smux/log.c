#define _GNU_SOURCE 1

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "descriptor.h"
#include "log_line.h"

/* Lines at once, and per second after that. People read fewer, and machines get by with them. */
#define BURST 5000
#define RATE  1000

#define NS_PER_S UINT64_C(1000000000)

/* In a second, so much of it may be spent on waiting until lines are taken: enough for a reader that lives
 * to take a burst, and little to traffic, which waits with it, when it does not. */
#define PATIENCE_NS UINT64_C(100000000)

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

enum sink {
    SINK_STREAM, /* a descriptor that takes lines: standard error or a file */
    SINK_SYSLOG,
    SINK_JOURNAL
};

static struct {
    enum sink sink;
    enum level level;
    enum log_format format;
    const char *name;
    const char *path; /* of a file that can be opened again, or NULL */
    int fd;
    bool is_socket;       /* fd is one: it is told in each call not to wait */
    uint64_t patience_ns; /* for so long a line may wait to be taken */
    bool cut;             /* a line was taken in part */
    uint64_t tokens;      /* lines that may be written now */
    uint64_t refilled_s;  /* when tokens were added last */
    uint64_t suppressed;  /* lines left out since then */
} the_log = {.level = LEVEL_INFO, .fd = STDERR_FILENO, .tokens = BURST};

static int syslog_priority(enum level level)
{
    static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG, LOG_DEBUG};

    return priorities[level];
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Waits until more is taken, as long as there is patience. */
static bool wait_for_room(void)
{
    struct pollfd pfd = {.fd = the_log.fd, .events = POLLOUT};
    struct timespec limit = {.tv_nsec = (long)the_log.patience_ns};
    uint64_t begin_ns = now_ns();
    bool room = the_log.patience_ns > 0 && ppoll(&pfd, 1, &limit, NULL) != 0;
    uint64_t waited_ns = now_ns() - begin_ns;

    the_log.patience_ns -= waited_ns < the_log.patience_ns ? waited_ns : the_log.patience_ns;
    return room;
}

static bool write_some(const char *text, size_t len, size_t *out_len)
{
    ssize_t n;

    do {
        n = the_log.is_socket ? send(the_log.fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT)
                              : write(the_log.fd, text, len);
    } while (n < 0 && (errno == EINTR || (errno == EAGAIN && wait_for_room())));
    *out_len = n > 0 ? (size_t)n : 0;
    return n > 0;
}

/* One datagram of the journal's native protocol; the text holds no newline but its last. */
static bool write_journal(enum level level, const char *text, size_t len)
{
    char message[LOG_LINE_MAX + 64];
    int head = snprintf(message, sizeof(message),
                        "PRIORITY=%d\nSYSLOG_IDENTIFIER=smux\nMESSAGE=", syslog_priority(level));

    memcpy(message + head, text, len);
    return write_some(message, (size_t)head + len, &len);
}

/* A pipe takes a line as a whole or not at all; after what was cut the next one begins anew. */
static bool write_stream(const char *text, size_t len)
{
    size_t n;

    if (the_log.cut && !write_some("\n", 1, &n)) {
        return false;
    }
    the_log.cut = false;
    while (len > 0 && write_some(text, len, &n)) {
        text += n;
        len -= n;
        the_log.cut = len > 0;
    }
    return len == 0;
}

static bool write_line(enum level level, const struct log_line *line)
{
    switch (the_log.sink) {
    case SINK_SYSLOG:
        syslog(syslog_priority(level), "%.*s", (int)line->len - 1, line->text);
        return true;
    case SINK_JOURNAL:
        return write_journal(level, line->text, line->len);
    case SINK_STREAM:
        break;
    }
    return write_stream(line->text, line->len);
}

/* False when nobody takes the line now, for which nothing waits: traffic would wait with it. */
static bool log_fields(enum level level, const char *component, const char *event,
                       const struct log_field *fields)
{
    struct log_line line;

    log_line_begin(&line, the_log.format, level, component, event);
    if (the_log.name != NULL) {
        log_line_add(&line, &LOG_STR("tunnel", the_log.name));
    }
    for (; fields->kind != LOG_KIND_END; fields++) {
        log_line_add(&line, fields);
    }
    log_line_end(&line);
    return write_line(level, &line);
}

static void tell_suppressed(void)
{
    const struct log_field fields[] = {LOG_U64("lines", the_log.suppressed),
                                       {.kind = LOG_KIND_END}};

    if (the_log.suppressed > 0 && log_fields(LEVEL_WARN, "log", "suppressed", fields)) {
        the_log.suppressed = 0;
    }
}

/* Notices that a second has passed: fills up what it may be made use of, and tells about lines that were
 * left out. */
static void note_second(void)
{
    uint64_t now_s = now_ns() / NS_PER_S;
    uint64_t elapsed = now_s - the_log.refilled_s;

    if (elapsed > 0) {
        uint64_t refill = elapsed > BURST / RATE ? BURST : elapsed * RATE;
        the_log.refilled_s = now_s;
        the_log.tokens = the_log.tokens + refill > BURST ? BURST : the_log.tokens + refill;
        the_log.patience_ns = PATIENCE_NS;
        tell_suppressed();
    }
}

/* Takes a token from the bucket. */
static bool take_token(void)
{
    if (the_log.tokens == 0) {
        the_log.suppressed++;
        return false;
    }
    the_log.tokens--;
    return true;
}

bool log_wants(enum level level)
{
    return level <= the_log.level;
}

void log_event(enum level level, const char *component, const char *event,
               const struct log_field *fields)
{
    if (!log_wants(level)) {
        return;
    }
    note_second();
    if (level == LEVEL_ERROR || take_token()) {
        the_log.suppressed += !log_fields(level, component, event, fields);
    }
}

void log_answer(enum level level, const char *component, const char *event,
                const struct log_field *fields)
{
    if (log_wants(level)) {
        note_second();
        the_log.suppressed += !log_fields(level, component, event, fields);
    }
}

/* It may be a pipe or a terminal. */
static int open_file(const char *path, int *out_fd)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);

    if (fd < 0) {
        return errno;
    }
    *out_fd = fd;
    return 0;
}

static void use_standard_error(void)
{
    struct stat st;
    int again = descriptor_open_again(STDERR_FILENO, O_WRONLY);

    the_log.fd = again >= 0 ? again : STDERR_FILENO;
    the_log.is_socket = fstat(STDERR_FILENO, &st) == 0 && S_ISSOCK(st.st_mode);
}

static int open_journal(int *out_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return errno;
    }
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        int error = errno;
        close(fd);
        return error;
    }
    *out_fd = fd;
    return 0;
}

int log_open(const char *where, enum level level, enum log_format format, const char *name)
{
    int error = 0;

    the_log.level = level;
    the_log.format = format;
    the_log.name = name;
    if (where == NULL) {
        use_standard_error();
        return 0;
    }
    if (strcmp(where, "syslog") == 0) {
        openlog("smux", LOG_PID, LOG_DAEMON);
        the_log.sink = SINK_SYSLOG;
    } else if (strcmp(where, "journal") == 0) {
        error = open_journal(&the_log.fd);
        the_log.sink = error == 0 ? SINK_JOURNAL : SINK_STREAM;
        the_log.is_socket = error == 0;
    } else {
        error = open_file(where, &the_log.fd);
        the_log.path = error == 0 ? where : NULL;
    }
    return error;
}

int log_reopen(void)
{
    int fd = -1;
    int error;

    if (the_log.path == NULL) {
        return 0;
    }
    error = open_file(the_log.path, &fd);
    if (error == 0) {
        close(the_log.fd);
        the_log.fd = fd;
    }
    return error;
}
