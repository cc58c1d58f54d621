#include "server/commands/stream_id_list.h"

#include <assert.h>
#include <stdlib.h>

#include "modules/base/alloc_size.h"

struct stream_id_list *stream_id_list_create(uint64_t capacity)
{
    struct stream_id_list *list = NULL;

    assert(capacity > 0);
    if (capacity < SIZE_MAX / sizeof(list->ids[0]) - sizeof(*list))
        list = malloc(sizeof(*list) + capacity * sizeof(list->ids[0]));
    if (list) *list = (struct stream_id_list){ .ref_count = 1, .capacity = capacity };
    return list;
}

struct stream_id_list *stream_id_list_ref(struct stream_id_list *list)
{
    list->ref_count++;
    return list;
}

void stream_id_list_unref(struct stream_id_list *list)
{
    if (list && --list->ref_count == 0) free(list);
}

void stream_id_list_add(struct stream_id_list *list, struct stream_id id)
{
    assert(list->count < list->capacity);
    list->ids[list->count++] = id;
}

uint64_t stream_id_list_bytes(const struct stream_id_list *list)
{
    return list ? alloc_size(sizeof(*list) + list->capacity * sizeof(list->ids[0])) : 0;
}
