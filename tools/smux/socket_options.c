#define _GNU_SOURCE 1

#include "socket_options.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static void set_option(int fd, int level, int name, int value)
{
    (void)setsockopt(fd, level, name, &value, sizeof(value));
}

void socket_reset_on_close(int fd, bool reset)
{
    const struct linger linger = {.l_onoff = reset, .l_linger = 0};

    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

void socket_probe_peer(int fd)
{
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

void socket_tune_early(int fd, const struct settings *settings)
{
    if (settings->sockbuf > 0) {
        set_option(fd, SOL_SOCKET, SO_SNDBUF, (int)settings->sockbuf);
        set_option(fd, SOL_SOCKET, SO_RCVBUF, (int)settings->sockbuf);
    }
    if (settings->dscp > 0) { /* the upper six bits of the field */
        set_option(fd, IPPROTO_IP, IP_TOS, (int)settings->dscp << 2);
        set_option(fd, IPPROTO_IPV6, IPV6_TCLASS, (int)settings->dscp << 2);
    }
}

void socket_tune_session(int fd, const struct settings *settings)
{
    socket_tune_early(fd, settings);
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, settings->tcp_nodelay);
#ifdef TCP_NOTSENT_LOWAT
    /* 0 takes back what the library has set. */
    set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, (int)settings->notsent_lowat);
#endif
#ifdef TCP_USER_TIMEOUT
    if (settings->tcp_user_timeout > 0) {
        set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)settings->tcp_user_timeout);
    }
#endif
}
