#define _GNU_SOURCE 1 /* netdb.h */

#include "address.h"

#include <smux/transport.h>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- from text ---------------------------------------------------------------------------- */

static bool address_starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/** Parses all of `text` as a decimal number up to `max`: digits only, no sign or space. */
static bool address_parse_number(const char *text, long max, long *out_number)
{
    size_t digits = strspn(text, "0123456789");

    if (digits == 0 || digits > 9 || text[digits] != '\0') {
        return false;
    }
    *out_number = strtol(text, NULL, 10);
    return *out_number <= max;
}

static bool address_parse_port(const char *text, struct smux__address *out)
{
    long port;

    if (!address_parse_number(text, 65535, &port)) {
        return false;
    }
    (void)snprintf(out->port, sizeof out->port, "%u", (unsigned)port & 0xffffU);
    return true;
}

static bool address_parse_fd(const char *text, struct smux__address *out)
{
    long fd;

    out->kind = SMUX__ADDRESS_FD;
    if (!address_parse_number(text, 999999999, &fd)) {
        return false;
    }
    out->fd = (int)fd;
    return true;
}

/** Fills in a path, or with a leading 0 byte the abstract name behind it. */
static bool address_parse_unix(const char *name, bool abstract, struct smux__address *out)
{
    size_t skip = abstract ? 1 : 0;
    size_t len = strlen(name);

    out->kind = SMUX__ADDRESS_UNIX;
    if (len == 0 || skip + len >= sizeof out->local.sun_path) {
        return false;
    }
    out->local.sun_family = AF_UNIX;
    memcpy(out->local.sun_path + skip, name, len);
    /* The length of an abstract name counts: zeros behind it would belong to the name. A path
     * ends at its 0 byte, which is counted too. */
    out->local_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    return true;
}

static bool address_parse_abstract(const char *name, struct smux__address *out)
{
#ifdef __linux__
    return address_parse_unix(name, true, out);
#else
    (void)name;
    (void)out;
    return false;
#endif
}

static bool address_set_host(const char *host, size_t len, struct smux__address *out)
{
    if (len == 0 || len >= sizeof out->host) {
        return false;
    }
    memcpy(out->host, host, len);
    out->host[len] = '\0';
    out->kind = SMUX__ADDRESS_HOST;
    return true;
}

/** Parses "[v6]:port". */
static bool address_parse_bracketed(const char *text, struct smux__address *out)
{
    const char *end = strchr(text, ']');

    return end != NULL && end[1] == ':' &&
           address_set_host(text + 1, (size_t)(end - text - 1), out) &&
           address_parse_port(end + 2, out);
}

/** Parses "host:port", ":port" and "port". A second colon means a bare IPv6 address, where it
 *  would be a guess which colon begins the port. */
static bool address_parse_host(const char *text, struct smux__address *out)
{
    const char *colon = strchr(text, ':');

    if (colon == NULL) {
        out->kind = SMUX__ADDRESS_LOOPBACK;
        return address_parse_port(text, out);
    }
    if (colon == text) {
        out->kind = SMUX__ADDRESS_ANY;
        return address_parse_port(text + 1, out);
    }
    return address_set_host(text, (size_t)(colon - text), out) &&
           address_parse_port(colon + 1, out);
}

bool smux__address_parse(const char *text, struct smux__address *out)
{
    *out = (struct smux__address){.fd = -1};
    if (address_starts_with(text, "unix:@")) {
        return address_parse_abstract(text + 6, out);
    }
    if (address_starts_with(text, "unix:")) {
        return address_parse_unix(text + 5, false, out);
    }
    if (address_starts_with(text, "fd:")) {
        return address_parse_fd(text + 3, out);
    }
    switch (text[0]) {
    case '/':
    case '.':
        return strchr(text, '/') != NULL && address_parse_unix(text, false, out);
    case '@':
        return address_parse_abstract(text + 1, out);
    case '[':
        return address_parse_bracketed(text, out);
    default:
        return address_parse_host(text, out);
    }
}

/* --- to text ------------------------------------------------------------------------------ */

/** Turns the outcome of snprintf into a status. */
static int address_fits(int printed, size_t size)
{
    return printed >= 0 && (size_t)printed < size ? SMUX_OK : SMUX_EINVAL;
}

static int address_format_unix(const struct sockaddr_un *local, socklen_t len, char *out,
                               size_t size)
{
    size_t start = offsetof(struct sockaddr_un, sun_path);
    size_t name_len = len > start ? len - start : 0;

    if (name_len == 0) {
        return address_fits(snprintf(out, size, "unix:"), size); /* never bound to a name */
    }
    if (local->sun_path[0] == '\0') {
        return address_fits(snprintf(out, size, "@%.*s", (int)name_len - 1, local->sun_path + 1),
                            size);
    }
    return address_fits(snprintf(out, size, "unix:%.*s", (int)name_len, local->sun_path), size);
}

/** A dual-stack listener sees IPv4 peers as IPv6; users know them by their IPv4 address. */
static void address_unmap(struct sockaddr_storage *address, socklen_t *len)
{
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;

    if (address->ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
        return;
    }
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = six->sin6_port};
    memcpy(&four.sin_addr, six->sin6_addr.s6_addr + 12, 4);
    memcpy(address, &four, sizeof four);
    *len = sizeof four;
}

static int address_format_inet(const struct sockaddr *address, socklen_t len, char *out,
                               size_t size)
{
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];

    if (getnameinfo(address, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return SMUX_EINVAL;
    }
    bool six = address->sa_family == AF_INET6;
    return address_fits(
        snprintf(out, size, "%s%s%s:%s", six ? "[" : "", host, six ? "]" : "", port), size);
}

int smux_socket_address(int fd, bool remote, char *out, size_t size)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    struct sockaddr *generic = (struct sockaddr *)&address;

    int rc = remote ? getpeername(fd, generic, &len) : getsockname(fd, generic, &len);
    if (rc != 0 || len > sizeof address) {
        return SMUX_EINVAL;
    }
    switch (address.ss_family) {
    case AF_UNIX:
        return address_format_unix((const struct sockaddr_un *)&address, len, out, size);
    case AF_INET:
    case AF_INET6:
        address_unmap(&address, &len);
        return address_format_inet(generic, len, out, size);
    default:
        return SMUX_EINVAL;
    }
}
