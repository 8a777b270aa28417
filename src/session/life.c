/*
 * life.c - when there is a background: from the first session of a process to the last.
 *
 * A session joins before its descriptors are watched, and is removed when no call can use it any
 * more; the thread may be serving it just then. Without sessions there is neither thread nor descriptor
 * nor memory.
 */
#include "background.h"

#include <sys/epoll.h>
#include <unistd.h>

struct smux__background smux__background = {
    .life = {PTHREAD_MUTEX_INITIALIZER},
    .lock = {PTHREAD_MUTEX_INITIALIZER},
    .epoll_fd = -1,
    .look_at_us = SMUX_NEVER,
    .hurry_at_us = SMUX_NEVER,
};

/* --- the thread; with the lock of life ----------------------------------------------------- */

static void background_close(void)
{
    if (smux__background.epoll_fd >= 0) {
        (void)close(smux__background.epoll_fd);
        smux__background.epoll_fd = -1;
        smux__bell_deinit(&smux__background.bell);
    }
}

static bool background_open(void)
{
    if (smux__bell_init(&smux__background.bell, SMUX__BELL_READABLE) != 0) {
        return false;
    }
    smux__background.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    if (smux__background.epoll_fd >= 0 &&
        epoll_ctl(smux__background.epoll_fd, EPOLL_CTL_ADD, smux__bell_fd(&smux__background.bell),
                  &event) == 0) {
        return true;
    }
    smux__bell_deinit(&smux__background.bell);
    background_close();
    return false;
}

static int background_start(void)
{
    smux__background.stop = false;
    smux__background.look_at_us = SMUX_NEVER;
    smux__background.hurry_at_us = SMUX_NEVER;
    if (!background_open()) {
        return SMUX_EIO;
    }
    if (!smux__thread_start(&smux__background.thread, smux__background_run, NULL)) {
        background_close();
        return SMUX_EIO;
    }
    return SMUX_OK;
}

/* Without sessions it holds no memory. */
static void background_forget_all(void)
{
    smux__heap_deinit(&smux__background.timers);
    smux__registry_deinit(&smux__background.registry);
}

static void background_end(void)
{
    smux__lock_acquire(&smux__background.lock);
    smux__background.stop = true;
    smux__agenda_wake_by(0);
    smux__lock_release(&smux__background.lock);
    smux__thread_join(smux__background.thread);
    background_close();
    background_forget_all();
    smux__alarm_close_all();
}

static void background_before_fork(void)
{
    smux__lock_acquire(&smux__background.life);
    smux__lock_acquire(&smux__background.lock);
}

/* A child has no such thread. Its copies of the descriptors lead to the parent's objects, which
 * closing does not touch. */
static void background_after_fork(bool in_child)
{
    if (in_child) {
        background_close();
        smux__background.timers.n = 0;
        background_forget_all();
        smux__background.attended = NULL;
        smux__background.hurried = NULL;
        smux__background.n_attended = 0;
        smux__background.n_hurried = 0;
        smux__background.n_sessions = 0;
        smux__background.serving = NULL;
        smux__background.departing = NULL;
    }
    smux__lock_release(&smux__background.lock);
    smux__lock_release(&smux__background.life);
}

static void background_register_fork(void)
{
    smux__port_on_fork(background_before_fork, background_after_fork);
}

/* Gives a session its number, and room in the heap. */
static bool background_enroll(smux_session *session)
{
    struct smux__served *served = &session->served;

    served->timer.at_us = SMUX_NEVER;
    served->read_fd = -1;
    served->write_fd = -1;
    smux__lock_acquire(&smux__background.lock);
    served->number = smux__heap_reserve(&smux__background.timers, smux__background.n_sessions + 1)
                         ? smux__registry_add(&smux__background.registry, session)
                         : 0;
    smux__lock_release(&smux__background.lock);
    return served->number != 0;
}

int smux__background_join(smux_session *session)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, background_register_fork);
    smux__lock_acquire(&smux__background.life);
    int status = background_enroll(session) ? SMUX_OK : SMUX_ENOMEM;
    if (status == SMUX_OK && smux__background.n_sessions == 0) {
        status = background_start();
    }
    if (status == SMUX_OK) {
        smux__background.n_sessions++;
    } else if (session->served.number != 0) {
        smux__registry_remove(&smux__background.registry, session->served.number);
    }
    if (smux__background.n_sessions == 0) {
        background_forget_all();
    }
    smux__lock_release(&smux__background.life);
    return status;
}

/* --- departure ----------------------------------------------------------------------------- */

static void background_wait_until_served(const smux_session *session)
{
    while (smux__background.serving == session) {
        struct smux__event *event = smux__event_mine();
        smux__background.departing = event;
        smux__lock_release(&smux__background.lock);
        (void)smux__event_wait(event, SMUX_NEVER);
        smux__lock_acquire(&smux__background.lock);
    }
}

void smux__background_remove(smux_session *session)
{
    struct smux__served *served = &session->served;

    smux__lock_acquire(&smux__background.lock);
    background_wait_until_served(session);
    smux__registry_remove(&smux__background.registry, served->number);
    smux__heap_set(&smux__background.timers, &served->timer, SMUX_NEVER);
    if (served->attended) {
        served->attended = false;
        smux__agenda_unlist(served);
    }
    smux__lock_release(&smux__background.lock);
    smux__lock_acquire(&smux__background.life);
    if (--smux__background.n_sessions == 0) {
        background_end();
    }
    smux__lock_release(&smux__background.life);
}
