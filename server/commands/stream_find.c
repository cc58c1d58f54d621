/* stream_find.c - the entries of many ids, in whatever order a client names them: they are sorted,
 * so many at a time, as those that lie near each other are found in one go. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/stream/finder.h"
#include "server/commands/stream_ids.h"
#include "server/commands/stream_references.h"

enum {
    ONE_BY_ONE = 4,       /* so few are not worth a sort */
    SORTED_AT_ONCE = 2048 /* takes less than a slice */
};

struct sought {
    struct stream_id id;
    uint32_t index; /* among all ids */
};

static int compare(const void *left, const void *right)
{
    const struct sought *a = left, *b = right;

    return stream_id_compare(a->id, b->id);
}

static int find_sorted(struct call *call, struct stream *stream, const struct sought *sought,
                       uint32_t count, uint64_t *ordinals)
{
    struct stream_finder finder;

    stream_finder_begin(&finder, stream);
    for (uint32_t i = 0; i < count; i++) {
        int rc = stream_finder_next(&finder, sought[i].id, &ordinals[sought[i].index]);

        if (rc >= 0) rc = stream_ids_breathe(call, i, false);
        if (rc < 0) return rc;
    }
    return 0;
}

static int find_many(struct call *call, struct stream *stream, const struct stream_id *ids,
                     uint32_t count, uint64_t *ordinals)
{
    uint32_t capacity = count < SORTED_AT_ONCE ? count : SORTED_AT_ONCE;
    struct sought *sought = malloc(capacity * sizeof(*sought));
    int rc = sought ? 0 : -ENOMEM;

    for (uint32_t first = 0; rc == 0 && first < count; first += capacity) {
        uint32_t part = count - first < capacity ? count - first : capacity;

        for (uint32_t i = 0; i < part; i++)
            sought[i] = (struct sought){ ids[first + i], first + i };
        qsort(sought, part, sizeof(*sought), compare);
        rc = find_sorted(call, stream, sought, part, ordinals);
    }
    free(sought);
    return rc;
}

static int find_few(struct stream *stream, const struct stream_id *ids, uint32_t count,
                    uint64_t *ordinals)
{
    for (uint32_t i = 0; i < count; i++) {
        struct stream_entry entry;
        int rc = stream_find(stream, ids[i], &entry);

        if (rc < 0) return rc;
        if (rc == 1) ordinals[i] = entry.ordinal;
    }
    return 0;
}

int stream_find_ordinals(struct call *call, struct stream *stream, const struct stream_id *ids,
                         uint32_t count, uint64_t **out_ordinals)
{
    uint64_t *ordinals;
    int rc;

    assert(count > 0);
    ordinals = calloc(count, sizeof(*ordinals));
    if (!ordinals) return -ENOMEM;
    rc = count <= ONE_BY_ONE ? find_few(stream, ids, count, ordinals)
                             : find_many(call, stream, ids, count, ordinals);
    if (rc < 0)
        free(ordinals);
    else
        *out_ordinals = ordinals;
    return rc;
}
