/* Any bytes as a picture of producers: refused, or producers that give back the same bytes, know
 * what is added to them, and forget all of it in the end. */
#include "modules/stream/producers.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void expect(bool is_so)
{
    if (!is_so) abort();
}

static void expect_same(struct stream_producers *producers, const uint8_t *bytes, size_t size)
{
    struct stream_producers_picture *picture;
    uint8_t piece[7];
    size_t at = 0, read;

    expect(stream_producers_picture_take(producers, &picture) == 0);
    expect(stream_producers_picture_size(picture) == size);
    while ((read = stream_producers_picture_read(picture, piece, sizeof(piece))) > 0) {
        expect(read <= size - at && memcmp(bytes + at, piece, read) == 0);
        at += read;
    }
    expect(at == size);
    stream_producers_picture_drop(picture);
}

/* Cut in two anywhere. NULL: refused. */
static struct stream_producers *load(struct stream_producer_store *store, const uint8_t *bytes,
                                     size_t size)
{
    struct stream_producers_loader *loader;
    struct stream_producers *producers = NULL;
    size_t cut = size > 0 ? bytes[size - 1] % size : 0;

    expect(stream_producers_loader_create(store, &loader) == 0);
    if (stream_producers_loader_add(loader, slice_of(bytes, cut)) == 0 &&
        stream_producers_loader_add(loader, slice_of(bytes + cut, size - cut)) == 0)
        (void)stream_producers_loader_finish(loader, &producers);
    stream_producers_loader_destroy(loader);
    return producers;
}

/* A name that may be in the image, and one that the seeds do not have. */
static void add_two(struct stream_producers *producers)
{
    const struct slice names[2] = { SLICE_LITERAL("p"), SLICE_LITERAL("another") };
    struct stream_id id = { 7, 8 }, found;

    for (int i = 0; i < 2; i++) {
        int rc = stream_producers_find(producers, names[i], SLICE_LITERAL("i"), 0, &found);

        if (rc == 0) {
            expect(stream_producers_add(producers, names[i], SLICE_LITERAL("i"), id, 0) == 0);
            rc = stream_producers_find(producers, names[i], SLICE_LITERAL("i"), 0, &found);
            expect(rc == 1 && stream_id_compare(found, id) == 0);
        }
        expect(rc == 1);
    }
}

static void forget_all(struct stream_producers *producers)
{
    struct stream_producers_info info;

    stream_producers_get_info(producers, &info);
    for (uint64_t left = info.iid_count; stream_producers_expire(producers, UINT64_MAX, 1); left--)
        expect(left > 0);
    expect(stream_producers_configure(producers, 1, 1) == 0);
    stream_producers_get_info(producers, &info);
    expect(info.iid_count == 0 && info.producer_count == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct stream_producer_store *store;
    struct stream_producers *producers;

    expect(stream_producer_store_create(&store) == 0);
    producers = load(store, bytes, size);
    if (producers) {
        expect_same(producers, bytes, size);
        add_two(producers);
        forget_all(producers);
    }
    stream_producers_destroy(producers);
    stream_producer_store_destroy(store);
    return 0;
}
