#include "settings.h"

#include "random.h"

#include <stdlib.h>
#include <string.h>

/** As documented in smux/base.h. */
#define SETTINGS_DRAIN_TIMEOUT_MS 5000

void smux__settings_init(struct smux_config *out_settings, const struct smux_config *config)
{
    size_t known = sizeof *out_settings;

    smux_config_init(out_settings);
    if (config != NULL) {
        known = config->struct_size < known ? config->struct_size : known;
        memcpy(out_settings, config, known);
        /* The copy has every field; only a size that was never set stays, to be refused. */
        out_settings->struct_size = known != 0 ? sizeof *out_settings : 0;
    }
    if (out_settings->hash_seed == 0) {
        out_settings->hash_seed = smux__random_seed();
    }
    if (out_settings->drain_timeout_ms == 0) {
        out_settings->drain_timeout_ms = SETTINGS_DRAIN_TIMEOUT_MS;
    }
}

void *smux__settings_alloc(const struct smux_allocator *allocator, size_t size)
{
    return allocator != NULL ? allocator->alloc(size, allocator->ctx) : malloc(size);
}

void smux__settings_free(const struct smux_allocator *allocator, void *ptr)
{
    if (ptr == NULL) {
        return;
    }
    if (allocator != NULL) {
        allocator->free(ptr, allocator->ctx);
    } else {
        free(ptr);
    }
}
