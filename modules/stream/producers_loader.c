/* From a picture's bytes back to producers. The bytes may be anybody's: what they announce is not
 * allocated before it has come, and all that they say is compared with what must hold. */
#include "modules/stream/producers_internal.h"

#include "modules/base/endian.h"

#include <errno.h>
#include <stdlib.h>

struct stream_producers_loader {
    struct stream_producers *producers;
    bool has_head;
    uint64_t left_count; /* of what is known, not loaded yet */
    uint8_t *bytes;      /* the beginning of what has not come whole */
    size_t size, capacity;
};

int stream_producers_loader_create(struct stream_producer_store *store,
                                   struct stream_producers_loader **out_loader)
{
    struct stream_producers_loader *loader = calloc(1, sizeof(*loader));
    int rc = -ENOMEM;

    if (loader) rc = stream_producers_create(store, &loader->producers);
    if (rc < 0)
        free(loader);
    else
        *out_loader = loader;
    return rc;
}

void stream_producers_loader_destroy(struct stream_producers_loader *loader)
{
    if (!loader) return;
    stream_producers_destroy(loader->producers);
    free(loader->bytes);
    free(loader);
}

/* ---- records ---- */

static int load_head(struct stream_producers_loader *loader, const uint8_t *bytes)
{
    struct stream_producers *producers = loader->producers;

    producers->duration_s = load_u32le(bytes + 4);
    producers->size_max = load_u32le(bytes + 8);
    producers->added_count = load_u64le(bytes + 16);
    producers->duplicate_count = load_u64le(bytes + 24);
    loader->left_count = load_u64le(bytes + 32);
    loader->has_head = true;
    if (load_u32le(bytes) != PRODUCERS_PICTURE_VERSION || load_u32le(bytes + 12) != 0)
        return -EBADMSG;
    if (producers->duration_s - 1 >= STREAM_IDMP_DURATION_S_MAX ||
        producers->size_max - 1 >= STREAM_IDMP_SIZE_MAX)
        return -EBADMSG;
    return 0;
}

static int load_known(struct stream_producers_loader *loader, const uint8_t *bytes)
{
    struct stream_producers *producers = loader->producers;
    struct slice name = slice_of(bytes + PRODUCERS_PICTURE_KNOWN_BYTES, load_u32le(bytes + 24));
    struct slice iid = slice_of(name.bytes + name.size, load_u32le(bytes + 28));
    const struct producer *producer = producers_find(producers->set, name);

    if (loader->left_count == 0) return -EBADMSG;
    loader->left_count--;
    if (producer && (producer->count == producers->size_max ||
                     producers_find_known(producers->set, producer, iid)))
        return -EBADMSG;
    return producers_put(producers->set, name, iid,
                         (struct stream_id){ load_u64le(bytes), load_u64le(bytes + 8) },
                         load_u64le(bytes + 16));
}

/* How many bytes the first record of these has, as far as they say it. */
static uint64_t record_bytes(const struct stream_producers_loader *loader, struct slice bytes)
{
    if (!loader->has_head) return PRODUCERS_PICTURE_HEAD_BYTES;
    if (bytes.size < PRODUCERS_PICTURE_KNOWN_BYTES) return PRODUCERS_PICTURE_KNOWN_BYTES;
    return PRODUCERS_PICTURE_KNOWN_BYTES + (uint64_t)load_u32le(bytes.bytes + 24) +
           load_u32le(bytes.bytes + 28);
}

/* Records that are whole are taken off bytes. */
static int load_whole(struct stream_producers_loader *loader, struct slice *bytes)
{
    for (;;) {
        uint64_t size = record_bytes(loader, *bytes);
        int rc;

        if (size > bytes->size) return 0;
        rc = loader->has_head ? load_known(loader, bytes->bytes) : load_head(loader, bytes->bytes);
        if (rc < 0) return rc;
        *bytes = slice_of(bytes->bytes + size, bytes->size - (size_t)size);
        if (bytes->size == 0) return 0;
    }
}

/* ---- pieces ---- */

static int append(struct stream_producers_loader *loader, struct slice piece)
{
    if (piece.size > loader->capacity - loader->size) {
        size_t capacity = 2 * (loader->size + piece.size);
        uint8_t *bytes = realloc(loader->bytes, capacity);

        if (!bytes) return -ENOMEM;
        loader->bytes = bytes;
        loader->capacity = capacity;
    }
    if (piece.size > 0) memcpy(loader->bytes + loader->size, piece.bytes, piece.size);
    loader->size += piece.size;
    return 0;
}

int stream_producers_loader_add(struct stream_producers_loader *loader, struct slice piece)
{
    struct slice bytes;
    int rc = append(loader, piece);

    if (rc < 0) return rc;
    bytes = slice_of(loader->bytes, loader->size);
    rc = load_whole(loader, &bytes);
    if (rc < 0) return rc;
    if (bytes.size > 0 && bytes.bytes != loader->bytes)
        memmove(loader->bytes, bytes.bytes, bytes.size);
    loader->size = bytes.size;
    return 0;
}

int stream_producers_loader_finish(struct stream_producers_loader *loader,
                                   struct stream_producers **out_producers)
{
    if (!loader->has_head || loader->left_count > 0 || loader->size > 0) return -EBADMSG;
    *out_producers = loader->producers;
    loader->producers = NULL;
    return 0;
}
