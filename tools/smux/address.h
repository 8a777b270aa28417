/*
 * address.h - addresses as people type them, and as the kernel takes them.
 *
 *   host:port  1.2.3.4:port  [v6]:port  port  :port   TCP
 *   unix:/path  /path  ./path  @name                  Unix sockets
 *   fd:N                                              an inherited socket
 *   -                                                 standard input and output
 */
#ifndef TOOL_ADDRESS_H
#define TOOL_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Room for an address as text. */
#define ADDRESS_TEXT 300
/* Addresses of one name that are tried. */
#define ADDRESS_MAX 8

enum address_kind {
    ADDRESS_TCP,
    ADDRESS_UNIX, /* path or abstract name */
    ADDRESS_FD,
    ADDRESS_STDIO
};

struct address {
    const char *text; /* as given; not owned */
    enum address_kind kind;
    char host[256]; /* TCP: name or number; "" where only a port was given */
    bool any;       /* TCP: ":port", which listens on all addresses */
    uint16_t port;  /* TCP */
    int fd;         /* FD */
};

/* One address for the kernel. */
struct endpoint_address {
    socklen_t len;
    struct sockaddr_storage sa;
};

/* The addresses of one name, in the order in which they are tried. */
struct address_list {
    struct endpoint_address items[ADDRESS_MAX];
    size_t n;
};

/* Reads an address. Returns NULL, or what is wrong with it (static). */
const char *address_parse(const char *text, struct address *out);

/* The same for an address to connect to. */
const char *address_parse_remote(const char *text, struct address *out);

/*
 * Lists the addresses of everything that needs no name service: TCP by number or port alone,
 * Unix sockets. `listening` decides what ":port" means. Returns false for names and for kinds
 * that have no such list.
 */
bool address_resolve_now(const struct address *address, bool listening, struct address_list *out);

/* Adds what getaddrinfo(3) found; the list keeps the first ADDRESS_MAX. */
struct addrinfo;
void address_list_add(struct address_list *list, const struct addrinfo *found);

/* Tells whether only this machine can reach it. */
bool address_is_local(const struct endpoint_address *address);

/* Writes an address in one of the forms above and returns `out`. */
const char *address_format(const struct endpoint_address *address, char *out, size_t size);

/* The same for one end of a socket; "-" for what has no address. */
const char *address_of_socket(int fd, bool remote, char *out, size_t size);

#endif
