/*
 * config.c - configurations and limits: 0, 1, the largest value and one more.
 *
 * Input: for each field of struct smux_config which value it gets. What smux_config_check() says
 * must be what a second reading of the ranges in base.h says, whatever size of the struct the
 * caller knows; and an engine with an accepted configuration must carry a small exchange with a
 * peer of the defaults, without a crash and without a leak.
 */
#include "fuzz.h"

#include "heap.h"

#include <smux/engine.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* X(field, largest value that is accepted, SMUX_OFF is accepted too) */
#define FIELDS(X)                                                                                  \
    X(max_frame_size, 65535, 0)                                                                    \
    X(max_receive_buffer, 0x7FFFFFFF, 0)                                                           \
    X(max_stream_buffer, 0x7FFFFFFF, 0)                                                            \
    X(max_window_growth, 0x7FFFFFFF, 1)                                                            \
    X(keepalive_interval_ms, UINT32_MAX, 1)                                                        \
    X(keepalive_timeout_ms, UINT32_MAX, 1)                                                         \
    X(keepalive_mode, SMUX_KEEPALIVE_NEVER, 0)                                                     \
    X(max_remote_streams, UINT32_MAX, 1)                                                           \
    X(accept_backlog, UINT32_MAX, 1)                                                               \
    X(accept_timeout_ms, UINT32_MAX, 1)                                                            \
    X(accept_guard_ms, UINT32_MAX, 1)                                                              \
    X(max_stream_send_buffer, UINT32_MAX, 1)                                                       \
    X(max_send_buffer, UINT32_MAX, 1)                                                              \
    X(fin_linger_ms, 5000, 1)                                                                      \
    X(half_close_timeout_ms, UINT32_MAX, 1)                                                        \
    X(drain_timeout_ms, UINT32_MAX, 1)                                                             \
    X(frame_timeout_ms, UINT32_MAX, 1)                                                             \
    X(idle_timeout_ms, UINT32_MAX, 1)                                                              \
    X(send_stall_timeout_ms, UINT32_MAX, 1)                                                        \
    X(stall_timeout_ms, UINT32_MAX, 1)                                                             \
    X(glitch_burst, UINT32_MAX, 1)                                                                 \
    X(glitch_rate, UINT32_MAX, 1)                                                                  \
    X(max_refusals, 1u << 20, 0)                                                                   \
    X(max_discards, UINT32_MAX, 1)                                                                 \
    X(max_unanswered_opens, UINT32_MAX, 1)                                                         \
    X(busy_poll_us, 1000000, 0)

static uint32_t take_value(struct fuzz_input *in, uint32_t max)
{
    switch (fuzz_u8(in)) {
    case 1:
        return 1;
    case 2:
        return max - 1;
    case 3:
        return max;
    case 4:
        return max + 1; /* 0 when there is none */
    case 5:
        return SMUX_OFF;
    case 6:
        return SMUX_OFF - 1;
    case 7:
        return fuzz_log(in, UINT32_MAX);
    default:
        return 0;
    }
}

static struct smux_config take_config(struct fuzz_input *in)
{
    static const uint32_t versions[] = {0, 1, 2, 3, SMUX_VERSION_AUTO, 254, SMUX_OFF};
    struct smux_config c;

    smux_config_init(&c);
    c.version = fuzz_pick(in, versions);
    c.allow_any_parity = (fuzz_u8(in) & 1) != 0;
#define X(field, max, off) c.field = take_value(in, max);
    FIELDS(X)
#undef X
    return c;
}

/* --- the second reading -------------------------------------------------------------------- */

static bool in_ranges(const struct smux_config *c)
{
    bool good = true;

#define X(field, max, off)                                                                         \
    good = good && ((uint64_t)c->field <= (max) || ((off) && c->field == SMUX_OFF));
    FIELDS(X)
#undef X
    return good;
}

static bool is_good(const struct smux_config *c, enum smux_role role)
{
    uint64_t budget = c->max_receive_buffer != 0 ? c->max_receive_buffer : 4 << 20;
    uint64_t interval = c->keepalive_interval_ms != 0 ? c->keepalive_interval_ms : 10000;
    uint64_t timeout = c->keepalive_timeout_ms != 0 ? c->keepalive_timeout_ms : 30000;
    bool version = c->version <= 2 || (c->version == SMUX_VERSION_AUTO && role == SMUX_SERVER);

    return version && in_ranges(c) && c->max_stream_buffer <= budget &&
           (interval == SMUX_OFF || timeout >= interval);
}

/* A caller with an older header knows only the first fields: the others count as 0. Its struct has
 * the exact size, so that a sanitizer sees a step beyond. */
static void check_known_part(const struct smux_config *config, size_t size, enum smux_role role)
{
    struct smux_config known = *config;
    struct smux_config *part = malloc(size);
    const char *why = NULL;
    int status;

    must(part != NULL, "no memory for the test");
    known.struct_size = size;
    memcpy(part, &known, size);
    status = smux_config_check(part, role, &why);
    free(part);
    if (size < offsetof(struct smux_config, max_frame_size)) {
        must(status == SMUX_ECONFIG, "a struct of %zu bytes is accepted", size);
        return;
    }
    memset((char *)&known + size, 0, sizeof(known) - size);
    must((status == SMUX_OK) == is_good(&known, role), "check: %s, %s", smux_status_name(status),
         why != NULL ? why : "no reason");
    must((status == SMUX_OK) == (why == NULL), "a reason for nothing, or none");
}

/* --- an exchange --------------------------------------------------------------------------- */

static void pass_bytes(smux_engine *from, smux_engine *to, uint64_t now)
{
    struct smux_iov iov[8];
    int n;

    while ((n = smux_engine_send_iov(from, iov, 8, now)) > 0) {
        size_t total = 0;

        for (int i = 0; i < n; i++) {
            size_t taken = 0;

            if (smux_engine_recv(to, iov[i].base, iov[i].len, now, &taken) != SMUX_OK ||
                taken < iov[i].len) {
                return;
            }
            total += taken;
        }
        smux_engine_send_commit(from, total, now);
    }
}

static void use(smux_engine *e, smux_engine *other, uint64_t now)
{
    static const uint8_t data[3000];
    smux_estream *opened = NULL;
    smux_estream *accepted = NULL;
    uint8_t buf[100];
    size_t len;

    if (smux_engine_open(e, &opened) == SMUX_OK) {
        (void)smux_estream_write(e, opened, data, sizeof(data), &len);
        (void)smux_estream_shutdown(e, opened);
    }
    pass_bytes(e, other, now);
    if (smux_engine_accept(other, &accepted) == SMUX_OK) {
        (void)smux_estream_read(other, accepted, buf, sizeof(buf), &len);
        (void)smux_estream_write(other, accepted, data, sizeof(data), &len);
        smux_estream_close(other, accepted);
    }
    pass_bytes(other, e, now);
    if (opened != NULL) {
        smux_estream_close(e, opened);
    }
}

static void exchange(const struct smux_config *config, enum smux_role role)
{
    struct smux_config peer_config, mine = *config;
    struct heap heap[2];
    smux_engine *e, *peer;
    uint64_t now = 0;

    heap_init(&heap[0]);
    heap_init(&heap[1]);
    mine.allocator = &heap[0].allocator;
    smux_config_init(&peer_config);
    peer_config.version = config->version == 2 ? 2 : 1;
    peer_config.allocator = &heap[1].allocator;
    must(smux_engine_new(role, &mine, 0, now, &e) == SMUX_OK, "an accepted configuration");
    must(smux_engine_new(role == SMUX_CLIENT ? SMUX_SERVER : SMUX_CLIENT, &peer_config, 0, now,
                         &peer) == SMUX_OK,
         "the defaults");
    for (int i = 0; i < 6; i++) {
        uint64_t due = smux_engine_deadline(e);

        use(e, peer, now);
        use(peer, e, now);
        now = due > now && due < UINT64_MAX / 2 ? due : now + 1000;
        (void)smux_engine_tick(e, now);
        (void)smux_engine_tick(peer, now);
        must(smux_engine_deadline(e) > now, "a deadline that was served is still due");
    }
    smux_engine_free(e);
    smux_engine_free(peer);
    must(heap[0].blocks == 0 && heap[1].blocks == 0, "blocks leaked");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    enum smux_role role = (fuzz_u8(&in) & 1) != 0 ? SMUX_CLIENT : SMUX_SERVER;
    size_t known = sizeof(size_t) + fuzz_u16(&in) % (sizeof(struct smux_config) - sizeof(size_t));
    struct smux_config config = take_config(&in);

    check_known_part(&config, known, role);
    check_known_part(&config, sizeof(config), role);
    if (is_good(&config, role)) {
        exchange(&config, role);
    }
    return 0;
}
