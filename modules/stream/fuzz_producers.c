/* Any bytes as an image of producers: refused, or producers that give back the same bytes, know
 * what is added to them, and forget all of it in the end. */
#include "modules/stream/producers.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void expect(bool is_so)
{
    if (!is_so) abort();
}

struct written {
    const uint8_t *bytes; /* what is to be written */
    size_t size, at;
};

static void compare(void *context, struct slice piece)
{
    struct written *written = context;

    expect(piece.size <= written->size - written->at);
    expect(piece.size == 0 || memcmp(written->bytes + written->at, piece.bytes, piece.size) == 0);
    written->at += piece.size;
}

static void expect_same(const struct stream_producers *producers, const uint8_t *bytes, size_t size)
{
    struct written written = { .bytes = bytes, .size = size };

    expect(stream_producers_image_size(producers) == size);
    stream_producers_image_write(producers, compare, &written);
    expect(written.at == size);
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
    stream_producers_configure(producers, 1, 1);
    stream_producers_get_info(producers, &info);
    expect(info.iid_count == 0 && info.producer_count == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct stream_producers *producers;

    if (stream_producers_image_load(slice_of(bytes, size), &producers) < 0) return 0;
    expect_same(producers, bytes, size);
    add_two(producers);
    forget_all(producers);
    stream_producers_destroy(producers);
    return 0;
}
