/* A node's image is read back as it was written, and a damaged one is refused: the checksum before
 * it is the file's matter. */
#include "modules/base/test_suite.h"
#include "modules/spill/node_image.h"
#include "modules/spill/store_internal.h"

#include <check.h>
#include <errno.h>

enum { CHILDREN = 5 };

static struct spill_store store; /* accounts only: no file is touched */
static struct block *node;
static uint8_t image[NODE_IMAGE_BYTES_MAX];
static uint32_t image_bytes;

static void write_node(void)
{
    memset(&store, 0, sizeof(store));
    list_init(&store.random);
    list_init(&store.dead);
    node = block_create_node(&store, 7, 2, CHILDREN);
    ck_assert_ptr_nonnull(node);
    for (unsigned i = 0; i < CHILDREN; i++) {
        struct spill_ref ref = { .position_bytes = 4096 * (i + 1),
                                 .size_bytes = 1000 + i,
                                 .crc32c = 77 * i,
                                 .generation = 100 + i };
        struct block *child = block_create_on_disk(&store, 7, 1, &ref);
        ck_assert_ptr_nonnull(child);
        child->element_count = 10 + i;
        child->element_bytes = 500 + i;
        child->disk_bytes = 8192;
        child->chunk_count = 3 + i;
        node_insert_child(node, i, child);
    }
    image_bytes = node_image_write(node, image);
}

static void drop_node(void)
{
    for (unsigned i = 0; i < CHILDREN; i++)
        block_forget(&store, node->slots[i].block);
    node->end = 0;
    node_discard_shell(&store, node);
    ck_assert_uint_eq(store.block_count, 0);
    ck_assert_uint_eq(store.memory_bytes, 0);
}

static void drop_slots(struct slot *slots, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        block_forget(&store, slots[i].block);
    free(slots);
}

START_TEST(what_was_written_is_read)
{
    struct slot *slots;
    unsigned count;

    ck_assert_uint_eq(image_bytes, CHILDREN * NODE_ENTRY_BYTES);
    ck_assert_int_eq(node_image_read(&store, node, slice_of(image, image_bytes), &slots, &count),
                     0);
    ck_assert_uint_eq(count, CHILDREN);
    for (unsigned i = 0; i < count; i++) {
        const struct block *was = node->slots[i].block, *is = slots[i].block;
        ck_assert_uint_eq(slots[i].element_count, was->element_count);
        ck_assert_uint_eq(is->element_bytes, was->element_bytes);
        ck_assert_uint_eq(is->chunk_count, was->chunk_count);
        ck_assert_uint_eq(is->disk_bytes, was->disk_bytes);
        ck_assert_uint_eq(is->list, 7);
        ck_assert_uint_eq(is->height, 1);
        ck_assert_int_eq(is->state, BLOCK_ON_DISK);
        ck_assert_uint_eq(is->ref.position_bytes, was->ref.position_bytes);
        ck_assert_uint_eq(is->ref.size_bytes, was->ref.size_bytes);
        ck_assert_uint_eq(is->ref.crc32c, was->ref.crc32c);
        ck_assert_uint_eq(is->ref.generation, was->ref.generation);
    }
    drop_slots(slots, count);
}
END_TEST

START_TEST(an_image_that_was_cut_is_refused_at_every_length)
{
    struct slot *slots;
    unsigned count;

    for (uint32_t size = 0; size < image_bytes; size++) {
        ck_assert_int_eq(node_image_read(&store, node, slice_of(image, size), &slots, &count),
                         -EBADMSG);
    }
}
END_TEST

START_TEST(flipped_counts_are_refused)
{
    struct slot *slots;
    unsigned count;

    for (uint32_t at = 0; at < image_bytes; at++) {
        uint32_t field = at % NODE_ENTRY_BYTES;
        bool is_count = (field >= 24 && field < 40) || field >= 48; /* elements, bytes, chunks */
        image[at] ^= 16;
        int rc = node_image_read(&store, node, slice_of(image, image_bytes), &slots, &count);
        image[at] ^= 16;
        if (is_count) ck_assert_int_eq(rc, -EBADMSG);
        if (rc == 0) drop_slots(slots, count);
    }
}
END_TEST

START_TEST(a_child_that_lies_nowhere_is_refused)
{
    struct slot *slots;
    unsigned count;

    memset(image + NODE_ENTRY_BYTES + 16, 0, 8);
    ck_assert_int_eq(node_image_read(&store, node, slice_of(image, image_bytes), &slots, &count),
                     -EBADMSG);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spill node image");
    TCase *tcase = test_suite_case(suite, "image", write_node, drop_node);

    tcase_add_test(tcase, what_was_written_is_read);
    tcase_add_test(tcase, an_image_that_was_cut_is_refused_at_every_length);
    tcase_add_test(tcase, flipped_counts_are_refused);
    tcase_add_test(tcase, a_child_that_lies_nowhere_is_refused);
    return test_suite_run(suite);
}
