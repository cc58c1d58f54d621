/* packet.h - a payload that several may hold at once, sent from where it lies.
 *
 * Whoever has the bytes (a chunk, a large value, a published message) puts a struct packet beside
 * them. Each output chain that sends them holds a reference; when the last one is dropped,
 * release() is called and the owner may free or unpin. The payload does not change while the packet
 * lives.
 *
 * One thread (the loop's). */
#ifndef MODULES_POOL_PACKET_H
#define MODULES_POOL_PACKET_H
#include "modules/base/slice.h"

#include <assert.h>

struct packet {
    struct slice payload;
    uint32_t ref_count;                     /* above 0 until release() is called */
    void (*release)(struct packet *packet); /* may free the packet itself */
};

/* The caller holds the first reference. */
static inline void packet_init(struct packet *packet, struct slice payload,
                               void (*release)(struct packet *packet))
{
    *packet = (struct packet){ .payload = payload, .ref_count = 1, .release = release };
}

static inline struct packet *packet_ref(struct packet *packet)
{
    assert(packet->ref_count > 0 && packet->ref_count < UINT32_MAX);
    packet->ref_count++;
    return packet;
}

/* Accepts NULL. The packet may be gone afterwards. */
static inline void packet_unref(struct packet *packet)
{
    if (!packet) return;
    assert(packet->ref_count > 0);
    if (--packet->ref_count == 0) packet->release(packet);
}

/* A packet with a copy of bytes, both in one allocation that the last unref frees. -ENOMEM. */
int packet_create(struct slice bytes, struct packet **out_packet);
#endif
