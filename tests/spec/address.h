/*
 * address.h - TCP sockets by "host:port", "[v6]:port" or "port" on loopback.
 *
 * Functions return a descriptor, or -1 with errno.
 */
#ifndef SPEC_ADDRESS_H
#define SPEC_ADDRESS_H

#include <stddef.h>
#include <stdint.h>

int address_connect(const char *address, unsigned timeout_ms);

/** Also writes the address, with the port that was chosen for port 0. */
int address_listen(const char *address, char *out, size_t size);

/** The next connection, at most until that time of the monotonic clock. */
int address_accept(int listen_fd, uint64_t until_us);

#endif
