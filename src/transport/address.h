/*
 * address.h - addresses as text: the forms listed in smux/transport.h.
 *
 *      text                          kind                    filled
 *      "host:port" "[v6]:port"       SMUX__ADDRESS_HOST      host, port
 *      "port"                        SMUX__ADDRESS_LOOPBACK  port
 *      ":port"                       SMUX__ADDRESS_ANY       port
 *      "unix:/path" "/path" "@name"  SMUX__ADDRESS_UNIX      local, local_len
 *      "fd:N"                        SMUX__ADDRESS_FD        fd
 *
 * Parsing looks at the text only; nothing is resolved or opened.
 */
#ifndef SMUX_TRANSPORT_ADDRESS_H
#define SMUX_TRANSPORT_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

/** What an address text names. */
enum smux__address_kind {
    SMUX__ADDRESS_HOST,     /**< a port of a host, given by name or number */
    SMUX__ADDRESS_LOOPBACK, /**< a port of this machine, reachable from it only */
    SMUX__ADDRESS_ANY,      /**< a port on all addresses of this machine */
    SMUX__ADDRESS_UNIX,     /**< a Unix socket */
    SMUX__ADDRESS_FD        /**< a descriptor that is open already */
};

/** A parsed address. */
struct smux__address {
    enum smux__address_kind kind;
    char host[256];           /**< without brackets; a DNS name has at most 253 bytes */
    char port[6];             /**< 0..65535 in digits */
    struct sockaddr_un local; /**< Unix socket; an abstract name starts with a 0 byte */
    socklen_t local_len;      /**< bytes of `local` in use */
    int fd;                   /**< descriptor */
};

/** Parses a text. Returns false when it has none of the forms or a part is too long. */
bool smux__address_parse(const char *text, struct smux__address *out_address);

#endif
