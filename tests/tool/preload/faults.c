/*
 * faults.c - makes system calls and allocations of a program fail; to be loaded by LD_PRELOAD.
 *
 * The plan is an array of struct fault in the file that SMUX_FAULTS names, mapped into memory: so
 * whoever runs the program reads the counts and changes plans while it runs (libfaults.py). Only
 * calls from the program itself count, not those that libuv and libc make for themselves; but
 * epoll_wait and epoll_ctl do, whoever calls them, of which epoll_ctl does not fail then: libuv would
 * give up.
 *
 * `from` is the first call that fails, counted from 1, 0 for none; `times` how many do, 0 for all
 * from there. `how` is the errno; SHORT and a number lets one call transfer no more than that, SLOW
 * and a number lets it succeed after so many milliseconds.
 */
#define _GNU_SOURCE 1

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SHORT 10000 /* + the number of bytes */
#define SLOW  20000 /* + milliseconds; for calls that transfer nothing */
#define DAY   86400 /* seconds */

/* In the order of CALLS in libfaults.py. */
enum call {
    READ,
    RECV, /* also recvmsg */
    WRITEV,
    SEND, /* also sendmsg */
    ACCEPT,
    SOCKET,
    CONNECT,
    BIND,
    LISTEN,
    SETSOCKOPT,
    GETSOCKOPT,
    SHUTDOWN,
    CLOSE,
    GETRANDOM,
    EPOLL_WAIT,
    EPOLL_CTL,
    FCNTL,
    NAME,
    WRITE,
    ALLOC,
    WALL_CLOCK, /* jumps a day to and fro, whoever reads it */
    CALLS
};

struct fault {
    atomic_uint calls;
    atomic_uint from;
    atomic_uint times;
    atomic_int how;
};

static struct {
    struct fault faults[CALLS];
    atomic_int live; /* blocks allocated by the program and not freed */
} * plan;

/* glibc's own names of what is replaced here: dlsym() itself allocates. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *ptr, size_t size);
void __libc_free(void *ptr);

static uintptr_t program_begin, program_end;

/* The first object is the program. */
static int find_program(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X) != 0) {
            program_begin = info->dlpi_addr + segment->p_vaddr;
            program_end = program_begin + segment->p_memsz;
        }
    }
    return 1;
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("SMUX_FAULTS");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;

    dl_iterate_phdr(find_program, NULL);
    if (fd >= 0) {
        void *memory = mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        plan = memory != MAP_FAILED ? memory : NULL;
        (void)close(fd); /* ours, which counts only calls of the program */
    }
}

static bool is_ours(const void *caller)
{
    return plan != NULL && (uintptr_t)caller >= program_begin && (uintptr_t)caller < program_end;
}

/* Counts a call. Returns what happens to it: 0 for nothing. */
static int strike(enum call call, const void *caller)
{
    bool all = call == EPOLL_WAIT || call == EPOLL_CTL || call == WALL_CLOCK;
    bool ours = is_ours(caller);
    if (plan == NULL || (!ours && !all)) {
        return 0;
    }
    struct fault *fault = &plan->faults[call];
    unsigned n = atomic_fetch_add(&fault->calls, 1) + 1;
    unsigned from = atomic_load(&fault->from);
    unsigned times = atomic_load(&fault->times);
    if (!ours && call == EPOLL_CTL) {
        return 0;
    }
    if (from == 0 || n < from || (times != 0 && n >= from + times)) {
        return 0;
    }
    return atomic_load(&fault->how);
}

/* Whether the call fails, with errno set. */
static bool fails(enum call call, const void *caller)
{
    int how = strike(call, caller);

    if (how > 0 && how < SHORT) {
        errno = how;
        return true;
    }
    if (how >= SLOW) {
        (void)usleep((useconds_t)(how - SLOW) * 1000);
    }
    return false;
}

#define CALLER __builtin_return_address(0)
#define REAL(name)                                                                                 \
    static __typeof__(&name) real;                                                                 \
    if (real == NULL) {                                                                            \
        real = (__typeof__(&name))dlsym(RTLD_NEXT, #name);                                         \
    }

/* --- transfers --------------------------------------------------------------------------- */

/* The first bytes of the vectors, as one: fewer bytes are always allowed. */
static struct iovec shorten(const struct iovec *iov, int how)
{
    size_t most = (size_t)(how - SHORT);

    return (struct iovec){iov->iov_base, iov->iov_len < most ? iov->iov_len : most};
}

/* Errors that say that a connection is gone come with one that is: it is reset. */
static ssize_t broken(int fd, int how)
{
    static const struct sockaddr none = {.sa_family = AF_UNSPEC};
    REAL(connect)

    if (how == EPIPE || how == ECONNRESET || how == ETIMEDOUT) {
        (void)real(fd, &none, sizeof(none));
    }
    errno = how;
    return -1;
}

#define TRANSFER(call, iov, n)                                                                     \
    int how = strike(call, CALLER);                                                                \
    struct iovec cut;                                                                              \
    if (how > 0 && how < SHORT) {                                                                  \
        return broken(fd, how);                                                                    \
    }                                                                                              \
    if (how >= SHORT && (n) > 0) {                                                                 \
        cut = shorten(iov, how);                                                                   \
        (iov) = &cut;                                                                              \
        (n) = 1;                                                                                   \
    }

ssize_t read(int fd, void *buf, size_t len)
{
    REAL(read)
    int how = strike(READ, CALLER);

    if (how > 0 && how < SHORT) {
        return broken(fd, how);
    }
    return real(fd, buf, how >= SHORT && len > (size_t)(how - SHORT) ? (size_t)(how - SHORT) : len);
}

/* One buffer of a session. */
#define TRANSFER_ONE(call, buf, len)                                                               \
    struct iovec one = {(void *)(uintptr_t)(buf), len};                                            \
    const struct iovec *iov = &one;                                                                \
    int n = 1;                                                                                     \
    TRANSFER(call, iov, n)                                                                         \
    return real(fd, iov->iov_base, iov->iov_len, flags);

/* Several. */
#define TRANSFER_MANY(call, msg)                                                                   \
    struct msghdr own = *(msg);                                                                    \
    const struct iovec *iov = own.msg_iov;                                                         \
    int n = (int)own.msg_iovlen;                                                                   \
    TRANSFER(call, iov, n)                                                                         \
    own.msg_iov = (struct iovec *)(uintptr_t)iov;                                                  \
    own.msg_iovlen = (size_t)n;                                                                    \
    return real(fd, &own, flags);

ssize_t recv(int fd, void *buf, size_t len, int flags){REAL(recv) TRANSFER_ONE(RECV, buf, len)}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags){REAL(recvmsg) TRANSFER_MANY(RECV, msg)}

ssize_t
    send(int fd, const void *buf, size_t len, int flags){REAL(send) TRANSFER_ONE(SEND, buf, len)}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
    REAL(writev)
    TRANSFER(WRITEV, iov, n)
    return real(fd, iov, n);
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags){REAL(sendmsg) TRANSFER_MANY(SEND, msg)}

ssize_t write(int fd, const void *buf, size_t len)
{
    REAL(write)
    return fails(WRITE, CALLER) ? -1 : real(fd, buf, len);
}

/* --- the rest ---------------------------------------------------------------------------- */

int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    REAL(accept4)
    return fails(ACCEPT, CALLER) ? -1 : real(fd, address, len, flags);
}

int socket(int family, int type, int protocol)
{
    REAL(socket)
    return fails(SOCKET, CALLER) ? -1 : real(family, type, protocol);
}

int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    REAL(connect)
    return fails(CONNECT, CALLER) ? -1 : real(fd, address, len);
}

int bind(int fd, const struct sockaddr *address, socklen_t len)
{
    REAL(bind)
    return fails(BIND, CALLER) ? -1 : real(fd, address, len);
}

int listen(int fd, int backlog)
{
    REAL(listen)
    return fails(LISTEN, CALLER) ? -1 : real(fd, backlog);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    REAL(setsockopt)
    return fails(SETSOCKOPT, CALLER) ? -1 : real(fd, level, name, value, len);
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    REAL(getsockopt)
    return fails(GETSOCKOPT, CALLER) ? -1 : real(fd, level, name, value, len);
}

int getsockname(int fd, struct sockaddr *address, socklen_t *len)
{
    REAL(getsockname)
    return fails(NAME, CALLER) ? -1 : real(fd, address, len);
}

int getpeername(int fd, struct sockaddr *address, socklen_t *len)
{
    REAL(getpeername)
    return fails(NAME, CALLER) ? -1 : real(fd, address, len);
}

int shutdown(int fd, int how)
{
    REAL(shutdown)
    int result = real(fd, how); /* what fails here has no connection left to shut down */

    return fails(SHUTDOWN, CALLER) ? -1 : result;
}

/* The descriptor is closed in any case, as Linux does when it reports EINTR or EIO. */
int close(int fd)
{
    REAL(close)
    int result = real(fd);

    return fails(CLOSE, CALLER) ? -1 : result;
}

ssize_t getrandom(void *buf, size_t len, unsigned flags)
{
    REAL(getrandom)
    return fails(GETRANDOM, CALLER) ? -1 : real(buf, len, flags);
}

int fcntl(int fd, int command, ...)
{
    REAL(fcntl)
    va_list args;
    long value;

    va_start(args, command);
    value = va_arg(args, long);
    va_end(args);
    return fails(FCNTL, CALLER) ? -1 : real(fd, command, value);
}

int epoll_pwait(int epoll, struct epoll_event *events, int n, int timeout, const sigset_t *set)
{
    REAL(epoll_pwait)
    return fails(EPOLL_WAIT, CALLER) ? -1 : real(epoll, events, n, timeout, set);
}

int epoll_wait(int epoll, struct epoll_event *events, int n, int timeout)
{
    REAL(epoll_wait)
    return fails(EPOLL_WAIT, CALLER) ? -1 : real(epoll, events, n, timeout);
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    REAL(epoll_ctl)
    return fails(EPOLL_CTL, CALLER) ? -1 : real(epoll, operation, fd, event);
}

/* --- memory ------------------------------------------------------------------------------ */

/* Stands before each block of the program, where glibc has the size of other blocks: so a block is
 * known whoever frees it. A size never looks like this. */
#define MARK UINT64_C(0xfa171c0def5a11ed)

struct mark {
    uint64_t unused;
    uint64_t mark;
};

static void *marked(struct mark *block)
{
    if (block == NULL) {
        return NULL;
    }
    block->mark = MARK;
    atomic_fetch_add(&plan->live, 1);
    return block + 1;
}

static struct mark *mark_of(void *ptr)
{
    struct mark *block = (struct mark *)ptr - 1;

    return ptr != NULL && block->mark == MARK ? block : NULL;
}

void *malloc(size_t size)
{
    if (!is_ours(CALLER)) {
        return __libc_malloc(size);
    }
    return fails(ALLOC, CALLER) ? NULL : marked(__libc_malloc(size + sizeof(struct mark)));
}

void *calloc(size_t n, size_t size)
{
    if (!is_ours(CALLER)) {
        return __libc_calloc(n, size);
    }
    if (fails(ALLOC, CALLER) || (n > 0 && size > (SIZE_MAX - sizeof(struct mark)) / n)) {
        return NULL;
    }
    return marked(__libc_calloc(1, n * size + sizeof(struct mark)));
}

void *realloc(void *ptr, size_t size)
{
    struct mark *block = mark_of(ptr);

    if (block == NULL && (ptr != NULL || !is_ours(CALLER))) {
        return __libc_realloc(ptr, size);
    }
    if (fails(ALLOC, CALLER)) {
        return NULL;
    }
    if (block == NULL) {
        return marked(__libc_malloc(size + sizeof(struct mark)));
    }
    block = __libc_realloc(block, size + sizeof(struct mark));
    return block != NULL ? block + 1 : NULL;
}

void free(void *ptr)
{
    struct mark *block = mark_of(ptr);

    if (block != NULL) {
        block->mark = 0;
        atomic_fetch_sub(&plan->live, 1);
        ptr = block;
    }
    __libc_free(ptr);
}

/* --- the wall clock ------------------------------------------------------------------------- */

/* Seconds it is wrong by in this call. */
static time_t jump(void)
{
    static atomic_uint n;
    int how = strike(WALL_CLOCK, NULL);

    return how == 0 ? 0 : atomic_fetch_add(&n, 1) % 2 == 0 ? DAY : -DAY;
}

int clock_gettime(clockid_t clock, struct timespec *out_at)
{
    int status = (int)syscall(SYS_clock_gettime, clock, out_at);

    if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        out_at->tv_sec += jump();
    }
    return status;
}

int gettimeofday(struct timeval *restrict out_at, void *restrict zone)
{
    struct timespec at;
    int status = clock_gettime(CLOCK_REALTIME, &at);

    (void)zone;
    *out_at = (struct timeval){at.tv_sec, at.tv_nsec / 1000};
    return status;
}

time_t time(time_t *out_at)
{
    struct timespec at = {0};

    (void)clock_gettime(CLOCK_REALTIME, &at);
    if (out_at != NULL) {
        *out_at = at.tv_sec;
    }
    return at.tv_sec;
}
