/*
 * log.h - log lines: TIME LEVEL COMPONENT EVENT key=value ...
 *
 *   LOG_EVENT(LEVEL_INFO, "client", "retry", LOG_MS("in", 700), LOG_U64("attempt", 1));
 *   2026-01-02T15:32:44.871Z info  client  retry in=0.7s attempt=1
 *
 * One line an event, UTC. Event names and keys are stable; free text is only in `error=` and
 * `hint=`. Values that may come from a peer are escaped here, so that a line is always one line
 * of printable ASCII. Lines are bounded in length, and in number per second: a peer that makes
 * us write a line costs us little. What is left out is counted and told.
 *
 * Traffic does not wait for who reads the log, or not for long. A line that a pipe, a terminal or a
 * socket does not take soon is left out, too. Only syslog(3) may wait.
 *
 * The log is the one thing in this program that is global: there is one process, one log.
 */
#ifndef TOOL_LOG_H
#define TOOL_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum level {
    LEVEL_ERROR,
    LEVEL_WARN,
    LEVEL_INFO,
    LEVEL_DEBUG,
    LEVEL_TRACE
};

enum log_format {
    LOG_FORMAT_TEXT,
    LOG_FORMAT_LOGFMT,
    LOG_FORMAT_JSON
};

enum log_kind {
    LOG_KIND_END,
    LOG_KIND_TEXT,
    LOG_KIND_NUMBER,
    LOG_KIND_TIME /* microseconds, written in a fitting unit; seconds in JSON */
};

/* A key and its value. A text that is NULL leaves the key out. */
struct log_field {
    const char *key;
    enum log_kind kind;
    const char *text;
    uint64_t number;
};

#define LOG_STR(k, v) ((struct log_field){.key = (k), .kind = LOG_KIND_TEXT, .text = (v)})
#define LOG_U64(k, v) ((struct log_field){.key = (k), .kind = LOG_KIND_NUMBER, .number = (v)})
#define LOG_US(k, v)  ((struct log_field){.key = (k), .kind = LOG_KIND_TIME, .number = (v)})
#define LOG_MS(k, v)  LOG_US((k), (uint64_t)(v)*1000)

/* Writes a line when `level` is wanted. The last arguments are one or more LOG_xxx(). */
#define LOG_EVENT(level, component, event, ...)                                                    \
    log_event((level), (component), (event),                                                       \
              (const struct log_field[]){__VA_ARGS__, {.kind = LOG_KIND_END}})

/* The same for what the operator has asked for: it is not counted among the lines of a second, of
 * which peers may use up all. */
#define LOG_ANSWER(level, component, event, ...)                                                   \
    log_answer((level), (component), (event),                                                      \
               (const struct log_field[]){__VA_ARGS__, {.kind = LOG_KIND_END}})

/* As the macros do; `fields` ends with LOG_KIND_END. */
void log_event(enum level level, const char *component, const char *event,
               const struct log_field *fields);
void log_answer(enum level level, const char *component, const char *event,
                const struct log_field *fields);

/* Tells whether lines of this level are written: for work that is only done for the log. */
bool log_wants(enum level level);

/*
 * Opens the log. Before, lines go to standard error as text.
 *
 * where: NULL for standard error, a file name, "syslog" or "journal"
 * name:  added to every line as `tunnel=` unless NULL
 * Returns 0, or the errno of what could not be opened.
 */
int log_open(const char *where, enum level level, enum log_format format, const char *name);

/* Opens the file again, after it was moved away. Returns 0 or an errno; then the old one stays. */
int log_reopen(void);

#endif
