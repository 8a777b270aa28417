/*
 * faults.h - makes system calls of the transport and loop layers fail.
 *
 *     faults_begin();
 *     faults_fail(FAULT_READ, 2, EINTR, 1);   the second read is interrupted
 *     faults_shorten(FAULT_WRITE, 1);         every write takes one byte
 *     ...
 *     faults_end();
 *
 * Calls are counted from faults_begin() on. One plan at a time for each kind of call. Several
 * threads may be in the library, but none while faults begin or end.
 */
#ifndef SUPPORT_FAULTS_H
#define SUPPORT_FAULTS_H

#include <stdbool.h>
#include <stddef.h>

enum fault_call {
    FAULT_READ,  /**< readv, recvmsg; without an error: the end */
    FAULT_WRITE, /**< writev and sendmsg */
    FAULT_POLL,  /**< poll and ppoll; without an error: ready, although nothing is */
    FAULT_SOCKET,
    FAULT_CONNECT,
    FAULT_ACCEPT,
    FAULT_SETSOCKOPT,
    FAULT_GETSOCKOPT,
    FAULT_SO_ERROR, /**< the error that a connection under way ends with */
    FAULT_BIND,
    FAULT_LISTEN,
    FAULT_RESOLVE, /**< getaddrinfo; the error is one of EAI_... */
    FAULT_SHUTDOWN,
    FAULT_CLOSE,
    FAULT_BELL, /**< a doorbell is made */
    FAULT_RING, /**< read and write of a doorbell */
    FAULT_RANDOM,
    /* Made without the table: tests that wrap them (ctest-wrap) call faults_strike(). */
    FAULT_FCNTL,
    FAULT_NAME,  /**< getsockname and getpeername */
    FAULT_LSTAT, /**< these three are about the path of a Unix socket */
    FAULT_UNLINK,
    FAULT_CHMOD,
    FAULT_DUP,    /**< dup2 */
    FAULT_THREAD, /**< pthread_create */
    FAULT_EPOLL_CREATE,
    FAULT_EPOLL_CTL,
    FAULT_EPOLL_WAIT,
    FAULT_FUTEX,
    FAULT_CALLS /**< their number */
};

/** Puts itself between the library and the system. */
void faults_begin(void);

/** Takes itself out again. */
void faults_end(void);

/** Lets the `nth` call (from 1) and those after it fail with `error`, `times` in all; 0 = all. The
 *  error 0 is for those calls that can go wrong without one. */
void faults_fail(enum fault_call call, unsigned nth, int error, unsigned times);

/** Lets reads or writes transfer at most `max` bytes. */
void faults_shorten(enum fault_call call, size_t max);

/** Returns how many calls were made. */
unsigned faults_count(enum fault_call call);

/** Returns how many calls have failed as planned. */
unsigned faults_struck(void);

/** Counts a call that somebody else stands in for. Returns whether it fails, with errno set. */
bool faults_strike(enum fault_call call);

/** Reports every descriptor ready for all that was asked for. Returns what poll() would. */
struct pollfd;
int faults_all_ready(struct pollfd *fds, unsigned long n);

/** Returns how many descriptors this process has open. */
unsigned faults_open_fds(void);

#endif
