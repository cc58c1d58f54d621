#include "modules/pool/packet.h"
#include "modules/base/checked.h"

#include <errno.h>
#include <stdlib.h>

static void free_packet(struct packet *packet)
{
    free(packet);
}

int packet_create(struct slice bytes, struct packet **out_packet)
{
    struct packet *packet;
    size_t size;
    if (!checked_add_size(sizeof(*packet), bytes.size, &size)) return -ENOMEM;
    packet = malloc(size);
    if (!packet) return -ENOMEM;
    if (bytes.size > 0) memcpy(packet + 1, bytes.bytes, bytes.size);
    packet_init(packet, slice_of(packet + 1, bytes.size), free_packet);
    *out_packet = packet;
    return 0;
}
