#include "tally.h"

#include <smux/base.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_LOGGED = 20
};

void tally_init(struct tally *tally)
{
    memset(tally, 0, sizeof *tally);
    pthread_mutex_init(&tally->lock, NULL);
}

static void write_note(struct tally *tally, const char *text)
{
    pthread_mutex_lock(&tally->lock);
    if (tally->logged++ < MAX_LOGGED) {
        fprintf(stderr, "cpeer: %s\n", text);
    }
    pthread_mutex_unlock(&tally->lock);
}

void tally_note(struct tally *tally, const char *format, ...)
{
    char text[TALLY_TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    write_note(tally, text);
}

bool tally_fail(struct tally *tally, const char *format, ...)
{
    char text[TALLY_TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    write_note(tally, text);
    pthread_mutex_lock(&tally->lock);
    if (tally->first[0] == '\0') {
        memcpy(tally->first, text, sizeof text);
    }
    pthread_mutex_unlock(&tally->lock);
    tally->errors++;
    return false;
}

void tally_session_error(struct tally *tally, int status, const char *text)
{
    tally_note(tally, "session ended: %s: %s", smux_status_name(status), text);
    pthread_mutex_lock(&tally->lock);
    tally->session_status = smux_status_name(status);
    snprintf(tally->session_text, sizeof tally->session_text, "%s", text);
    pthread_mutex_unlock(&tally->lock);
    tally->session_errors++;
}

void tally_set(struct tally *tally, const char *name, uint64_t value)
{
    pthread_mutex_lock(&tally->lock);
    if (tally->n_extra < TALLY_EXTRA) {
        tally->extra[tally->n_extra].name = name;
        tally->extra[tally->n_extra].value = value;
        tally->n_extra++;
    }
    pthread_mutex_unlock(&tally->lock);
}

static void print_text(const char *name, const char *text)
{
    printf(", \"%s\": \"", name);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            printf("\\%c", c);
        } else if (c < 0x20 || c >= 0x7f) {
            printf("\\u%04x", c);
        } else {
            putchar(c);
        }
    }
    putchar('"');
}

bool tally_report(struct tally *tally, const char *command, double seconds)
{
    bool ok = tally->errors == 0;
    pthread_mutex_lock(&tally->lock);
    printf("{\"command\": \"%s\", \"ok\": %s, \"seconds\": %.3f", command, ok ? "true" : "false",
           seconds);
    printf(", \"streams\": %" PRIuFAST64 ", \"bytes\": %" PRIuFAST64 ", \"errors\": %" PRIuFAST64
           ", \"sessions\": %" PRIuFAST64 ", \"session_errors\": %" PRIuFAST64,
           tally->streams, tally->bytes, tally->errors, tally->sessions, tally->session_errors);
    for (unsigned i = 0; i < tally->n_extra; i++) {
        printf(", \"%s\": %" PRIu64, tally->extra[i].name, tally->extra[i].value);
    }
    if (tally->first[0] != '\0') {
        print_text("first_error", tally->first);
    }
    if (tally->session_status != NULL) {
        print_text("session_status", tally->session_status);
        print_text("session_text", tally->session_text);
    }
    printf("}\n");
    fflush(stdout);
    pthread_mutex_unlock(&tally->lock);
    return ok;
}
