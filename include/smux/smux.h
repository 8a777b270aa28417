/*
 * smux/smux.h - all of libsmux in one include, except the libuv adapter (smux/uv.h).
 *
 *   smux/base.h       errors, configuration, statistics
 *   smux/transport.h  what carries the bytes; sockets by address
 *   smux/session.h    the blocking, thread-safe interface most programs want
 *   smux/loop.h       the same for event loops
 *   smux/engine.h     the protocol alone, bytes in and bytes out
 */
#ifndef SMUX_SMUX_H
#define SMUX_SMUX_H

#include <smux/base.h>
#include <smux/engine.h>
#include <smux/loop.h>
#include <smux/session.h>
#include <smux/transport.h>

#endif
