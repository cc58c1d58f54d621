/* Any bytes as a picture of groups: refused, or groups that hold together and give back the same
 * bytes. */
#include "modules/stream/group.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void expect_same(const struct stream_groups *groups, const uint8_t *bytes, size_t size)
{
    struct stream_groups_picture *picture;
    uint8_t *again = malloc(size + 1);

    assert(again && stream_groups_picture_take(groups, &picture) == 0);
    assert(stream_groups_picture_size(picture) == size);
    assert(stream_groups_picture_read(picture, again, size + 1) == size);
    assert(memcmp(again, bytes, size) == 0);
    stream_groups_picture_drop(picture);
    free(again);
}

/* The first byte says where the rest is cut in two. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct stream_group_store *store;
    struct stream_groups_loader *loader;
    struct stream_groups *groups;
    size_t cut;

    if (size == 0) return 0;
    cut = bytes[0] < size ? bytes[0] : size - 1;
    bytes++, size--;
    if (stream_group_store_create(&store) < 0) return 0;
    if (stream_groups_loader_create(store, &loader) < 0) abort();
    if (stream_groups_loader_add(loader, slice_of(bytes, cut)) == 0 &&
        stream_groups_loader_add(loader, slice_of(bytes + cut, size - cut)) == 0 &&
        stream_groups_loader_finish(loader, &groups) == 0) {
        stream_groups_check(groups);
        expect_same(groups, bytes, size);
        stream_groups_destroy(groups);
    }
    stream_groups_loader_destroy(loader);
    stream_group_store_destroy(store);
    return 0;
}
