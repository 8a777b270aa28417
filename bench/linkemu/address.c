#include "address.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

/* Splits "host:port" or "[host]:port". Returns the port, or NULL. */
static const char *split(const char *text, char *host, size_t size)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon == NULL ? 0 : (size_t)(colon - text);

    if (colon == NULL || len >= size) {
        return NULL;
    }
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    }
    memcpy(host, text, len);
    host[len] = '\0';
    return len > 0 ? colon + 1 : NULL;
}

bool address_resolve(const char *text, struct address *out_address)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found;
    char host[256];
    const char *port = split(text, host, sizeof(host));
    int status;

    if (port == NULL) {
        fprintf(stderr, "linkemu: %s: expected HOST:PORT\n", text);
        return false;
    }
    status = getaddrinfo(host, port, &hints, &found);
    if (status != 0) {
        fprintf(stderr, "linkemu: %s: %s\n", text, gai_strerror(status));
        return false;
    }
    memcpy(&out_address->name, found->ai_addr, found->ai_addrlen);
    out_address->len = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

const char *address_format(const struct address *address, char *out, size_t size)
{
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];

    if (getnameinfo((const struct sockaddr *)&address->name, address->len, host, sizeof(host), port,
                    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return "?";
    }
    snprintf(out, size, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
    return out;
}
