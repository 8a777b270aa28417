#define _GNU_SOURCE 1

#include "decode.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <sysexits.h>

#include "frame_reader.h"
#include "usage.h"
#include "values.h"

struct decode_settings {
    struct settings common;
    bool json_lines;
    bool hex;
    bool check;
    const char *pcapng;
};

#define FIELD(name) offsetof(struct decode_settings, name)

static const struct option_spec specs[] = {
    {.name = "json-lines",
     .kind = OPTION_FLAG,
     .group = GROUP_OUTPUT,
     .commands = FOR_DECODE,
     .field = FIELD(json_lines),
     .help = "one JSON object a frame"},
    {.name = "hex",
     .kind = OPTION_FLAG,
     .group = GROUP_OUTPUT,
     .commands = FOR_DECODE,
     .field = FIELD(hex),
     .help = "the input is hexadecimal digits; space, : and , between them and # comments are "
             "skipped"},
    {.name = "check",
     .kind = OPTION_FLAG,
     .group = GROUP_OUTPUT,
     .commands = FOR_DECODE,
     .field = FIELD(check),
     .help = "end with exit code 65 at the first violation"},
    {.name = "pcapng",
     .kind = OPTION_TEXT,
     .stage = STAGE_ABSENT,
     .commands = FOR_DECODE,
     .field = FIELD(pcapng)},
};

static const struct option_list decode_options = {specs, sizeof(specs) / sizeof(specs[0])};

const struct command decode_command = {
    .name = "decode",
    .id = FOR_DECODE,
    .synopsis = "decode [--hex] [--json-lines] [--check] [FILE]\n",
    .about = "Prints the frames of a captured byte stream of one direction, from FILE or\n"
             "standard input: offset, sender, version, command, stream, length, and for\n"
             "updates consumed and window. The sender is known from its first SYN on.",
    .lists = {&decode_options, &common_options},
    .settings_size = sizeof(struct decode_settings),
    .max_operands = 1,
};

/* --- output ------------------------------------------------------------------------------ */

static const char *sender_name(enum frame_sender sender)
{
    static const char *const names[] = {"-", "client", "server"};

    return names[sender];
}

/* Prints a value in quotes, as the log does. */
static void print_quoted(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            putchar('\\');
        }
        putchar(*text);
    }
    putchar('"');
}

static void print_text(const struct frame *frame, enum frame_sender sender)
{
    printf("%10" PRIu64 "  %-6s  v%u  %-3s  stream=%" PRIu32 "  len=%u", frame->offset,
           sender_name(sender), frame->version, frame_command_name(frame->command), frame->stream,
           frame->len);
    if (frame->command == FRAME_UPD && frame->fault == FAULT_NONE) {
        printf("  consumed=%" PRIu32 "  window=%" PRIu32, frame->consumed, frame->window);
    }
    if (frame->fault != FAULT_NONE) {
        fputs("  error=", stdout);
        print_quoted(frame->why);
    }
    putchar('\n');
}

static void print_json(const struct frame *frame, enum frame_sender sender)
{
    json_t *line = json_pack("{s:I, s:s, s:i, s:s, s:I, s:i}", "offset", (json_int_t)frame->offset,
                             "sender", sender_name(sender), "version", frame->version, "cmd",
                             frame_command_name(frame->command), "stream",
                             (json_int_t)frame->stream, "len", frame->len);

    if (frame->command == FRAME_UPD && frame->fault == FAULT_NONE) {
        json_object_set_new(line, "consumed", json_integer(frame->consumed));
        json_object_set_new(line, "window", json_integer(frame->window));
    }
    if (frame->fault != FAULT_NONE) {
        json_object_set_new(line, "error", json_string(frame->why));
    }
    json_dumpf(line, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(line);
}

/* --- reading ----------------------------------------------------------------------------- */

/* An input that stops in the middle of a frame is normal for a capture, but not a whole one. */
static int frame_status(const struct frame *frame, bool check)
{
    if (frame->fault == FAULT_FRAMING || (check && frame->fault != FAULT_NONE)) {
        usage_error("offset %" PRIu64 ": %s", frame->offset, frame->why);
        return EX_DATAERR;
    }
    return EX_OK;
}

static int input_status(const struct frame_reader *reader, const char *name)
{
    if (ferror(reader->in)) {
        usage_error("cannot read %s: %s", name, value_errno_text(errno));
        return EX_DATAERR;
    }
    if (reader->bad_input) {
        usage_error("%s:%" PRIu64 ": %s", name, reader->line,
                    reader->half_byte ? "the last byte has only one digit"
                                      : "this is not hexadecimal");
        return EX_DATAERR;
    }
    return EX_OK;
}

static int decode_stream(FILE *in, const char *name, const struct decode_settings *settings)
{
    struct frame_reader reader;
    struct frame frame;
    int status = EX_OK;

    frame_reader_init(&reader, in, settings->hex);
    while (status == EX_OK && frame_reader_next(&reader, &frame)) {
        (settings->json_lines ? print_json : print_text)(&frame, reader.sender);
        status = frame_status(&frame, settings->check);
    }
    return status != EX_OK ? status : input_status(&reader, name);
}

static int decode_file(const char *name, const struct decode_settings *settings)
{
    FILE *in;
    int status;

    if (name == NULL || strcmp(name, "-") == 0) {
        return decode_stream(stdin, "standard input", settings);
    }
    in = fopen(name, "rb");
    if (in == NULL) {
        usage_error("cannot open %s: %s", name, value_errno_text(errno));
        return EX_NOINPUT;
    }
    status = decode_stream(in, name, settings);
    fclose(in);
    return status;
}

int decode_main(int argc, char **argv)
{
    struct decode_settings settings;
    const char *file;
    int status = options_parse(&decode_command, argc, argv, &settings, &file);

    if (status == OPTIONS_GO_ON) {
        status = decode_file(file, &settings);
        settings_free(&settings.common);
    }
    return status;
}
