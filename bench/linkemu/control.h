/*
 * control.h - orders on standard input, one a line, for faults whose time is not known before:
 *
 *     cut            reset all connections that are open
 *     freeze [DIR]   the link stands still, in one direction or both
 *     thaw [DIR]     it goes on
 *
 * The end of the input ends the program, so that it does not outlive who gave the orders.
 */
#ifndef LINKEMU_CONTROL_H
#define LINKEMU_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

enum order_kind {
    ORDER_CUT,
    ORDER_FREEZE,
    ORDER_THAW,
    ORDER_END
};

struct order {
    enum order_kind kind;
    unsigned directions; /* bits, 1 << UP and 1 << DOWN */
};

/* What has been read of the input and not yet been understood. */
struct control {
    char text[256];
    size_t len;
    bool ended;
};

/* Prepares standard input. Returns its descriptor, or -1 with errno. */
int control_open(void);

/* Reads what there is and takes one order off. false: there is none now. */
bool control_next(struct control *control, struct order *out_order);

#endif
