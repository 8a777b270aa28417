/*
 * smux/uv.h - libsmux on libuv. Link with smux-uv.
 */
#ifndef SMUX_UV_H
#define SMUX_UV_H

#include <smux/loop.h>

#include <uv.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Attaches a connection to a libuv loop. The loop must run in the thread that uses the
 * connection. After smux_conn_free(), and after a failure, the loop needs to run once more, so that
 * libuv can finish closing the handles.
 *
 * @return SMUX_OK, SMUX_ENOMEM, or SMUX_EIO when libuv refuses a descriptor: Linux cannot wait
 *         for regular files, such as a standard input that was redirected from one
 */
SMUX_API int smux_uv_attach(smux_conn *conn, uv_loop_t *loop);

#ifdef __cplusplus
}
#endif

#endif
