/* stream_find.c - the entries of many ids, in whatever order a client names them: they are sorted,
 * so many at a time, as those that lie near each other are found in one go. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/stream/finder.h"
#include "server/commands/parking.h"
#include "server/commands/stream_ids.h"
#include "server/commands/stream_references.h"

enum {
    ONE_BY_ONE = 4,   /* so few are not worth a sort */
    RUN = 2048,       /* sorted at once: takes less than a slice */
    FIND_BREATH = 16, /* one may be far from the one before, and in a file */
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

/* ---- in order ---------------------------------------------------------------------------------
 */

static int sort_runs(struct call *call, struct sought *sought, uint32_t count)
{
    for (uint32_t first = 0; first < count; first += RUN) {
        int rc = stream_ids_breathe(call, first, false);

        if (rc < 0) return rc;
        qsort(sought + first, count - first < RUN ? count - first : RUN, sizeof(*sought), compare);
    }
    return 0;
}

/* Two runs that lie one behind the other, of left and right elements, into one. */
static int merge(struct call *call, const struct sought *runs, uint32_t left, uint32_t right,
                 struct sought *merged)
{
    uint32_t l = 0, r = 0;

    while (l < left || r < right) {
        bool is_left = r == right || (l < left && compare(&runs[l], &runs[left + r]) <= 0);
        int rc = stream_ids_breathe(call, l + r, false);

        if (rc < 0) return rc;
        merged[l + r] = is_left ? runs[l] : runs[left + r];
        l += is_left;
        r += !is_left;
    }
    return 0;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* All runs of so many, two by two; *sought and *spare change places. */
static int merge_all(struct call *call, struct sought **sought, struct sought **spare,
                     uint32_t count, uint32_t width)
{
    struct sought *from = *sought, *to = *spare;

    for (uint32_t first = 0; first < count;) {
        uint32_t left = least(width, count - first), right = least(width, count - first - left);
        int rc = merge(call, from + first, left, right, to + first);

        if (rc < 0) return rc;
        first += left + right;
    }
    *sought = to;
    *spare = from;
    return 0;
}

static int sort(struct call *call, struct sought **sought, struct sought **spare, uint32_t count)
{
    int rc = sort_runs(call, *sought, count);

    for (uint64_t width = RUN; rc == 0 && width < count; width *= 2)
        rc = merge_all(call, sought, spare, count, (uint32_t)width);
    return rc;
}

/* ---- finding ----------------------------------------------------------------------------------
 */

static int find_sorted(struct call *call, struct stream *stream, const struct sought *sought,
                       uint32_t count, uint64_t *ordinals)
{
    struct stream_finder finder;

    stream_finder_begin(&finder, stream);
    for (uint32_t i = 0; i < count; i++) {
        int rc = stream_finder_next(&finder, sought[i].id, &ordinals[sought[i].index]);

        if (rc >= 0 && (i + 1) % FIND_BREATH == 0) rc = parking_breathe(call->server);
        if (rc < 0) return rc;
    }
    return 0;
}

static int find_many(struct call *call, struct stream *stream, const struct stream_id *ids,
                     uint32_t count, uint64_t *ordinals)
{
    struct sought *sought = malloc(count * sizeof(*sought));
    struct sought *spare = count > RUN ? malloc(count * sizeof(*spare)) : NULL;
    int rc = sought && (spare || count <= RUN) ? 0 : -ENOMEM;

    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        sought[i] = (struct sought){ ids[i], i };
        rc = stream_ids_breathe(call, i, false);
    }
    if (rc == 0) rc = sort(call, &sought, &spare, count);
    if (rc == 0) rc = find_sorted(call, stream, sought, count, ordinals);
    free(sought);
    free(spare);
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
