/* Bytes that pretend to be the image of a stream. Whatever comes: it is refused, or the stream
 * holds together, is the same walked both ways, survives that half of it is deleted and trimmed and
 * more is added, and becomes an image that is accepted again.
 *
 * Checksums vouch for images, so damage does not get here; a program that writes wrong ones may. */
#include <stdlib.h>

#include "modules/base/os.h"
#include "modules/stream/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static struct stream_store *store;

static void expect(bool is_so)
{
    if (!is_so) abort();
}

/* ---- writing ---- */

struct written {
    uint8_t *bytes;
    size_t size, capacity;
};

static void put(void *context, struct slice piece)
{
    struct written *written = context;

    expect(piece.size <= written->capacity - written->size);
    memcpy(written->bytes + written->size, piece.bytes, piece.size);
    written->size += piece.size;
}

static void expect_same_again(const struct stream *stream)
{
    struct written written = { .capacity = stream_image_size(stream) };
    struct stream *again = NULL;

    written.bytes = malloc(written.capacity);
    expect(written.bytes);
    stream_image_write(stream, put, &written);
    expect(written.size == written.capacity);
    expect(stream_image_load(store, slice_of(written.bytes, written.size), &again) == 0);
    stream_check(again);
    expect(stream_count(again) == stream_count(stream));
    stream_destroy(again);
    free(written.bytes);
}

/* ---- reading ---- */

static uint64_t count_entries(struct stream *stream, struct stream_id from,
                              enum stream_direction direction)
{
    struct stream_cursor cursor;
    struct stream_entry entry, found;
    uint64_t count = 0;

    stream_cursor_begin(&cursor, stream, from, direction);
    for (; stream_cursor_next(&cursor, &entry) == 1; count++) {
        expect(stream_find(stream, entry.id, &found) == 1);
        expect(found.ordinal == entry.ordinal && slice_equal(found.fields, entry.fields));
    }
    return count;
}

/* Every other one, from the one behind the first on: start stays where it is. */
static void delete_half(struct stream *stream)
{
    struct stream_cursor cursor;
    struct stream_entry entry;

    stream_cursor_begin(&cursor, stream, STREAM_ID_MIN, STREAM_FORWARD);
    for (uint64_t i = 0; stream_cursor_next(&cursor, &entry) == 1; i++)
        if (i % 2 == 1) expect(stream_delete(stream, entry.ordinal, entry.id) == 1);
}

static void trim_half(struct stream *stream)
{
    struct stream_trim trim = { .length = stream_count(stream) / 2 };
    uint64_t ordinal;

    expect(stream_trim_end(stream, &trim, &ordinal) == 0);
    (void)stream_trim(stream, ordinal);
    expect(stream_count(stream) == trim.length);
}

static void add_one(struct stream *stream)
{
    struct slice fields = SLICE_LITERAL("$1\r\nf\r\n$1\r\nv\r\n");
    struct stream_id id = stream_last_id(stream);
    uint64_t count = stream_count(stream);

    if (!stream_id_increment(&id)) return;
    expect(stream_reserve(stream, fields.size) == 0);
    expect(stream_add(stream, id, 2, fields) == 0);
    expect(stream_count(stream) == count + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct stream_options options = { .directory = ".", .memory_bytes_max = UINT32_MAX };
    struct stream *stream = NULL;

    if (!store) expect(stream_store_create(os_real(), NULL, &options, NULL, &store) == 0);
    /* Only what is in memory: other images need their journals. */
    if (size > 2 && bytes[2] != 1) return 0;
    if (stream_image_load(store, slice_of(bytes, size), &stream) == 0) {
        stream_check(stream);
        expect(count_entries(stream, STREAM_ID_MIN, STREAM_FORWARD) == stream_count(stream));
        expect(count_entries(stream, STREAM_ID_MAX, STREAM_BACKWARD) == stream_count(stream));
        expect_same_again(stream);
        delete_half(stream);
        stream_check(stream);
        trim_half(stream);
        if (stream_count(stream) < UINT32_MAX) add_one(stream);
        stream_check(stream);
        expect_same_again(stream);
    }
    stream_destroy(stream);
    while (stream_store_tick(store, 0, 1000)) {}
    expect(stream_store_memory_bytes(store) == 0);
    return 0;
}
