#define _GNU_SOURCE 1

#include "settings.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "log.h"
#include "options.h"
#include "usage.h"

void settings_free(struct settings *settings)
{
    free(settings->remotes.items);
    free(settings->given);
    settings->remotes = (struct text_list){NULL, 0};
    settings->given = NULL;
    settings->n_given = 0;
}

bool settings_were_given(const struct settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->n_given; i++) {
        const struct option_spec *spec = settings->given[i].spec;
        if (spec->name != NULL && strcmp(spec->name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* In the library 0 asks for the default; here it means "not at all". */
static uint32_t zero_is_off(uint32_t value)
{
    return value == 0 ? SMUX_OFF : value;
}

void settings_session_config(const struct settings *settings, struct smux_config *out_config)
{
    smux_config_init(out_config);
    out_config->version = settings->smuxver;
    out_config->max_frame_size = settings->framesize;
    out_config->max_receive_buffer = settings->smuxbuf;
    out_config->max_stream_buffer = settings->streambuf;
    out_config->max_window_growth = zero_is_off(settings->window_growth);
    out_config->busy_poll_us = settings->busy_poll;
    out_config->keepalive_interval_ms = zero_is_off(settings->keepalive);
    out_config->keepalive_timeout_ms = settings->keepalive_timeout;
    out_config->keepalive_mode =
        settings->keepalive_strict ? SMUX_KEEPALIVE_ALWAYS : SMUX_KEEPALIVE_AUTO;
    out_config->max_remote_streams = settings->max_streams_per_session;
    out_config->accept_backlog = settings->accept_backlog;
    out_config->half_close_timeout_ms = settings->half_close_timeout;
    out_config->drain_timeout_ms = settings->drain_timeout;
    out_config->idle_timeout_ms = zero_is_off(settings->idle_timeout);
    out_config->frame_timeout_ms = zero_is_off(settings->frame_timeout);
    out_config->send_stall_timeout_ms = zero_is_off(settings->send_stall);
    out_config->stall_timeout_ms =
        settings->v1_stall == STALL_ABORT ? settings->v1_stall_time : SMUX_OFF;
}

/* The same rules as the library, in the words of the command line. */
static const char *session_fault(const struct settings *settings)
{
    if (settings->streambuf > settings->smuxbuf) {
        return "--streambuf must not be larger than --smuxbuf";
    }
    if (settings->keepalive != 0 && settings->keepalive_timeout < settings->keepalive) {
        return "--keepalive-timeout must not be shorter than --keepalive";
    }
    return NULL;
}

int settings_check(const struct settings *settings, enum smux_role role)
{
    struct smux_config config;
    const char *fault = session_fault(settings);

    settings_session_config(settings, &config);
    if (fault == NULL && smux_config_check(&config, role, &fault) == SMUX_OK) {
        return 0;
    }
    usage_error("%s", fault);
    return EX_CONFIG;
}

void settings_log(const struct settings *settings, const char *component)
{
    for (size_t i = 0; i < settings->n_given; i++) {
        const struct option_given *given = &settings->given[i];
        if (given->text == NULL || given->spec->initial == NULL ||
            strcmp(given->text, given->spec->initial) != 0) {
            LOG_EVENT(LEVEL_DEBUG, component, "config", LOG_STR("option", given->spec->name),
                      LOG_STR("value", given->text == NULL ? "on" : given->text));
        }
    }
}
