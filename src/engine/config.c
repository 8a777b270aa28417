#include "config.h"

#include "wire.h"

#include <stdlib.h>
#include <string.h>

static void *default_alloc(size_t size, void *ctx)
{
    (void)ctx;
    return malloc(size);
}

static void default_free(void *ptr, void *ctx)
{
    (void)ctx;
    free(ptr);
}

static const struct smux_allocator default_allocator = {default_alloc, default_free, NULL};

void smux_config_init_sized(struct smux_config *config, size_t struct_size)
{
    memset(config, 0, struct_size);
    config->struct_size = struct_size;
}

static void set_default(uint32_t *field, uint32_t value)
{
    if (*field == 0) {
        *field = value;
    }
}

static void config_fill(struct smux_config *c)
{
    set_default(&c->version, 1);
    set_default(&c->max_frame_size, 32768);
    set_default(&c->max_receive_buffer, 4u << 20);
    set_default(&c->max_window_growth, 64u << 20);
    set_default(&c->keepalive_interval_ms, 10000);
    set_default(&c->keepalive_timeout_ms, 30000);
    set_default(&c->max_remote_streams, 16384);
    set_default(&c->accept_backlog, 1024);
    set_default(&c->accept_timeout_ms, 30000);
    set_default(&c->accept_guard_ms, 5);
    set_default(&c->max_stream_send_buffer, 256u << 10);
    set_default(&c->max_send_buffer, 1u << 20);
    set_default(&c->fin_linger_ms, 250);
    set_default(&c->half_close_timeout_ms, 300000);
    set_default(&c->drain_timeout_ms, 5000);
    set_default(&c->frame_timeout_ms, 120000);
    set_default(&c->idle_timeout_ms, SMUX_OFF);
    set_default(&c->send_stall_timeout_ms, SMUX_OFF);
    set_default(&c->stall_timeout_ms, SMUX_OFF);
    set_default(&c->glitch_burst, 10000);
    set_default(&c->glitch_rate, 330);
    set_default(&c->max_refusals, 1024);
    set_default(&c->max_discards, 1024);
    set_default(&c->max_unanswered_opens, SMUX_OFF);
    if (c->allocator == NULL) {
        c->allocator = &default_allocator;
    }
}

/* The rules of Go's VerifyConfig, and of the limits Go does not have; one message each. */
static const char *config_fault(const struct smux_config *c, enum smux_role role)
{
    if (c->version != 1 && c->version != 2 && c->version != SMUX_VERSION_AUTO) {
        return "version must be 1, 2 or SMUX_VERSION_AUTO";
    }
    if (c->version == SMUX_VERSION_AUTO && role == SMUX_CLIENT) {
        return "a client must choose version 1 or 2: only a server can wait for its peer's first "
               "frame";
    }
    if (c->max_frame_size > SMUX__MAX_PAYLOAD) {
        return "max_frame_size must be 1..65535";
    }
    if (c->max_receive_buffer > 0x7FFFFFFF) {
        return "max_receive_buffer must be 1..2147483647";
    }
    if (c->max_stream_buffer > 0x7FFFFFFF) {
        return "max_stream_buffer must be 0..2147483647";
    }
    if (c->max_stream_buffer > c->max_receive_buffer) {
        return "max_stream_buffer must not be larger than max_receive_buffer";
    }
    if (c->max_window_growth > 0x7FFFFFFF && c->max_window_growth != SMUX_OFF) {
        return "max_window_growth must be 1..2147483647 or SMUX_OFF";
    }
    if (c->keepalive_mode > SMUX_KEEPALIVE_NEVER) {
        return "keepalive_mode must be one of enum smux_keepalive_mode";
    }
    if (c->keepalive_interval_ms != SMUX_OFF &&
        c->keepalive_timeout_ms < c->keepalive_interval_ms) {
        return "keepalive_timeout_ms must not be shorter than keepalive_interval_ms";
    }
    if (c->fin_linger_ms != SMUX_OFF && c->fin_linger_ms > 5000) {
        return "fin_linger_ms must be 1..5000 or SMUX_OFF";
    }
    if (c->max_refusals > 1u << 20) {
        return "max_refusals must be 1..1048576";
    }
    if (c->busy_poll_us > 1000000) {
        return "busy_poll_us must be 0..1000000";
    }
    if (c->allocator->alloc == NULL || c->allocator->free == NULL) {
        return "allocator needs both alloc and free";
    }
    return NULL;
}

int smux__config_resolve(struct smux_config *out_config, const struct smux_config *config,
                         enum smux_role role, const char **out_why)
{
    const char *fault = NULL;

    smux_config_init(out_config);
    if (config != NULL && config->struct_size < offsetof(struct smux_config, max_frame_size)) {
        fault = "struct_size is not set: use smux_config_init()";
    } else if (config != NULL) {
        memcpy(out_config, config,
               config->struct_size < sizeof(*out_config) ? config->struct_size
                                                         : sizeof(*out_config));
        out_config->struct_size = sizeof(*out_config);
    }
    if (fault == NULL) {
        config_fill(out_config);
        fault = config_fault(out_config, role);
    }
    if (out_why != NULL) {
        *out_why = fault;
    }
    return fault == NULL ? SMUX_OK : SMUX_ECONFIG;
}

int smux_config_check(const struct smux_config *config, enum smux_role role, const char **out_why)
{
    struct smux_config resolved;

    return smux__config_resolve(&resolved, config, role, out_why);
}
