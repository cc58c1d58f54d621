/* hold.c - answers that may not leave yet.
 *
 * At each flush the owner says for which ticket the answers written since the last one wait. They
 * are the last bytes of a client's output, and stay behind what left before; a client has at most
 * two such pieces, as there are at most two tickets that anybody waits for. */
#include "server/net/net_internal.h"
#include <assert.h>

enum { PIECES_MAX = sizeof(((struct client *)0)->held) / sizeof(struct held_output) };

static void add_piece(struct client *client, uint64_t ticket, size_t bytes)
{
    struct held_output *last = client->held_count ? &client->held[client->held_count - 1] : NULL;

    assert(!last || ticket >= last->ticket);
    if (last && (last->ticket == ticket || client->held_count == PIECES_MAX)) {
        last->ticket = ticket;
        last->bytes += bytes;
        return;
    }
    client->held[client->held_count++] = (struct held_output){ ticket, bytes };
    if (last) return;
    list_push_back(&client->net->held, &client->held_link);
    client->net->held_client_count++;
}

void hold_output(struct client *client, uint64_t ticket)
{
    size_t bytes = chain_bytes(&client->output), added = bytes - client->seen_bytes;

    assert(bytes >= client->seen_bytes);
    if (added == 0) return;
    if (ticket == 0 && client->held_count == 0) return;
    if (ticket == 0) ticket = client->held[client->held_count - 1].ticket;
    add_piece(client, ticket, added);
}

static void drop_pieces(struct client *client, unsigned count)
{
    client->held_count -= count;
    for (unsigned i = 0; i < client->held_count; i++)
        client->held[i] = client->held[i + count];
    if (client->held_count > 0) return;
    list_remove(&client->held_link);
    client->net->held_client_count--;
}

void forget_held(struct client *client)
{
    if (client->held_count > 0) drop_pieces(client, client->held_count);
    client->seen_bytes = 0;
}

void net_release(struct net *net, uint64_t ticket)
{
    list_for_each(link, &net->held)
    {
        struct client *client = list_container(link, struct client, held_link);
        unsigned count = 0;

        while (count < client->held_count && client->held[count].ticket <= ticket)
            count++;
        if (count == 0) continue;
        drop_pieces(client, count);
        mark_output(client);
    }
}

void net_close_held(struct net *net)
{
    list_for_each(link, &net->held)
    {
        client_close(list_container(link, struct client, held_link));
    }
}
