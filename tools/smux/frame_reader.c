#define _GNU_SOURCE 1

#include "frame_reader.h"

#include <ctype.h>
#include <string.h>

#define HEADER_LEN 8
#define UPDATE_LEN 8

const char *frame_command_name(uint8_t command)
{
    static const char *const names[] = {"SYN", "FIN", "PSH", "NOP", "UPD"};

    return command <= FRAME_UPD ? names[command] : "?";
}

void frame_reader_init(struct frame_reader *reader, FILE *in, bool hex)
{
    memset(reader, 0, sizeof(*reader));
    reader->in = in;
    reader->hex = hex;
    reader->line = 1;
}

/* --- bytes ------------------------------------------------------------------------------- */

/* Returns the next digit; -1 at the end or at something that does not belong here. Space and the
 * usual separators are skipped, as is a # comment. */
static int next_digit(struct frame_reader *reader)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t lines = 0;
    int c;

    while ((c = getc(reader->in)) != EOF) {
        const char *at;
        if (c == '#') {
            while ((c = getc(reader->in)) != EOF && c != '\n') {
            }
        }
        lines += c == '\n';
        if (c == EOF || isspace(c) || c == ':' || c == ',') {
            continue;
        }
        reader->line += lines;
        at = strchr(digits, tolower(c));
        if (at != NULL && *at != '\0') {
            return (int)(at - digits);
        }
        reader->bad_input = true;
        return -1;
    }
    return -1;
}

static size_t read_hex(struct frame_reader *reader, uint8_t *out, size_t len)
{
    size_t n = 0;

    while (n < len) {
        int high = next_digit(reader);
        int low = high < 0 ? -1 : next_digit(reader);
        if (low < 0) {
            reader->half_byte |= high >= 0 && !reader->bad_input;
            reader->bad_input |= reader->half_byte;
            break;
        }
        out[n++] = (uint8_t)(high << 4 | low);
    }
    return n;
}

static size_t read_bytes(struct frame_reader *reader, uint8_t *out, size_t len)
{
    size_t n = reader->hex ? read_hex(reader, out, len) : fread(out, 1, len, reader->in);

    reader->offset += n;
    return n;
}

static size_t skip_bytes(struct frame_reader *reader, size_t len)
{
    uint8_t dropped[4096];
    size_t total = 0;

    while (total < len) {
        size_t left = len - total;
        size_t n = read_bytes(reader, dropped, left < sizeof(dropped) ? left : sizeof(dropped));
        if (n == 0) {
            break;
        }
        total += n;
    }
    return total;
}

static uint32_t load_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* --- judging ----------------------------------------------------------------------------- */

static void set_fault(struct frame *frame, enum frame_fault fault, const char *why)
{
    if (frame->fault == FAULT_NONE) {
        frame->fault = fault;
        snprintf(frame->why, sizeof(frame->why), "%s", why);
    }
}

/* Writes bytes as the library's messages do, so that what ends the excerpt is unmistakable: all
 * but plain characters as \xNN. `out` has 4 * len + 1 bytes. */
static void write_excerpt(const uint8_t *data, size_t len, char *out)
{
    *out = '\0';
    for (size_t i = 0; i < len; i++) {
        bool plain = isprint(data[i]) && data[i] != '"' && data[i] != '\\';
        out += sprintf(out, plain ? "%c" : "\\x%02x", data[i]);
    }
}

/* Says what the first bytes of something else look like. */
static void describe_stranger(struct frame *frame, const uint8_t *header)
{
    char text[4 * HEADER_LEN + 1];
    bool printable = true;

    write_excerpt(header, HEADER_LEN, text);
    for (size_t i = 0; i < HEADER_LEN; i++) {
        printable = printable && isprint(header[i]);
    }
    frame->fault = FAULT_FRAMING;
    snprintf(frame->why, sizeof(frame->why), "this is not smux: first bytes \"%s\"%s", text,
             header[0] == 0x16                                         ? " look like TLS"
             : memcmp(header, "SSH-", 4) == 0                          ? " look like SSH"
             : printable && (isupper(header[0]) || isdigit(header[0])) ? " look like text"
                                                                       : "");
}

static void judge_version(struct frame_reader *reader, struct frame *frame, const uint8_t *header)
{
    char why[80];

    if (reader->version == 0 && (frame->version < 1 || frame->version > 2)) {
        describe_stranger(frame, header);
    } else if (reader->version != 0 && frame->version != reader->version) {
        snprintf(why, sizeof(why), "version %u in a version %u stream", frame->version,
                 reader->version);
        set_fault(frame, FAULT_FRAMING, why);
    } else {
        reader->version = frame->version;
    }
}

static void judge_command(struct frame *frame)
{
    char why[80];

    if (frame->command > FRAME_UPD) {
        snprintf(why, sizeof(why), "unknown command %u", frame->command);
        set_fault(frame, FAULT_FRAMING, why);
    } else if (frame->command == FRAME_UPD && frame->version == 1) {
        set_fault(frame, FAULT_RULE, "UPD does not exist in version 1");
    } else if (frame->command == FRAME_UPD && frame->len != UPDATE_LEN) {
        set_fault(frame, FAULT_RULE, "UPD must have length 8");
    } else if (frame->command != FRAME_PSH && frame->command != FRAME_UPD && frame->len != 0) {
        set_fault(frame, FAULT_RULE, "SYN, FIN and NOP must have length 0");
    }
}

static void note_sender(struct frame_reader *reader, const struct frame *frame)
{
    if (frame->command == FRAME_SYN && reader->sender == SENDER_UNKNOWN) {
        reader->sender = frame->stream % 2 != 0 ? SENDER_CLIENT : SENDER_SERVER;
    }
}

static void read_payload(struct frame_reader *reader, struct frame *frame)
{
    uint8_t update[UPDATE_LEN];
    size_t n;

    if (frame->command == FRAME_UPD && frame->len == UPDATE_LEN) {
        n = read_bytes(reader, update, sizeof(update));
        if (n == sizeof(update)) {
            frame->consumed = load_u32(update);
            frame->window = load_u32(update + 4);
        }
    } else {
        n = skip_bytes(reader, frame->len);
    }
    if (n < frame->len) {
        set_fault(frame, FAULT_TRUNCATED, "the input ends inside this frame");
    }
}

bool frame_reader_next(struct frame_reader *reader, struct frame *out)
{
    uint8_t header[HEADER_LEN] = {0};
    size_t n;

    memset(out, 0, sizeof(*out));
    out->offset = reader->offset;
    n = read_bytes(reader, header, sizeof(header));
    if (n == 0 || reader->bad_input) {
        return false;
    }
    out->version = header[0];
    out->command = header[1];
    out->len = (uint16_t)(header[2] | header[3] << 8);
    out->stream = load_u32(header + 4);
    judge_version(reader, out, header);
    if (n < sizeof(header)) {
        set_fault(out, FAULT_TRUNCATED, "the input ends inside this header");
        return true;
    }
    judge_command(out);
    if (out->fault != FAULT_FRAMING) {
        note_sender(reader, out);
        read_payload(reader, out);
    }
    return !reader->bad_input;
}
