/*
 * address.h - sockets of addresses that people type: HOST:PORT, [V6]:PORT.
 */
#ifndef LINKEMU_ADDRESS_H
#define LINKEMU_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct address {
    struct sockaddr_storage name;
    socklen_t len;
};

/* Resolves an address. false after a message. */
bool address_resolve(const char *text, struct address *out_address);

/* Writes an address as text, such as "127.0.0.1:80", and returns `out`. */
const char *address_format(const struct address *address, char *out, size_t size);

#endif
