/*
 * ring.h - lists in arrival order whose head is a single pointer.
 *
 *      head -> first <-> second <-> ... <-> last -> first
 *
 * A node that is in no list has next == NULL. All operations are O(1).
 */
#ifndef SMUX__RING_H
#define SMUX__RING_H

#include <stdbool.h>
#include <stddef.h>

struct smux__node {
    struct smux__node *prev, *next;
};

/* The object that a node is a member of. */
#define SMUX__OBJECT(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline bool smux__ring_linked(const struct smux__node *node)
{
    return node->next != NULL;
}

static inline void smux__ring_append(struct smux__node **head, struct smux__node *node)
{
    if (*head == NULL) {
        node->prev = node;
        node->next = node;
        *head = node;
        return;
    }
    node->next = *head;
    node->prev = (*head)->prev;
    node->prev->next = node;
    node->next->prev = node;
}

static inline void smux__ring_remove(struct smux__node **head, struct smux__node *node)
{
    if (*head == node) {
        *head = node->next == node ? NULL : node->next;
    }
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = NULL;
}

/* The node behind `node`, NULL at the end of the list. */
static inline struct smux__node *smux__ring_next(struct smux__node *head,
                                                 const struct smux__node *node)
{
    return node->next != head ? node->next : NULL;
}

#endif
