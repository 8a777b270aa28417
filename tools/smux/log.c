#define _GNU_SOURCE 1

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "log_line.h"

/* Lines at once, and per second after that. People read fewer, and machines get by with them. */
#define BURST 5000
#define RATE  1000

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
    uint64_t tokens;     /* lines that may be written now */
    uint64_t refilled_s; /* when tokens were added last */
    uint64_t suppressed; /* lines left out since then */
} the_log = {.level = LEVEL_INFO, .fd = STDERR_FILENO, .tokens = BURST};

static int syslog_priority(enum level level)
{
    static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG, LOG_DEBUG};

    return priorities[level];
}

/* One datagram of the journal's native protocol; the text holds no newline but its last. */
static void write_journal(enum level level, const char *text, size_t len)
{
    char message[LOG_LINE_MAX + 64];
    int head = snprintf(message, sizeof(message),
                        "PRIORITY=%d\nSYSLOG_IDENTIFIER=smux\nMESSAGE=", syslog_priority(level));

    memcpy(message + head, text, len);
    (void)!send(the_log.fd, message, (size_t)head + len, MSG_NOSIGNAL);
}

static void write_stream(const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(the_log.fd, text, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return; /* there is nobody left to tell */
        }
        text += n;
        len -= (size_t)n;
    }
}

static void write_line(enum level level, const struct log_line *line)
{
    switch (the_log.sink) {
    case SINK_STREAM:
        write_stream(line->text, line->len);
        break;
    case SINK_SYSLOG:
        syslog(syslog_priority(level), "%.*s", (int)line->len - 1, line->text);
        break;
    case SINK_JOURNAL:
        write_journal(level, line->text, line->len);
        break;
    }
}

static void log_fields(enum level level, const char *component, const char *event,
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
    write_line(level, &line);
}

/* Takes a token from the bucket; tells about lines that found none once there are some again. */
static bool take_token(void)
{
    struct timespec now;
    uint64_t elapsed;

    clock_gettime(CLOCK_MONOTONIC, &now);
    elapsed = (uint64_t)now.tv_sec - the_log.refilled_s;
    if (elapsed > 0) {
        uint64_t refill = elapsed > BURST / RATE ? BURST : elapsed * RATE;
        the_log.refilled_s = (uint64_t)now.tv_sec;
        the_log.tokens = the_log.tokens + refill > BURST ? BURST : the_log.tokens + refill;
        if (the_log.suppressed > 0) {
            const struct log_field fields[] = {LOG_U64("lines", the_log.suppressed),
                                               {.kind = LOG_KIND_END}};
            the_log.suppressed = 0;
            log_fields(LEVEL_WARN, "log", "suppressed", fields);
        }
    }
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
    if (log_wants(level) && (level == LEVEL_ERROR || take_token())) {
        log_fields(level, component, event, fields);
    }
}

void log_answer(enum level level, const char *component, const char *event,
                const struct log_field *fields)
{
    if (log_wants(level)) {
        log_fields(level, component, event, fields);
    }
}

static int open_file(const char *path, int *out_fd)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);

    if (fd < 0) {
        return errno;
    }
    *out_fd = fd;
    return 0;
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
        return 0;
    }
    if (strcmp(where, "syslog") == 0) {
        openlog("smux", LOG_PID, LOG_DAEMON);
        the_log.sink = SINK_SYSLOG;
    } else if (strcmp(where, "journal") == 0) {
        error = open_journal(&the_log.fd);
        the_log.sink = error == 0 ? SINK_JOURNAL : SINK_STREAM;
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
