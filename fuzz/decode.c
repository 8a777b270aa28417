/*
 * decode.c - captured bytes through `smux decode`.
 *
 * Input: a byte of flags, then the capture. The reader must find the frames that a second reader
 * finds, wherever the capture ends; the same capture as hexadecimal digits must give the same; and
 * the command must end with the exit code that the frames ask for. The bytes as they are, read as
 * hexadecimal, need only be survived.
 *
 * fuzz-with: tool
 */
#define _GNU_SOURCE 1

#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "decode.h"
#include "frame_reader.h"

#define MAX_CAPTURE 16384u

/** What the frames of a capture come to. */
struct verdict {
    bool framing; /**< something is no frame */
    bool any;     /**< some rule is violated */
};

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* --- the second reader --------------------------------------------------------------------- */

/* Takes the frame at the front of `len` bytes. Returns what belongs to it. */
static size_t second_reader(const uint8_t *at, size_t len, uint8_t *version, struct frame *out)
{
    size_t size;

    memset(out, 0, sizeof(*out));
    if (len < 8) { /* of a first version byte that is none more is said, but it is cut short */
        out->version = at[0];
        out->fault = FAULT_TRUNCATED;
        if (*version == 0 ? at[0] < 1 || at[0] > 2 : at[0] != *version) {
            out->fault = FAULT_FRAMING;
        }
        return len;
    }
    out->version = at[0];
    out->command = at[1];
    out->len = (uint16_t)(at[2] | at[3] << 8);
    out->stream = get32(at + 4);
    if (out->version < 1 || out->version > 2 || (*version != 0 && out->version != *version) ||
        out->command > FRAME_UPD) {
        out->fault = FAULT_FRAMING;
        return 8;
    }
    *version = out->version;
    if (out->command == FRAME_UPD ? out->version == 1 || out->len != 8
                                  : out->command != FRAME_PSH && out->len != 0) {
        out->fault = FAULT_RULE;
    }
    size = 8 + (size_t)out->len;
    if (size > len) {
        out->fault = out->fault == FAULT_NONE ? FAULT_TRUNCATED : out->fault;
        return len;
    }
    if (out->command == FRAME_UPD && out->len == 8) {
        out->consumed = get32(at + 8);
        out->window = get32(at + 12);
    }
    return size;
}

static void compare(const struct frame *frame, const struct frame *expected, uint64_t offset)
{
    must(frame->offset == offset && frame->version == expected->version,
         "a frame of version %u at %llu", frame->version, (unsigned long long)frame->offset);
    must(frame->fault == expected->fault, "at %llu: fault %d, not %d", (unsigned long long)offset,
         (int)frame->fault, (int)expected->fault);
    must((frame->fault == FAULT_NONE) == (frame->why[0] == '\0'), "a fault without a word");
    if (frame->fault == FAULT_NONE || frame->fault == FAULT_RULE) {
        must(frame->command == expected->command && frame->len == expected->len &&
                 frame->stream == expected->stream && frame->consumed == expected->consumed &&
                 frame->window == expected->window,
             "at %llu: command %u, %u bytes, stream %u", (unsigned long long)offset, frame->command,
             frame->len, frame->stream);
    }
}

static struct verdict check_frames(FILE *in, bool hex, const uint8_t *data, size_t len)
{
    struct frame_reader reader;
    struct frame frame, expected;
    struct verdict verdict = {false, false};
    uint8_t version = 0;
    size_t at = 0;

    frame_reader_init(&reader, in, hex);
    while (!verdict.framing && frame_reader_next(&reader, &frame)) {
        size_t size;

        must(at < len, "a frame behind the end");
        size = second_reader(data + at, len - at, &version, &expected);
        compare(&frame, &expected, at);
        at += size;
        verdict.framing = frame.fault == FAULT_FRAMING;
        verdict.any = verdict.any || frame.fault != FAULT_NONE;
    }
    must(verdict.framing || at == len, "%zu of %zu bytes read", at, len);
    must(!reader.bad_input, "the input is called bad");
    return verdict;
}

/* --- the three ways ------------------------------------------------------------------------ */

static FILE *open_memory(const void *data, size_t len)
{
    FILE *in = fmemopen((void *)(uintptr_t)data, len, "rb");

    must(in != NULL, "no stream");
    return in;
}

static void check_hex(const uint8_t *data, size_t len, uint8_t flags)
{
    static const char *const between[] = {"", " ", ":", ", ", "\n", " # a comment\n"};
    static char text[MAX_CAPTURE * 20];
    size_t n = 0;
    FILE *in;

    for (size_t i = 0; i < len; i++) {
        n += (size_t)snprintf(text + n, sizeof(text) - n, (flags & 4) != 0 ? "%02X%s" : "%02x%s",
                              data[i], between[(flags + i) % 6]);
    }
    in = open_memory(text, n);
    (void)check_frames(in, true, data, len);
    fclose(in);
}

static void survive_hex(const uint8_t *data, size_t len)
{
    FILE *in = open_memory(data, len);
    struct frame_reader reader;
    struct frame frame;

    frame_reader_init(&reader, in, true);
    while (frame_reader_next(&reader, &frame)) {
        must(memchr(frame.why, '\0', sizeof(frame.why)) != NULL, "a sentence without an end");
    }
    fclose(in);
}

/* The whole command, its output thrown away. */
static int run_command(FILE *capture, uint8_t flags)
{
    static FILE *nowhere;
    FILE *in = stdin;
    FILE *out = stdout;
    FILE *err = stderr;
    char *argv[] = {(char *)(uintptr_t) "decode", (char *)(uintptr_t) "-", NULL, NULL, NULL};
    int argc = 2;
    int status;

    if ((flags & 1) != 0) {
        argv[argc++] = (char *)(uintptr_t) "--json-lines";
    }
    if ((flags & 2) != 0) {
        argv[argc++] = (char *)(uintptr_t) "--check";
    }
    if (nowhere == NULL) {
        nowhere = fopen("/dev/null", "w");
        must(nowhere != NULL, "no /dev/null");
    }
    stdin = capture;
    stdout = stderr = nowhere;
    status = decode_main(argc, argv);
    stdin = in;
    stdout = out;
    stderr = err;
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    uint8_t flags = fuzz_u8(&in);
    struct verdict verdict;
    bool fails;
    FILE *capture;
    int status;

    if (in.len == 0 || in.len > MAX_CAPTURE) {
        return 0;
    }
    capture = open_memory(in.at, in.len);
    verdict = check_frames(capture, false, in.at, in.len);
    rewind(capture);
    status = run_command(capture, flags);
    fclose(capture);
    fails = verdict.framing || ((flags & 2) != 0 && verdict.any);
    must(status == (fails ? EX_DATAERR : EX_OK), "exit code %d", status);
    check_hex(in.at, in.len, flags);
    survive_hex(in.at, in.len);
    return 0;
}
