/* All that is known at one moment, in bytes: the order up to the newest one of then, without what
 * had been forgotten before. What it reads stays in the order until it is dropped, so where it
 * stands is the last one that it has read. */
#include "modules/stream/producers_internal.h"

#include "modules/base/alloc_size.h"
#include "modules/base/endian.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct stream_producers_picture {
    struct producer_set *set;
    struct list_link *last; /* read; the set's all: none yet */
    uint64_t last_number;   /* that is in it */
    uint64_t number;        /* of pictures: what was forgotten by less of them is not in it */
    uint64_t size_bytes;
    struct slice pieces[3]; /* to be read next: a record, a name, an iid */
    uint8_t staged[PRODUCERS_PICTURE_HEAD_BYTES];
};

int stream_producers_picture_take(struct stream_producers *producers,
                                  struct stream_producers_picture **out_picture)
{
    struct stream_producers_picture *picture = malloc(sizeof(*picture));
    struct producer_set *set = producers->set;
    uint8_t *head;

    if (!picture) return -ENOMEM;
    set->picture_count++;
    set->pictured_last = set->last_number;
    list_remove(&set->due);
    *picture = (struct stream_producers_picture){
        .set = set,
        .last = &set->all,
        .last_number = set->last_number,
        .number = ++set->taken_count,
        .size_bytes = PRODUCERS_PICTURE_HEAD_BYTES + set->image_bytes,
    };
    head = picture->staged;
    store_u32le(head, PRODUCERS_PICTURE_VERSION);
    store_u32le(head + 4, producers->duration_s);
    store_u32le(head + 8, producers->size_max);
    store_u64le(head + 16, producers->added_count);
    store_u64le(head + 24, producers->duplicate_count);
    store_u64le(head + 32, set->known.count);
    picture->pieces[0] = slice_of(head, PRODUCERS_PICTURE_HEAD_BYTES);
    set->store->picture_bytes += alloc_size(sizeof(*picture));
    *out_picture = picture;
    return 0;
}

uint64_t stream_producers_picture_size(const struct stream_producers_picture *picture)
{
    return picture->size_bytes;
}

void stream_producers_picture_drop(struct stream_producers_picture *picture)
{
    struct producer_set *set;

    if (!picture) return;
    set = picture->set;
    assert(set->picture_count > 0);
    set->picture_count--;
    set->store->picture_bytes -= alloc_size(sizeof(*picture));
    free(picture);
    producers_set_is_due(set);
}

/* ---- reading ---- */

static void stage(struct stream_producers_picture *picture, const struct known *known)
{
    uint8_t *bytes = picture->staged;

    store_u64le(bytes, known->id.ms);
    store_u64le(bytes + 8, known->id.seq);
    store_u64le(bytes + 16, known->added_ms);
    store_u32le(bytes + 24, known->producer->name_size);
    store_u32le(bytes + 28, known->iid_size);
    picture->pieces[0] = slice_of(bytes, PRODUCERS_PICTURE_KNOWN_BYTES);
    picture->pieces[1] = slice_of(known->producer->name, known->producer->name_size);
    picture->pieces[2] = slice_of(known->iid, known->iid_size);
}

static bool is_shown(const struct stream_producers_picture *picture, const struct known *known)
{
    return known->forgotten_by == 0 || known->forgotten_by >= picture->number;
}

/* False: that was all. */
static bool stage_next(struct stream_producers_picture *picture)
{
    for (;;) {
        struct list_link *link = picture->last->next;
        const struct known *known = list_container(link, struct known, in_all);

        if (link == &picture->set->all || known->number > picture->last_number) return false;
        picture->last = link;
        if (!is_shown(picture, known)) continue;
        stage(picture, known);
        return true;
    }
}

/* What is to be read next; NULL: nothing is staged. */
static struct slice *first_piece(struct stream_producers_picture *picture)
{
    for (int i = 0; i < 3; i++)
        if (picture->pieces[i].size > 0) return &picture->pieces[i];
    return NULL;
}

size_t stream_producers_picture_read(struct stream_producers_picture *picture, uint8_t *bytes,
                                     size_t capacity)
{
    size_t size = 0;

    while (size < capacity) {
        struct slice *piece = first_piece(picture);
        size_t step;

        if (!piece) {
            if (!stage_next(picture)) break;
            continue;
        }
        step = piece->size < capacity - size ? piece->size : capacity - size;
        memcpy(bytes + size, piece->bytes, step);
        *piece = slice_of(piece->bytes + step, piece->size - step);
        size += step;
    }
    return size;
}
