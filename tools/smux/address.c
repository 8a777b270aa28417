#define _GNU_SOURCE 1

#include "address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <smux/transport.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "values.h"

/* --- text to address --------------------------------------------------------------------- */

static const char *parse_port(const char *text, struct address *out)
{
    uint32_t port;

    if (strchr(text, '-') != NULL) {
        return "port ranges are not available in this build";
    }
    if (!value_parse_number(text, &port) || port > 65535) {
        return *text == '\0' ? "has no port" : "the port is not a number up to 65535";
    }
    out->port = (uint16_t)port;
    return NULL;
}

static const char *parse_bracketed(const char *text, struct address *out)
{
    const char *end = strchr(text, ']');
    struct in6_addr ignored;

    if (end == NULL || end[1] != ':') {
        return "expected [ADDRESS]:PORT";
    }
    if ((size_t)(end - text - 1) >= sizeof(out->host)) {
        return "the host is too long";
    }
    snprintf(out->host, sizeof(out->host), "%.*s", (int)(end - text - 1), text + 1);
    if (strchr(out->host, '%') == NULL && inet_pton(AF_INET6, out->host, &ignored) != 1) {
        return "the part in brackets is not an IPv6 address";
    }
    return parse_port(end + 2, out);
}

static const char *parse_tcp(const char *text, struct address *out)
{
    const char *colon = strrchr(text, ':');

    out->kind = ADDRESS_TCP;
    if (*text == '[') {
        return parse_bracketed(text, out);
    }
    if (colon == NULL) {
        return text[strspn(text, "0123456789")] == '\0' ? parse_port(text, out) : "has no port";
    }
    if (memchr(text, ':', (size_t)(colon - text)) != NULL) {
        return "write an IPv6 address as [ADDRESS]:PORT";
    }
    if ((size_t)(colon - text) >= sizeof(out->host)) {
        return "the host is too long";
    }
    snprintf(out->host, sizeof(out->host), "%.*s", (int)(colon - text), text);
    out->any = colon == text;
    return parse_port(colon + 1, out);
}

static const char *parse_unix(const char *path, struct address *out)
{
    out->kind = ADDRESS_UNIX;
    if (*path == '\0' || strcmp(path, "@") == 0) {
        return "the name of the Unix socket is empty";
    }
    if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
        return "the name of the Unix socket is too long";
    }
    snprintf(out->host, sizeof(out->host), "%s", path);
    return NULL;
}

static const char *parse_fd(const char *text, struct address *out)
{
    uint32_t fd;

    out->kind = ADDRESS_FD;
    if (!value_parse_number(text, &fd) || fd > 1u << 20) {
        return "expected fd:NUMBER";
    }
    out->fd = (int)fd;
    return NULL;
}

const char *address_parse(const char *text, struct address *out)
{
    memset(out, 0, sizeof(*out));
    out->text = text;
    if (strcmp(text, "-") == 0) {
        out->kind = ADDRESS_STDIO;
        return NULL;
    }
    if (strncmp(text, "unix:", 5) == 0) {
        return parse_unix(text + 5, out);
    }
    if (*text == '/' || strncmp(text, "./", 2) == 0 || *text == '@') {
        return parse_unix(text, out);
    }
    if (strncmp(text, "fd:", 3) == 0) {
        return parse_fd(text + 3, out);
    }
    if (strcmp(text, "systemd") == 0 || strncmp(text, "systemd:", 8) == 0) {
        return "socket activation is not available in this build";
    }
    return parse_tcp(text, out);
}

const char *address_parse_remote(const char *text, struct address *out)
{
    const char *error = address_parse(text, out);

    if (error != NULL) {
        return error;
    }
    if (out->kind == ADDRESS_TCP) {
        return out->port == 0 ? "port 0 is only for listening" : NULL;
    }
    return out->kind == ADDRESS_UNIX ? NULL : "only TCP and Unix sockets can be connected to";
}

/* --- address to kernel ------------------------------------------------------------------- */

static void add_sockaddr(struct address_list *list, const void *sa, socklen_t len)
{
    if (list->n < ADDRESS_MAX && len <= sizeof(list->items[0].sa)) {
        struct endpoint_address *item = &list->items[list->n++];
        memset(item, 0, sizeof(*item));
        memcpy(&item->sa, sa, len);
        item->len = len;
    }
}

void address_list_add(struct address_list *list, const struct addrinfo *found)
{
    for (; found != NULL; found = found->ai_next) {
        add_sockaddr(list, found->ai_addr, found->ai_addrlen);
    }
}

static void add_v4(struct address_list *list, uint32_t host, uint16_t port)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};

    sin.sin_addr.s_addr = htonl(host);
    add_sockaddr(list, &sin, sizeof(sin));
}

static void add_v6(struct address_list *list, const struct in6_addr *host, uint16_t port)
{
    struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    sin6.sin6_addr = *host;
    add_sockaddr(list, &sin6, sizeof(sin6));
}

static bool add_number(struct address_list *list, const char *host, uint16_t port)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                                   .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    char service[8];

    snprintf(service, sizeof(service), "%u", port);
    if (getaddrinfo(host, service, &hints, &found) != 0) {
        return false;
    }
    address_list_add(list, found);
    freeaddrinfo(found);
    return true;
}

static void add_unix(struct address_list *list, const char *name)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    size_t len = strlen(name);

    memcpy(sun.sun_path, name, len);
    if (*name == '@') {
        sun.sun_path[0] = '\0'; /* abstract: the length ends the name */
    } else {
        len++;
    }
    add_sockaddr(list, &sun, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
}

bool address_resolve_now(const struct address *address, bool listening, struct address_list *out)
{
    out->n = 0;
    switch (address->kind) {
    case ADDRESS_UNIX:
        add_unix(out, address->host);
        return true;
    case ADDRESS_TCP:
        break;
    default:
        return false;
    }
    if (address->host[0] != '\0') {
        return add_number(out, address->host, address->port);
    }
    if (listening && address->any) {
        add_v4(out, INADDR_ANY, address->port);
        add_v6(out, &in6addr_any, address->port);
    } else {
        add_v4(out, INADDR_LOOPBACK, address->port);
        add_v6(out, &in6addr_loopback, address->port);
    }
    return true;
}

/* --- kernel to text ---------------------------------------------------------------------- */

static bool v6_is_local(const struct in6_addr *host)
{
    return IN6_IS_ADDR_LOOPBACK(host) || (IN6_IS_ADDR_V4MAPPED(host) && host->s6_addr[12] == 127);
}

bool address_is_local(const struct endpoint_address *address)
{
    const struct sockaddr_storage *sa = &address->sa;

    if (sa->ss_family == AF_INET) {
        const struct sockaddr_in *sin = (const struct sockaddr_in *)(const void *)sa;
        return ntohl(sin->sin_addr.s_addr) >> 24 == 127;
    }
    if (sa->ss_family == AF_INET6) {
        return v6_is_local(&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr);
    }
    return true;
}

static void format_unix(const struct endpoint_address *address, char *out, size_t size)
{
    const struct sockaddr_un *sun = (const struct sockaddr_un *)(const void *)&address->sa;
    size_t len = address->len - offsetof(struct sockaddr_un, sun_path);

    if (len == 0) {
        snprintf(out, size, "unix:");
    } else if (sun->sun_path[0] == '\0') {
        snprintf(out, size, "@%.*s", (int)len - 1, sun->sun_path + 1);
    } else {
        snprintf(out, size, "unix:%.*s", (int)strnlen(sun->sun_path, len), sun->sun_path);
    }
}

const char *address_format(const struct endpoint_address *address, char *out, size_t size)
{
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];

    if (address->sa.ss_family == AF_UNIX) {
        format_unix(address, out, size);
    } else if (getnameinfo((const struct sockaddr *)(const void *)&address->sa, address->len, host,
                           sizeof(host), port, sizeof(port),
                           NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
        bool v6 = address->sa.ss_family == AF_INET6;
        snprintf(out, size, "%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", port);
    } else {
        snprintf(out, size, "-");
    }
    return out;
}

const char *address_of_socket(int fd, bool remote, char *out, size_t size)
{
    if (smux_socket_address(fd, remote, out, size) != SMUX_OK) {
        snprintf(out, size, "-");
    }
    return out;
}
