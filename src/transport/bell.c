#define _GNU_SOURCE 1 /* sys.h: POSIX */

#include "bell.h"

#include "sys.h"

#include <errno.h>
#include <stdint.h>

int smux__bell_init(struct smux__bell *bell, enum smux__bell_kind kind)
{
    int fds[2];

    bell->read_fd = -1;
    bell->write_fd = -1;
    bell->kind = kind;
    bell->signalled = kind == SMUX__BELL_WRITABLE;
    if (smux__sys.bell(fds) != 0) {
        return -1;
    }
    bell->read_fd = fds[0];
    bell->write_fd = fds[1];
    return 0;
}

void smux__bell_deinit(struct smux__bell *bell)
{
    smux__sys_close_quietly(bell->read_fd);
    if (bell->write_fd != bell->read_fd) {
        smux__sys_close_quietly(bell->write_fd);
    }
    bell->read_fd = -1;
    bell->write_fd = -1;
}

static bool bell_is_eventfd(const struct smux__bell *bell)
{
    return bell->read_fd == bell->write_fd;
}

/** Takes out everything, which makes it writable and not readable. */
static void bell_empty(const struct smux__bell *bell)
{
    char buf[4096];
    ssize_t n;

    do {
        n = smux__sys.read(bell->read_fd, buf, sizeof buf);
    } while ((n > 0 && !bell_is_eventfd(bell)) || (n < 0 && errno == EINTR));
}

/** Puts the least in, which makes it readable. */
static void bell_put_one(const struct smux__bell *bell)
{
    uint64_t one = 1; /* an eventfd takes exactly eight bytes, a pipe takes anything */
    ssize_t n;

    do {
        n = smux__sys.write(bell->write_fd, &one, sizeof one);
    } while (n < 0 && errno == EINTR);
}

/** Puts in what fits, which makes it not writable. */
static void bell_fill(const struct smux__bell *bell)
{
    static const char zeros[4096];
    uint64_t most = UINT64_MAX - 1; /* the largest value an eventfd holds */
    ssize_t n;

    do {
        n = bell_is_eventfd(bell) ? smux__sys.write(bell->write_fd, &most, sizeof most)
                                  : smux__sys.write(bell->write_fd, zeros, sizeof zeros);
    } while ((n > 0 && !bell_is_eventfd(bell)) || (n < 0 && errno == EINTR));
}

void smux__bell_set(struct smux__bell *bell, bool signalled)
{
    if (bell->signalled == signalled) {
        return;
    }
    bell->signalled = signalled;
    if (signalled == (bell->kind == SMUX__BELL_WRITABLE)) {
        bell_empty(bell);
    } else if (bell->kind == SMUX__BELL_READABLE) {
        bell_put_one(bell);
    } else {
        bell_fill(bell);
    }
}

int smux__bell_fd(const struct smux__bell *bell)
{
    return bell->kind == SMUX__BELL_READABLE ? bell->read_fd : bell->write_fd;
}
