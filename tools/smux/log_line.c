#define _GNU_SOURCE 1

#include "log_line.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Kept free for what ends a line: quote, brace, newline, 0. */
#define LINE_RESERVE 8

#define WORD_MAX 300

const char *log_level_name(enum level level)
{
    static const char *const names[] = {"error", "warn", "info", "debug", "trace"};

    return names[level];
}

/* Writes all of a text or, when it does not fit, nothing more at all. */
static void put_bytes(struct log_line *line, const char *text, size_t len)
{
    if (line->full || len > sizeof(line->text) - LINE_RESERVE - line->len) {
        line->full = true;
        return;
    }
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

static void __attribute__((format(printf, 2, 3)))
put_format(struct log_line *line, const char *format, ...)
{
    char text[128];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    put_bytes(line, text, len < (int)sizeof(text) ? (size_t)len : sizeof(text) - 1);
}

static void put_escaped(struct log_line *line, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            put_format(line, "\\%c", c);
        } else if (c >= 0x20 && c < 0x7F) {
            put_bytes(line, text, 1);
        } else {
            put_format(line, line->format == LOG_FORMAT_JSON ? "\\u%04x" : "\\x%02x", c);
        }
    }
}

/* A word needs no quotes: it can be split off at the next space. One that is so long that it may
 * have to be cut does need them. */
static bool is_word(const char *text)
{
    if (*text == '\0' || strlen(text) > WORD_MAX) {
        return false;
    }
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c <= ' ' || c >= 0x7F || c == '"' || c == '\\' || c == '=') {
            return false;
        }
    }
    return true;
}

/* A text that is too long is cut. */
static void put_string(struct log_line *line, const char *text)
{
    if (line->format != LOG_FORMAT_JSON && is_word(text)) {
        put_bytes(line, text, strlen(text));
        return;
    }
    put_bytes(line, "\"", 1);
    if (line->full) {
        return;
    }
    put_escaped(line, text);
    line->text[line->len++] = '"'; /* from the reserve when it was cut */
    line->full = line->full || line->len > sizeof(line->text) - LINE_RESERVE;
}

/* 350us  42.1ms  0.7s  30s */
static void put_time(struct log_line *line, uint64_t us)
{
    if (line->format == LOG_FORMAT_JSON) {
        put_format(line, "%" PRIu64 ".%06" PRIu64, us / 1000000, us % 1000000);
    } else if (us >= 100000 && us % 1000000 == 0) {
        put_format(line, "%" PRIu64 "s", us / 1000000);
    } else if (us >= 100000) {
        put_format(line, "%.1fs", (double)us / 1e6);
    } else if (us >= 1000) {
        put_format(line, "%.1fms", (double)us / 1e3);
    } else {
        put_format(line, "%" PRIu64 "us", us);
    }
}

static void put_key(struct log_line *line, const char *key)
{
    if (line->format == LOG_FORMAT_JSON) {
        put_format(line, "%s\"%s\":", line->len > 1 ? "," : "", key);
    } else {
        put_format(line, "%s%s=", line->len > 0 ? " " : "", key);
    }
}

static void put_value(struct log_line *line, const struct log_field *field)
{
    switch (field->kind) {
    case LOG_KIND_TEXT:
        put_string(line, field->text);
        break;
    case LOG_KIND_NUMBER:
        put_format(line, "%" PRIu64, field->number);
        break;
    case LOG_KIND_TIME:
        put_time(line, field->number);
        break;
    case LOG_KIND_END:
        break;
    }
}

void log_line_add(struct log_line *line, const struct log_field *field)
{
    size_t before = line->len;

    if (field->kind == LOG_KIND_TEXT && field->text == NULL) {
        return;
    }
    put_key(line, field->key);
    put_value(line, field);
    if (line->full && line->text[line->len - 1] != '"') {
        line->len = before; /* half a field would break the form of the line */
    }
}

static void format_now(char *out, size_t size)
{
    struct timespec now;
    struct tm utc;
    size_t len;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    len = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out + len, size - len, ".%03ldZ", now.tv_nsec / 1000000);
}

void log_line_begin(struct log_line *line, enum log_format format, enum level level,
                    const char *component, const char *event)
{
    char now[40];

    line->format = format;
    line->full = false;
    line->len = 0;
    format_now(now, sizeof(now));
    if (format == LOG_FORMAT_TEXT) {
        put_format(line, "%s %-5s ", now, log_level_name(level));
        put_format(line, "%-7s %s", component, event);
        return;
    }
    if (format == LOG_FORMAT_JSON) {
        put_bytes(line, "{", 1);
    }
    log_line_add(line, &LOG_STR("ts", now));
    log_line_add(line, &LOG_STR("level", log_level_name(level)));
    log_line_add(line, &LOG_STR("component", component));
    log_line_add(line, &LOG_STR("event", event));
}

void log_line_end(struct log_line *line)
{
    if (line->format == LOG_FORMAT_JSON) {
        line->text[line->len++] = '}';
    }
    line->text[line->len++] = '\n';
    line->text[line->len] = '\0';
}
