#include "wrap.h"

#include "must.h"

#include "engine/core.h"

void wrap_next_id(smux_engine *engine, uint32_t id)
{
    engine->next_id = id;
}

void wrap_output(smux_engine *engine, uint64_t len)
{
    engine->stats.wire_out += len;
}

bool wrap_has(smux_engine *engine, uint32_t id)
{
    return smux__stream_find(engine, id) != NULL;
}

void wrap_stream(smux_engine *engine, uint32_t id, uint64_t sent, uint64_t received)
{
    struct smux_estream *stream = smux__stream_find(engine, id);

    must(stream != NULL, "no stream %u", (unsigned)id);
    if (sent > 0) {
        smux__send_is_read(engine, stream);
        stream->sent_ends_at = (uint32_t)engine->stats.wire_out;
    }
    stream->sent += sent;
    stream->window.acked += (uint32_t)sent;
    stream->received += received;
    stream->consumed += received;
    stream->updated_at += (uint32_t)received;
}
