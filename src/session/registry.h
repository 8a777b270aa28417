/*
 * registry.h - sessions by number.
 *
 * epoll hands back what was registered with a descriptor, possibly a moment after the descriptor
 * was taken out. A pointer might lead to freed memory then; a number that is never given twice
 * leads to nothing.
 */
#ifndef SMUX__REGISTRY_H
#define SMUX__REGISTRY_H

#include <smux/session.h>

struct smux__registry_slot {
    smux_session *session; /* NULL: free */
    uint32_t uses;         /* how often the slot was given; part of the number */
    uint32_t next_free;
};

struct smux__registry {
    struct smux__registry_slot *slots;
    uint32_t n, capacity;
    uint32_t first_free; /* slot + 1; 0: none */
};

/* Numbers a session. The number is not 0 and fits into 63 bits; 0 is returned without memory. */
uint64_t smux__registry_add(struct smux__registry *registry, smux_session *session);

/* The session with this number, or NULL if it is gone. */
smux_session *smux__registry_find(const struct smux__registry *registry, uint64_t number);

void smux__registry_remove(struct smux__registry *registry, uint64_t number);

/* Frees the memory. */
void smux__registry_deinit(struct smux__registry *registry);

#endif
