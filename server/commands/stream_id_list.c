#include "server/commands/stream_id_list.h"

#include <assert.h>
#include <stdlib.h>

#include "modules/base/alloc_size.h"
#include "server/commands/parking.h"

static int64_t heap_bytes(const struct stream_id_list *list)
{
    return (int64_t)alloc_size(sizeof(*list) + list->capacity * sizeof(list->ids[0]));
}

struct stream_id_list *stream_id_list_create(struct server *server, uint64_t capacity)
{
    struct stream_id_list *list = NULL;

    assert(capacity > 0);
    if (capacity < SIZE_MAX / sizeof(list->ids[0]) - sizeof(*list))
        list = malloc(sizeof(*list) + capacity * sizeof(list->ids[0]));
    if (!list) return NULL;
    *list = (struct stream_id_list){ .server = server, .ref_count = 1, .capacity = capacity };
    parking_count_kept(server, heap_bytes(list));
    return list;
}

struct stream_id_list *stream_id_list_ref(struct stream_id_list *list)
{
    list->ref_count++;
    return list;
}

void stream_id_list_unref(struct stream_id_list *list)
{
    if (!list || --list->ref_count > 0) return;
    parking_count_kept(list->server, -heap_bytes(list));
    free(list);
}

void stream_id_list_add(struct stream_id_list *list, struct stream_id id)
{
    assert(list->count < list->capacity);
    list->ids[list->count++] = id;
}
