#include "server/types/list.h"

#include "modules/base/alloc_size.h"
#include "modules/spill/deque.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct list {
    struct value value;
    struct spill_deque *deque;
};

/* What Redis calls a listpack (list-max-listpack-size -2) has at most so many bytes: a header and
 * an end of 7, and for each element its length before it and, to be walked backwards, behind it. */
enum { LISTPACK_BYTES_MAX = 8192, LISTPACK_FRAME = 7, LISTPACK_PER_ELEMENT = 2 };

static const struct list *as_list(const struct value *value)
{
    assert(value->type->kind == VALUE_LIST);
    return (const struct list *)(const void *)value;
}

static void destroy(struct value *value)
{
    spill_deque_destroy(as_list(value)->deque);
    free(value);
}

static const char *encoding(const struct value *value)
{
    const struct spill_deque *deque = as_list(value)->deque;
    uint64_t count = spill_deque_count(deque);
    if (count > LISTPACK_BYTES_MAX) return "quicklist";
    return spill_deque_bytes(deque) + count * LISTPACK_PER_ELEMENT + LISTPACK_FRAME <=
                   LISTPACK_BYTES_MAX
               ? "listpack"
               : "quicklist";
}

/* The store counts what its deques hold. */
static uint64_t counted_bytes(const struct value *value)
{
    (void)value;
    return alloc_size(sizeof(struct list));
}

static const struct value_type list_type = {
    .kind = VALUE_LIST,
    .name = "list",
    .destroy = destroy,
    .encoding = encoding,
    .counted_bytes = counted_bytes,
};

int list_create(struct spill_store *store, struct value **out_value)
{
    struct list *list = malloc(sizeof(*list));
    int rc;
    if (!list) return -ENOMEM;
    list->value.type = &list_type;
    rc = spill_deque_create(store, &list->deque);
    if (rc < 0) {
        free(list);
        return rc;
    }
    *out_value = &list->value;
    return 0;
}

int list_create_of(struct spill_deque *deque, struct value **out_value)
{
    struct list *list = malloc(sizeof(*list));
    if (!list) return -ENOMEM;
    *list = (struct list){ { &list_type }, deque };
    *out_value = &list->value;
    return 0;
}

struct spill_deque *list_deque(const struct value *value)
{
    return as_list(value)->deque;
}
