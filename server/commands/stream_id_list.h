/* stream_id_list.h - ids of an answer that is sent as the socket drains: of what a consumer is
 * given again, each with its entry, or with nil where that has gone.
 *
 * Whoever keeps it has a reference. 16 bytes an id, for as many as it was made for. Loop thread
 * only. */
#ifndef SERVER_COMMANDS_STREAM_ID_LIST_H
#define SERVER_COMMANDS_STREAM_ID_LIST_H
#include <stdint.h>

#include "modules/stream/stream_id.h"

struct stream_id_list {
    uint32_t ref_count;
    uint64_t count, capacity;
    struct stream_id ids[];
};

/* With one reference, for so many ids, at least 1. NULL: there is no memory for it. */
struct stream_id_list *stream_id_list_create(uint64_t capacity);
struct stream_id_list *stream_id_list_ref(struct stream_id_list *list);
/* Accepts NULL. */
void stream_id_list_unref(struct stream_id_list *list);
/* It has room. */
void stream_id_list_add(struct stream_id_list *list, struct stream_id id);
/* Of the heap. NULL: 0. */
uint64_t stream_id_list_bytes(const struct stream_id_list *list);
#endif
