/* Groups of a stream and consumers of a group by name: sorted arrays, as there are few and they are
 * listed in that order. */
#include "modules/base/alloc_size.h"
#include "modules/stream/group_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare_names(struct slice a, struct slice b)
{
    size_t shorter = a.size < b.size ? a.size : b.size;
    int order = shorter == 0 ? 0 : memcmp(a.bytes, b.bytes, shorter);

    if (order != 0 || a.size == b.size) return order;
    return a.size < b.size ? -1 : 1;
}

uint32_t name_order_place(const struct name_order *order, struct slice name, bool *out_is_there)
{
    uint32_t begin = 0, end = order->count;

    *out_is_there = false;
    while (begin < end) {
        uint32_t middle = begin + (end - begin) / 2;
        int compared = compare_names(*(const struct slice *)order->items[middle], name);

        if (compared == 0) {
            *out_is_there = true;
            return middle;
        }
        if (compared < 0)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

uint32_t grown_capacity(uint32_t capacity)
{
    if (capacity == 0) return 2;
    return capacity < 16 ? capacity * 2 : capacity + capacity / 2;
}

int name_order_reserve(struct name_order *order, uint64_t *bytes)
{
    uint32_t capacity = grown_capacity(order->capacity);
    void **items;

    if (order->count < order->capacity) return 0;
    if (order->count >= UINT32_MAX / 2) return -ENOMEM;
    items = realloc(order->items, capacity * sizeof(*items));
    if (!items) return -ENOMEM;
    if (order->items) *bytes -= alloc_size(order->capacity * sizeof(*items));
    *bytes += alloc_size(capacity * sizeof(*items));
    order->items = items;
    order->capacity = capacity;
    return 0;
}

void name_order_insert(struct name_order *order, uint32_t place, void *item)
{
    assert(order->count < order->capacity && place <= order->count);
    memmove(order->items + place + 1, order->items + place,
            (order->count - place) * sizeof(*order->items));
    order->items[place] = item;
    order->count++;
}

void name_order_remove(struct name_order *order, uint32_t place)
{
    assert(place < order->count);
    order->count--;
    memmove(order->items + place, order->items + place + 1,
            (order->count - place) * sizeof(*order->items));
}

void *named_create(size_t struct_bytes, struct slice name, uint64_t *bytes)
{
    uint8_t *item = malloc(struct_bytes + name.size);

    if (!item) return NULL;
    memset(item, 0, struct_bytes);
    if (name.size > 0) memcpy(item + struct_bytes, name.bytes, name.size);
    *(struct slice *)(void *)item = slice_of(item + struct_bytes, name.size);
    *bytes += alloc_size(struct_bytes + name.size);
    return item;
}

void named_free(void *item, size_t struct_bytes, uint64_t *bytes)
{
    const struct slice *name = item;

    *bytes -= alloc_size(struct_bytes + name->size);
    free(item);
}
