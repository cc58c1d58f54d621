#include "server/net/address.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* Callers hand in whole sockaddr_storages, so each family's view of them is theirs to take. */
static const struct sockaddr_in *ipv4(const struct sockaddr *address)
{
    return (const struct sockaddr_in *)(const void *)address;
}

static const struct sockaddr_in6 *ipv6(const struct sockaddr *address)
{
    return (const struct sockaddr_in6 *)(const void *)address;
}

void address_format(const struct sockaddr *address, char *text, size_t size_bytes)
{
    char host[INET6_ADDRSTRLEN] = "?";
    bool is_ipv6 = address->sa_family == AF_INET6;

    if (is_ipv6) (void)inet_ntop(AF_INET6, &ipv6(address)->sin6_addr, host, sizeof(host));
    if (address->sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &ipv4(address)->sin_addr, host, sizeof(host));
    }
    (void)snprintf(text, size_bytes, is_ipv6 ? "[%s]:%u" : "%s:%u", host,
                   (unsigned)address_port(address));
}

uint16_t address_port(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) return ntohs(ipv4(address)->sin_port);
    if (address->sa_family == AF_INET6) return ntohs(ipv6(address)->sin6_port);
    return 0;
}

bool address_is_loopback(const struct sockaddr *address)
{
    const struct in6_addr *six;

    if (address->sa_family == AF_INET) {
        return (ntohl(ipv4(address)->sin_addr.s_addr) >> 24) == IN_LOOPBACKNET;
    }
    if (address->sa_family != AF_INET6) return true;
    six = &ipv6(address)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(six) ||
           (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == IN_LOOPBACKNET);
}

int address_resolve(const char *name, uint16_t port, struct sockaddr_storage *out_address,
                    socklen_t *out_size_bytes)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    char service[8];
    int rc;

    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    if (strcmp(name, "*") == 0) hints.ai_family = AF_INET;
    if (strcmp(name, "::*") == 0) hints.ai_family = AF_INET6;
    (void)snprintf(service, sizeof(service), "%u", (unsigned)port);
    rc = getaddrinfo(hints.ai_family == AF_UNSPEC ? name : NULL, service, &hints, &found);
    if (rc == EAI_MEMORY) return -ENOMEM;
    if (rc == EAI_SYSTEM) return -errno;
    if (rc != 0) return -EADDRNOTAVAIL;
    memcpy(out_address, found->ai_addr, found->ai_addrlen);
    *out_size_bytes = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}
