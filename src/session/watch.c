/*
 * watch.c - descriptors in epoll, by which the background learns of input, of room for output and of
 * failure. With the lock of the session.
 *
 * A session has one descriptor, or one to read and one to write. Each is armed for one event; epoll
 * reports failure of it whether armed or not, once.
 */
#include "background.h"

#include <errno.h>
#include <sys/epoll.h>

static bool watch_control(int op, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events | EPOLLONESHOT, .data = {.u64 = data}};

    return epoll_ctl(smux__background.epoll_fd, op, fd, &event) == 0;
}

static uint64_t watch_tag(const smux_session *session, unsigned tag)
{
    return session->served.number << 1 | tag;
}

/* What epoll is to tell of the read descriptor, besides its failure. */
static uint32_t watch_input(const struct smux__served *served, unsigned armed)
{
    if ((armed & SMUX__ARMED_READ) != 0) {
        return EPOLLIN;
    }
    return (armed & SMUX__ARMED_ERROR) != 0 && !served->peer_ended ? EPOLLRDHUP : 0;
}

void smux__watch_arm(smux_session *session, unsigned armed)
{
    struct smux__served *served = &session->served;
    uint32_t in = watch_input(served, armed);
    uint32_t out = (armed & SMUX__ARMED_WRITE) != 0 ? EPOLLOUT : 0;
    unsigned of_reader = SMUX__ARMED_READ | SMUX__ARMED_ERROR;
    bool ok = true;

    if (served->read_fd == served->write_fd) {
        ok = watch_control(EPOLL_CTL_MOD, served->read_fd, in | out, watch_tag(session, 0));
    } else {
        if ((armed & of_reader) != (served->armed & of_reader)) {
            ok = watch_control(EPOLL_CTL_MOD, served->read_fd, in, watch_tag(session, 0));
        }
        if ((armed & ~served->armed & SMUX__ARMED_WRITE) != 0) {
            ok = watch_control(EPOLL_CTL_MOD, served->write_fd, out,
                               watch_tag(session, SMUX__TAG_WRITE)) &&
                 ok;
        }
    }
    if (ok) {
        served->armed = armed;
    } else {
        smux__agenda_attend(session);
    }
}

int smux__watch_begin(smux_session *session, int read_fd, int write_fd)
{
    struct smux__served *served = &session->served;
    bool ok = watch_control(EPOLL_CTL_ADD, read_fd, EPOLLIN, watch_tag(session, 0));

    if (ok) {
        served->read_fd = read_fd;
        served->armed = SMUX__ARMED_READ | SMUX__ARMED_ERROR;
        ok = write_fd == read_fd ||
             watch_control(EPOLL_CTL_ADD, write_fd, 0, watch_tag(session, SMUX__TAG_WRITE));
    }
    if (ok) {
        served->write_fd = write_fd;
        return SMUX_OK;
    }
    return errno == EBADF || errno == EPERM || errno == EEXIST ? SMUX_EINVAL : SMUX_EIO;
}

void smux__watch_end(smux_session *session)
{
    struct smux__served *served = &session->served;

    if (served->read_fd >= 0) {
        (void)watch_control(EPOLL_CTL_DEL, served->read_fd, 0, 0);
    }
    if (served->write_fd >= 0 && served->write_fd != served->read_fd) {
        (void)watch_control(EPOLL_CTL_DEL, served->write_fd, 0, 0);
    }
    served->read_fd = -1;
    served->write_fd = -1;
    served->armed = 0;
}
