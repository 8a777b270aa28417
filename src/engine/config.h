/*
 * config.h - the configuration with all defaults filled in.
 */
#ifndef SMUX__CONFIG_H
#define SMUX__CONFIG_H

#include <smux/base.h>

/* Copies the fields that the caller knows, fills in defaults and checks the result. `config` may
 * be NULL. On SMUX_ECONFIG *out_why (may be NULL) tells what is wrong. */
int smux__config_resolve(struct smux_config *out_config, const struct smux_config *config,
                         enum smux_role role, const char **out_why);

/* A duration in microseconds; SMUX_NEVER when it is switched off. */
static inline uint64_t smux__duration_us(uint32_t ms)
{
    return ms == SMUX_OFF ? SMUX_NEVER : (uint64_t)ms * 1000;
}

/* now + duration without overflow. */
static inline uint64_t smux__after(uint64_t now_us, uint64_t duration_us)
{
    return duration_us < SMUX_NEVER - now_us ? now_us + duration_us : SMUX_NEVER;
}

#endif
