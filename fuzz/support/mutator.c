/*
 * mutator.c - changes inputs of records (records.h) without losing their frames.
 *
 * A third of the changes are those of libFuzzer, of any bytes. The others add, take away, repeat
 * and swap whole records, or give a field of one a value that matters: a limit of the protocol and
 * its neighbours, or the id of another record.
 */
#include "records.h"

#include "frames.h"
#include "rng.h"

#include <string.h>

#define MAX_RECORDS 4096

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* An input on its way through the mutator. */
struct mutation {
    uint8_t *data;
    size_t size;
    size_t max_size;
    struct rng rng;
    size_t num;                 /* of records */
    size_t starts[MAX_RECORDS]; /* of each in `data` */
    size_t ends;                /* of the last one, which may be cut short */
};

static const uint16_t lengths[] = {0,    1,     2,     7,     8,     9,     63,    64,
                                   65,   511,   512,   513,   1023,  1024,  4095,  4096,
                                   4097, 16384, 16385, 32767, 32768, 65527, 65534, 65535};

static const uint32_t numbers[] = {0,           1,           2,           511,        512,
                                   1024,        32768,       65535,       65536,      131072,
                                   262143,      262144,      262145,      524288,     0x7FFFFFFF,
                                   0x80000000u, 0x80000001u, 0xFFFFFFFEu, 0xFFFFFFFFu};

#define PICK(rng, values)                                                                          \
    ((values)[rng_below((rng), (uint32_t)(sizeof(values) / sizeof((values)[0])))])

static void find_records(struct mutation *m)
{
    size_t at = fuzz_records.preamble;

    m->num = 0;
    while (m->num < MAX_RECORDS && at + RECORD_HEADER <= m->size) {
        size_t size = record_size(&fuzz_records, record_load(m->data + at));

        m->starts[m->num++] = at;
        at = size < m->size - at ? at + size : m->size;
    }
    m->ends = at < m->size ? at : m->size;
}

static size_t size_of(const struct mutation *m, size_t i)
{
    return (i + 1 < m->num ? m->starts[i + 1] : m->ends) - m->starts[i];
}

/* --- whole records ------------------------------------------------------------------------- */

/* Makes room for `len` bytes in front of record i, or behind the last one. */
static uint8_t *make_room(struct mutation *m, size_t i, size_t len)
{
    size_t at = i < m->num ? m->starts[i] : m->ends;

    if (m->size < fuzz_records.preamble || m->size + len > m->max_size) {
        return NULL;
    }
    memmove(m->data + at + len, m->data + at, m->size - at);
    m->size += len;
    return m->data + at;
}

static uint32_t some_id(struct mutation *m)
{
    uint32_t dice = rng_below(&m->rng, 100);

    if (dice < 60 && m->num > 0) {
        size_t i = rng_below(&m->rng, (uint32_t)m->num);
        uint32_t id = record_load(m->data + m->starts[i]).id;

        return dice < 45 ? id : id + 2;
    }
    return dice < 90 ? rng_below(&m->rng, 10) : PICK(&m->rng, numbers);
}

static uint16_t some_length(struct mutation *m, unsigned cmd)
{
    switch (cmd) {
    case CMD_SYN:
    case CMD_FIN:
    case CMD_NOP:
        return rng_chance(&m->rng, 98) ? 0 : PICK(&m->rng, lengths);
    case CMD_UPD:
        return rng_chance(&m->rng, 98) ? 8 : PICK(&m->rng, lengths);
    case CMD_PSH:
        if (fuzz_records.has_payload && rng_chance(&m->rng, 80)) {
            return (uint16_t)rng_below(&m->rng, 40);
        }
        return PICK(&m->rng, lengths);
    default:
        return PICK(&m->rng, lengths);
    }
}

static uint8_t some_version(struct mutation *m)
{
    const uint8_t *versions = fuzz_records.versions;

    return versions[rng_below(&m->rng, (uint32_t)strlen((const char *)versions))];
}

static uint8_t some_cmd(struct mutation *m)
{
    if (fuzz_records.num_calls > 0 && rng_chance(&m->rng, 50)) {
        return (uint8_t)(RECORD_CALL + rng_below(&m->rng, fuzz_records.num_calls));
    }
    return (uint8_t)rng_below(&m->rng, rng_chance(&m->rng, 98) ? 5 : 7);
}

static void fill_body(struct mutation *m, uint8_t *body, size_t len)
{
    for (size_t i = 0; i + 4 <= len; i += 4) {
        uint32_t value =
            rng_chance(&m->rng, 70) ? PICK(&m->rng, numbers) : rng_log(&m->rng, 1, UINT32_MAX / 2);

        memcpy(body + i, &value, 4);
    }
}

static void add_record(struct mutation *m)
{
    struct record record = {some_version(m), some_cmd(m), 0, some_id(m)};
    uint8_t *at;
    size_t size;

    record.len = some_length(m, record.cmd);
    size = record_size(&fuzz_records, record);
    at = make_room(m, rng_below(&m->rng, (uint32_t)m->num + 1), size);
    if (at != NULL) {
        memset(at, 'a', size);
        record_store(at, record);
        if (record.cmd == CMD_UPD) {
            fill_body(m, at + RECORD_HEADER, size - RECORD_HEADER);
        }
    }
}

static void remove_records(struct mutation *m)
{
    size_t first = rng_below(&m->rng, (uint32_t)m->num);
    size_t n = rng_log(&m->rng, 1, (uint32_t)(m->num - first));
    size_t from = m->starts[first];
    size_t to = first + n < m->num ? m->starts[first + n] : m->ends;

    memmove(m->data + from, m->data + to, m->size - to);
    m->size -= to - from;
}

/* Copies one record to another place, once or several times. */
static void repeat_record(struct mutation *m)
{
    static uint8_t copy[RECORD_HEADER + 65535];
    size_t i = rng_below(&m->rng, (uint32_t)m->num);
    size_t to = rng_below(&m->rng, (uint32_t)m->num + 1);
    size_t size = size_of(m, i);
    uint32_t times = rng_log(&m->rng, 1, 16);

    if (size > sizeof(copy)) {
        return;
    }
    memcpy(copy, m->data + m->starts[i], size);
    while (times-- > 0) {
        uint8_t *at = make_room(m, to, size);

        if (at != NULL) {
            memcpy(at, copy, size);
        }
    }
}

static void swap_records(struct mutation *m)
{
    size_t i = rng_below(&m->rng, (uint32_t)m->num);
    size_t j = rng_below(&m->rng, (uint32_t)m->num);
    uint8_t *a = m->data + m->starts[i];
    uint8_t *b = m->data + m->starts[j];
    uint8_t head[FRAME_UPD];
    size_t size = size_of(m, i);

    if (size != size_of(m, j) || size > sizeof(head)) {
        return;
    }
    memcpy(head, a, size);
    memmove(a, b, size);
    memcpy(b, head, size);
}

/* --- one field ----------------------------------------------------------------------------- */

static void change_field(struct mutation *m)
{
    size_t i = rng_below(&m->rng, (uint32_t)m->num);
    uint8_t *at = m->data + m->starts[i];
    struct record record = record_load(at);

    switch (rng_below(&m->rng, 6)) {
    case 0:
        record.version = rng_chance(&m->rng, 90) ? some_version(m) : (uint8_t)rng_next(&m->rng);
        break;
    case 1:
        record.cmd = some_cmd(m);
        break;
    case 2:
        record.len = rng_chance(&m->rng, 70) ? some_length(m, record.cmd)
                                             : (uint16_t)(record.len + rng_below(&m->rng, 5) - 2);
        break;
    case 3:
    case 4:
        record.id = some_id(m);
        break;
    default:
        if (record.cmd == CMD_UPD && size_of(m, i) == FRAME_UPD) {
            fill_body(m, at + RECORD_HEADER + 4 * rng_below(&m->rng, 2), 4);
        } else {
            record.id ^= (uint32_t)1 << rng_below(&m->rng, 32);
        }
        break;
    }
    record_store(at, record);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    static struct mutation m;

    m.data = data;
    m.size = size;
    m.max_size = max_size;
    rng_seed(&m.rng, seed);
    find_records(&m);
    if (rng_chance(&m.rng, 33) || size < fuzz_records.preamble) {
        return LLVMFuzzerMutate(data, size, max_size);
    }
    for (uint32_t n = rng_log(&m.rng, 1, 4); n > 0; n--) {
        uint32_t dice = rng_below(&m.rng, 100);

        if (m.num == 0 || dice < 35) {
            add_record(&m);
        } else if (dice < 70) {
            change_field(&m);
        } else if (dice < 82) {
            remove_records(&m);
        } else if (dice < 92) {
            repeat_record(&m);
        } else {
            swap_records(&m);
        }
        find_records(&m);
    }
    return m.size;
}
