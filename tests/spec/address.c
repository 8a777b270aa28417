#include "address.h"

#include "conn.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/** Splits and looks up; NULL with errno EINVAL when that fails. */
static struct addrinfo *look_up(const char *address, int flags)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char host[256] = "127.0.0.1";
    const char *colon = strrchr(address, ':');
    const char *port = colon != NULL ? colon + 1 : address;
    size_t len = colon != NULL ? (size_t)(colon - address) : 0;

    if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
        address++;
        len -= 2;
    }
    if (len > 0) {
        snprintf(host, sizeof host, "%.*s", (int)len, address);
    }
    if (getaddrinfo(host, port, &hints, &found) != 0) {
        errno = EINVAL;
        return NULL;
    }
    return found;
}

/** Makes a socket and lets `act` finish it; the first address that works. */
static int first_of(struct addrinfo *list, int (*act)(int fd, const struct addrinfo *at))
{
    int fd = -1;

    for (const struct addrinfo *at = list; at != NULL && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, at->ai_socktype, at->ai_protocol);
        if (fd >= 0 && act(fd, at) != 0) {
            int saved = errno;
            close(fd);
            errno = saved;
            fd = -1;
        }
    }
    if (list != NULL) {
        freeaddrinfo(list);
    }
    return fd;
}

static int act_connect(int fd, const struct addrinfo *at)
{
    return connect(fd, at->ai_addr, at->ai_addrlen);
}

static int act_listen(int fd, const struct addrinfo *at)
{
    int one = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return bind(fd, at->ai_addr, at->ai_addrlen) != 0 ? -1 : listen(fd, 128);
}

/** Connecting goes on while the server is not there yet, until the time is over. */
int address_connect(const char *address, unsigned timeout_ms)
{
    uint64_t until = clock_us() + timeout_ms * UINT64_C(1000);
    int fd;

    while ((fd = first_of(look_up(address, 0), act_connect)) < 0 && errno == ECONNREFUSED &&
           clock_us() < until) {
        poll(NULL, 0, 50);
    }
    return fd;
}

int address_listen(const char *address, char *out, size_t size)
{
    struct sockaddr_storage name;
    socklen_t len = sizeof name;
    char host[128];
    char port[16];
    int fd = first_of(look_up(address, AI_PASSIVE), act_listen);

    if (fd >= 0 && getsockname(fd, (struct sockaddr *)&name, &len) == 0 &&
        getnameinfo((struct sockaddr *)&name, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
        snprintf(out, size, name.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
    }
    return fd;
}

int address_accept(int listen_fd, uint64_t until_us)
{
    uint64_t now = clock_us();
    struct pollfd p = {listen_fd, POLLIN, 0};

    /* Several threads wait here; one that comes too late for a connection waits on. */
    while (now < until_us) {
        if (poll(&p, 1, (int)((until_us - now + 999) / 1000)) > 0) {
            int fd = accept(listen_fd, NULL, NULL);
            if (fd >= 0 || (errno != EAGAIN && errno != ECONNABORTED)) {
                return fd;
            }
        }
        now = clock_us();
    }
    errno = ETIMEDOUT;
    return -1;
}
