/*
 * seam.h - the calls by which threads of the session layer meet, taken over.
 *
 * The linker leads every call of these functions, from the library as from the tests, to this
 * place (--wrap, see tests/CMakeLists.txt), so src/session/port.c itself is tried as well:
 *
 *   pthread_mutex_lock, _trylock, _unlock     locks; _destroy, to know when a session is gone
 *   syscall (futex, epoll_pwait2), epoll_wait, ppoll   sleeping and waking
 *   pthread_create, pthread_join, nanosleep, sched_yield   threads and time
 *
 * What happens there is up to the mode:
 *
 *   SEAM_PLAIN      nothing
 *   SEAM_DELAYS     real threads, each held up now and then for a random time (delays.h)
 *   SEAM_SCHEDULED  one thread runs at a time; who goes on is decided here (scheduler.h)
 */
#ifndef SCHEDULES_SEAM_H
#define SCHEDULES_SEAM_H

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <time.h>

enum seam_mode {
    SEAM_PLAIN,
    SEAM_DELAYS,
    SEAM_SCHEDULED
};

/** X(name, text) for everything that a thread may be at. */
#define SEAM_OP_MAP(X)                                                                             \
    X(RUN, "runs")                                                                                 \
    X(LOCK, "locks")                                                                               \
    X(UNLOCK, "unlocks")                                                                           \
    X(WAIT, "waits for its event")                                                                 \
    X(WAKE, "wakes another")                                                                       \
    X(POLL, "polls")                                                                               \
    X(EPOLL, "waits in epoll")                                                                     \
    X(SLEEP, "sleeps")                                                                             \
    X(CREATE, "starts a thread")                                                                   \
    X(JOIN, "waits for the end of a thread")                                                       \
    X(END, "has ended")

enum seam_op {
#define SEAM_OP_ENUM(name, text) SEAM_##name,
    SEAM_OP_MAP(SEAM_OP_ENUM)
#undef SEAM_OP_ENUM
};

const char *seam_op_text(int op);

#define SEAM_MAX_THREADS 160

/** A thread that was started while a mode was in force, or began it. */
struct seam_thread {
    unsigned number;
    _Atomic(const char *) name;
    _Atomic int op;               /**< enum seam_op: what it is at */
    _Atomic(const void *) object; /**< the lock or event of that */
    pthread_t id;
    void *(*run)(void *arg);
    void *arg;

    /* of the scheduler */
    sem_t baton;          /**< may be taken when it is its turn */
    bool asleep;          /**< waits for what op and object say */
    uint64_t deadline_us; /**< when it goes on in any case; UINT64_MAX for never */
    struct pollfd *fds;   /**< of a poll */
    nfds_t n_fds;
    int64_t priority; /**< the greater goes first; for PCT */
};

/** Begins a mode; the calling thread becomes the first. */
void seam_begin(enum seam_mode mode);

/** Ends it. All other threads must have ended. */
void seam_end(void);

enum seam_mode seam_mode(void);

/** The calling thread; NULL for one that does not take part. */
struct seam_thread *seam_self(void);

/** Names the calling thread in reports; static memory. A thread without a name is the library's. */
void seam_name(const char *name);

/** The threads so far, by number. */
unsigned seam_num_threads(void);
struct seam_thread *seam_thread(unsigned number);

/** Notes what the calling thread is at. */
void seam_note(enum seam_op op, const void *object);

/** Tells what all threads are at. */
void seam_report(void);

/** The functions themselves. */
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg);
int __real_pthread_join(pthread_t thread, void **out_result);
int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __real_pthread_mutex_trylock(pthread_mutex_t *mutex);
int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __real_pthread_mutex_destroy(pthread_mutex_t *mutex);
int __real_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
                 const sigset_t *signals);
int __real_epoll_wait(int epoll_fd, struct epoll_event *events, int max, int timeout_ms);
int __real_nanosleep(const struct timespec *time, struct timespec *out_left);
int __real_sched_yield(void);
long __real_syscall(long number, ...);

#endif
