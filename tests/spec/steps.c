#include "steps.h"

#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum {
    SETTLE_MS = 40,
    DEAD_MS = 1000, /**< a session that lives has echoed by then */
    LINE = 128
};

void fence(struct conn *c)
{
    struct stream *s = open_stream(c);
    char token[32];

    s->fence = true;
    snprintf(token, sizeof token, "fence %u", c->fences++);
    send_text(c, s->id, token);
    await_text(c, s, token);
    send_fin(c, s->id);
}

void settle(struct conn *c)
{
    fence(c);
    conn_idle(c, SETTLE_MS);
    fence(c);
}

uint64_t allowance(const struct conn *c, const struct stream *s)
{
    uint64_t edge = (uint64_t)s->consumed + s->window;

    if (c->version == 1) {
        return UINT64_MAX;
    }
    return edge > s->sent ? edge - s->sent : 0;
}

void send_data(struct conn *c, struct stream *s, size_t len, size_t frame_len)
{
    while (len > 0) {
        size_t n = len < frame_len ? len : frame_len;

        await(c, allowance(c, s) > 0,
              "no window: %llu bytes were sent, UPD(%u, %u) was the last of %u",
              (unsigned long long)s->sent, (unsigned)s->consumed, (unsigned)s->window, s->upds);
        n = n < allowance(c, s) ? n : (size_t)allowance(c, s);
        send_psh(c, s->id, n);
        len -= n;
        conn_receive(c, 0);
    }
}

static void expect_content(struct conn *c, const struct stream *s)
{
    uint64_t want = s->sent - s->line;

    expect(c, s->got <= want, "%llu bytes came back of %llu", (unsigned long long)s->got,
           (unsigned long long)want);
    for (uint64_t i = 0; i < s->got; i++) {
        expect(c, s->data[i] == pattern_byte(s->id, i + s->line), "byte %llu came back changed",
               (unsigned long long)i);
    }
}

void await_echo(struct conn *c, struct stream *s)
{
    await(c, s->got >= s->sent - s->line, "%llu bytes came back of %llu%s",
          (unsigned long long)s->got, (unsigned long long)(s->sent - s->line),
          c->ended ? ", then the connection ended" : "");
    expect_content(c, s);
}

void await_text(struct conn *c, struct stream *s, const char *text)
{
    size_t len = strlen(text);

    await(c, s->got >= len, "no echo of \"%s\"%s", text,
          c->ended ? ": the connection has ended" : "");
    expect(c, s->got == len && memcmp(s->data, text, len) == 0, "the echo of \"%s\" is \"%.*s\"",
           text, (int)s->got, (const char *)s->data);
}

struct stream *open_echo(struct conn *c)
{
    struct stream *s = open_stream(c);

    send_psh(c, s->id, 5);
    await_echo(c, s);
    return s;
}

void await_fin(struct conn *c, struct stream *s)
{
    await(c, s->fins > 0, "no FIN of stream %u%s", (unsigned)s->id,
          c->ended ? ": the connection has ended" : "");
}

void await_end(struct conn *c)
{
    await(c, c->ended, "the connection was not closed");
}

void expect_end_within(struct conn *c, unsigned ms)
{
    uint64_t until = clock_us() + ms * UINT64_C(1000);

    while (!c->ended && conn_receive(c, until)) {
    }
    expect(c, c->ended, "the connection was not closed within %u ms", ms);
}

unsigned soon(const struct conn *c)
{
    unsigned long limit = spec_setting(c->run, "timeout_ms", 10000) * 4 / 5;

    return limit < c->run->patience_ms ? (unsigned)limit : c->run->patience_ms;
}

void expect_dead(struct conn *c)
{
    uint64_t until = clock_us() + DEAD_MS * UINT64_C(1000);
    struct stream *s = open_stream(c);

    send_psh(c, s->id, 5);
    while (!c->ended && s->got == 0 && conn_receive(c, until)) {
    }
    expect(c, s->got == 0, "the session goes on");
}

struct stream *command(struct conn *c, const char *format, ...)
{
    struct stream *s = open_stream(c);
    char line[LINE] = "!";
    va_list args;

    va_start(args, format);
    vsnprintf(line + 1, sizeof line - 2, format, args);
    va_end(args);
    strcat(line, "\n");
    send_text(c, s->id, line);
    s->line = s->sent;
    return s;
}

/** Puts a 0 behind what came; the books have room for it only by chance. */
static const char *as_text(struct conn *c, struct stream *s, char *text, size_t size)
{
    expect(c, s->got < size, "an answer of %llu bytes", (unsigned long long)s->got);
    if (s->got > 0) {
        memcpy(text, s->data, s->got);
    }
    text[s->got] = '\0';
    return text;
}

const char *answer(struct conn *c, struct stream *s)
{
    await(c, s->fins > 0, "no answer%s", c->ended ? ": the connection has ended" : "");
    return as_text(c, s, c->text, sizeof c->text);
}

const char *answer_line(struct conn *c, struct stream *s)
{
    await(c, s->got > 0 && s->data[s->got - 1] == '\n', "no answer%s",
          c->ended ? ": the connection has ended" : "");
    return as_text(c, s, c->text, sizeof c->text);
}

void release(struct conn *c)
{
    answer(c, command(c, "release"));
}

static struct stream *opened(const struct conn *c, unsigned n)
{
    for (size_t i = 0; i < c->n_streams; i++) {
        n -= c->streams[i]->syns > 0;
        if (n == 0) {
            return c->streams[i];
        }
    }
    return NULL;
}

struct stream *await_opened(struct conn *c, unsigned n)
{
    await(c, opened(c, n) != NULL, "the subject did not open %u streams%s", n,
          c->ended ? ": the connection has ended" : "");
    return opened(c, n);
}

void expect_pattern(struct conn *c, const struct stream *s, uint64_t len)
{
    expect(c, s->got >= len, "%llu bytes, not %llu", (unsigned long long)s->got,
           (unsigned long long)len);
    for (uint64_t i = 0; i < len; i++) {
        expect(c, s->data[i] == (uint8_t)(0x80 | (i ^ i >> 8 ^ i >> 16)), "byte %llu is wrong",
               (unsigned long long)i);
    }
}

const char *outcome(struct conn *c, const char *token)
{
    struct conn *other = conn_open(c->test);

    strcpy(c->text, answer(other, command(other, "outcome %s", token)));
    return c->text;
}

void expect_outcome(struct conn *c, const char *token, const char *text)
{
    const char *told = outcome(c, token);

    expect(c, strncmp(told, text, strlen(text)) == 0, "the reader saw %.*s, not %s",
           (int)strcspn(told, "\n"), told, text);
}

const char *fresh_token(struct conn *c)
{
    static atomic_uint number;

    snprintf(c->token, sizeof c->token, "%llx-%u", (unsigned long long)c->since_us, number++);
    return c->token;
}

void grant(struct conn *c, struct stream *s, uint32_t consumed, uint32_t window)
{
    s->withhold = true;
    send_upd(c, s->id, consumed, window);
}

void expect_got(struct conn *c, struct stream *s, uint64_t n)
{
    await(c, s->got >= n, "%llu bytes came, not %llu%s", (unsigned long long)s->got,
          (unsigned long long)n, c->ended ? ": the connection has ended" : "");
    settle(c);
    expect(c, s->got == n, "%llu bytes came, not %llu", (unsigned long long)s->got,
           (unsigned long long)n);
}

unsigned long setting(const struct conn *c, const char *name)
{
    return spec_setting(c->run, name, 0);
}
