#include "records.h"

#include "frames.h"

struct record record_load(const uint8_t *at)
{
    struct frame frame;

    frame_header(at, &frame);
    return (struct record){frame.version, frame.cmd, frame.len, frame.id};
}

void record_store(uint8_t *at, struct record record)
{
    put_header(at, record.version, record.cmd, record.len, record.id);
}

size_t record_size(const struct record_format *format, struct record record)
{
    if (record.cmd == CMD_UPD && record.len == FRAME_UPD - FRAME_HEADER) {
        return FRAME_UPD;
    }
    if (record.cmd == CMD_PSH && format->has_payload) {
        return RECORD_HEADER + (size_t)record.len;
    }
    return RECORD_HEADER;
}
