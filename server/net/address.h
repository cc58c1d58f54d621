/* address.h - socket addresses as text and as bind's words. Pure functions; any thread. */
#ifndef SERVER_NET_ADDRESS_H
#define SERVER_NET_ADDRESS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct sockaddr_storage;

/* "127.0.0.1:5000", "[::1]:5000"; cut at size_bytes. Other families: "?:0". */
void address_format(const struct sockaddr *address, char *text, size_t size_bytes);
uint16_t address_port(const struct sockaddr *address); /* 0: it has none */
/* 127.0.0.0/8, ::1, and the former written as IPv6; everything that is not IP is local, too. */
bool address_is_loopback(const struct sockaddr *address);
/* name: an IPv4 or IPv6 address or a host's name, "*" (all of IPv4), "::*" (all of IPv6).
 * -EADDRNOTAVAIL: it means nothing here. -ENOMEM. */
int address_resolve(const char *name, uint16_t port, struct sockaddr_storage *out_address,
                    socklen_t *out_size_bytes);
#endif
