/*
 * log_line.h - one log line in the making: a bounded buffer, and values escaped into it.
 *
 * Text that does not fit is cut, fields behind it are left out; the line still ends properly and
 * JSON stays JSON.
 */
#ifndef TOOL_LOG_LINE_H
#define TOOL_LOG_LINE_H

#include <stddef.h>

#include "log.h"

#define LOG_LINE_MAX 2048

struct log_line {
    enum log_format format;
    bool full; /* something did not fit; nothing is added any more */
    size_t len;
    char text[LOG_LINE_MAX];
};

/* Starts a line with time, level, component and event. */
void log_line_begin(struct log_line *line, enum log_format format, enum level level,
                    const char *component, const char *event);

/* Adds a key and its value. */
void log_line_add(struct log_line *line, const struct log_field *field);

/* Ends the line with a newline and a 0, which len does not count. */
void log_line_end(struct log_line *line);

/* Returns the name of a level. */
const char *log_level_name(enum level level);

#endif
