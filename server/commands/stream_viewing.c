#include "server/commands/stream_viewing.h"

#include "modules/base/log.h"
#include "modules/stream/group.h"
#include "server/commands/server.h"
#include "server/net/client.h"
#include "server/observe/memory.h"

enum {
    BESIDE_SHARE = 16, /* of maxmemory: what groups may have beside their own when it is used up */
    BESIDE_BYTES_MAX = 8 << 20, /* the rest of what memory may be above its limit is others' */
};

void stream_viewings_init(struct stream_viewings *viewings)
{
    *viewings = (struct stream_viewings){ .closed_count = 0 };
    list_init(&viewings->longest);
}

/* ---- one ---- */

void stream_viewing_begin(struct server *server, struct client *client,
                          struct stream_viewing *viewing)
{
    viewing->all = server->viewings;
    viewing->client = client;
    list_push_back(&viewing->all->longest, &viewing->link);
}

void stream_viewing_moves(struct stream_viewing *viewing)
{
    if (!viewing->client) return;
    list_remove(&viewing->link);
    list_push_back(&viewing->all->longest, &viewing->link);
}

void stream_viewing_end(struct stream_viewing *viewing)
{
    if (!viewing->client) return;
    list_remove(&viewing->link);
    viewing->client = NULL;
}

/* ---- all ---- */

static uint64_t beside_bytes_max(const struct server *server)
{
    uint64_t share = memory_limit(server->memory) / BESIDE_SHARE;

    return share < BESIDE_BYTES_MAX ? share : BESIDE_BYTES_MAX;
}

static void close_longest(struct server *server)
{
    struct list_link *link = list_front(&server->viewings->longest);
    struct client *client;

    if (!link) return;
    client = list_container(link, struct stream_viewing, link)->client;
    log_write(server->log, LOG_WARNING,
              "Closing client id=%llu addr=%s: memory is used up, and its long answer of what is "
              "pending keeps some",
              (unsigned long long)client_id(client), client_peer_text(client));
    server->viewings->closed_count++;
    client_close(client);
}

/* What a view had shared goes in slices (stream_group_store_tick): while it becomes less, nobody
 * else has to go. */
void stream_viewings_look(struct server *server)
{
    struct stream_viewings *viewings = server->viewings;
    uint64_t before = viewings->beside_bytes;

    viewings->beside_bytes = stream_group_store_memory_bytes(server->stream_groups);
    if (!memory_is_exhausted(server->memory, 0)) return;
    if (viewings->beside_bytes <= beside_bytes_max(server) || viewings->beside_bytes < before)
        return;
    close_longest(server);
}
