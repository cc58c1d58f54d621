/* stream_id_list.h - ids of an answer that is sent as the socket drains: of what a consumer is
 * given again, each with its entry, or with nil where that has gone.
 *
 * Whoever keeps it has a reference. 16 bytes an id, for as many as it was made for. Loop thread
 * only. */
#ifndef SERVER_COMMANDS_STREAM_ID_LIST_H
#define SERVER_COMMANDS_STREAM_ID_LIST_H
#include <stdint.h>

#include "modules/stream/stream_id.h"

struct server;

struct stream_id_list {
    struct server *server;
    uint32_t ref_count;
    uint64_t count, capacity;
    struct stream_id ids[];
};

/* With one reference, for so many ids, at least 1. It counts in what answers keep
 * (parking_count_kept). NULL: there is no memory for it. */
struct stream_id_list *stream_id_list_create(struct server *server, uint64_t capacity);
struct stream_id_list *stream_id_list_ref(struct stream_id_list *list);
/* Accepts NULL. */
void stream_id_list_unref(struct stream_id_list *list);
/* It has room. */
void stream_id_list_add(struct stream_id_list *list, struct stream_id id);
#endif
