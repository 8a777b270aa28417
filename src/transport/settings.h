/*
 * settings.h - the configuration as the layers above the engine see it.
 */
#ifndef SMUX_TRANSPORT_SETTINGS_H
#define SMUX_TRANSPORT_SETTINGS_H

#include <smux/base.h>

/**
 * Copies the fields that the caller knows, and fills those that the owner of an engine needs:
 * hash_seed gets a random number, drain_timeout_ms its default. The engine judges the rest.
 *
 * @param config  may be NULL: all defaults. A struct_size of 0, which the engine refuses, is kept.
 */
void smux__settings_init(struct smux_config *out_settings, const struct smux_config *config);

/** Allocates from the caller's allocator, or with malloc when there is none. */
void *smux__settings_alloc(const struct smux_allocator *allocator, size_t size);

/** Frees what smux__settings_alloc() returned. NULL is fine. */
void smux__settings_free(const struct smux_allocator *allocator, void *ptr);

#endif
