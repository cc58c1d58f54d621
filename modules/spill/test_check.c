/* The lists of a checkpoint are looked through: what is whole is told as such, and each kind of
 * damage is planted in the file or in what leads to it, and found with its place. */
#include "modules/base/crc32c.h"
#include "modules/base/endian.h"
#include "modules/base/test_suite.h"
#include "modules/spill/check.h"
#include "modules/spill/extent_map.h"
#include "modules/spill/format.h"
#include "modules/spill/node_image.h"
#include "modules/spill/root.h"
#include "modules/spill/test_persist_fixture.h"

#include <fcntl.h>

enum { LISTS = 20, ELEMENTS = 6000, SIDE_ELEMENTS = 500, FIRST_PART = ROOT_HEADER_BYTES + 8 };

static const struct spill_options tiny = { .memory_bytes = 256 << 10,
                                           .chunk_bytes = 512,
                                           .prefetch_bytes = 4096 };

static struct saved saved;
static struct spill_deque *lists[LISTS];
static struct spill_check *walker;

static struct {
    unsigned count;
    struct spill_check_damage last;
    uint64_t lost_count;
    uint64_t first_block, last_block; /* where it was */
} told;

static void tell(void *context, const struct spill_check_damage *damage)
{
    uint64_t block = damage->offset_bytes / SPILL_BLOCK_BYTES;

    (void)context;
    ck_assert_ptr_nonnull(damage->why);
    if (told.count++ == 0 || block < told.first_block) told.first_block = block;
    if (told.count == 1 || block > told.last_block) told.last_block = block;
    told.last = *damage;
    told.lost_count += damage->element_count;
}

/* ---- the fixture ------------------------------------------------------------------------------
 */

/* A long list with sides, short ones whose chunks share blocks, one that is saved as its elements,
 * and one that was dropped. */
static void set_up(void)
{
    struct spill_deque *dropped;

    persist_open(0, &tiny);
    memset(lists, 0, sizeof(lists));
    lists[0] = numbers(ELEMENTS);
    for (unsigned i = 1; i < LISTS - 1; i++)
        lists[i] = numbers(20 + i);
    lists[LISTS - 1] = numbers(2);
    dropped = numbers(ELEMENTS);
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    for (uint32_t i = 0; i < SIDE_ELEMENTS; i++)
        ck_assert_int_eq(push_element(lists[0], SPILL_TAIL, (struct element){ ELEMENTS + i, 20 }),
                         0);
    spill_deque_destroy(dropped);
    checkpoint_all(&saved, lists, LISTS);
    for (unsigned i = 0; i < LISTS; i++)
        spill_deque_destroy(lists[i]);
    crash();
    reopen(&saved);
    walker = NULL;
}

/* What was looked at is still there, all of it. */
static void tear_down(void)
{
    spill_check_destroy(walker);
    for (unsigned i = 0; i < LISTS; i++)
        lists[i] = load_one(&saved.lists[i]);
    expect_numbers(lists[0], 0, ELEMENTS + SIDE_ELEMENTS, 20);
    close_all(&saved, lists, LISTS);
}

static struct slice root_of(unsigned which)
{
    return slice_of(saved.lists[which].bytes, saved.lists[which].size);
}

static void begin(void)
{
    spill_check_destroy(walker);
    walker = NULL;
    memset(&told, 0, sizeof(told));
    ck_assert_int_eq(spill_check_create(fault_os(fault), store, tell, NULL, &walker), 0);
}

static struct spill_check_counts look(struct slice root)
{
    struct spill_check_counts counts;
    unsigned before = told.count;

    ck_assert_int_eq(spill_check_list(walker, root, &counts), 0);
    ck_assert_uint_eq(counts.damage_count, told.count - before);
    return counts;
}

static void look_at_all(void)
{
    struct spill_check_counts counts;

    begin();
    ck_assert_int_eq(spill_check_dropped(walker, &counts), 0);
    for (unsigned i = 0; i < LISTS; i++)
        (void)look(root_of(i));
}

static uint64_t unreached(void)
{
    uint64_t bytes;

    ck_assert_int_eq(spill_check_unreached(walker, &bytes), 0);
    return bytes;
}

/* ---- the file ---------------------------------------------------------------------------------
 */

static int file_fd(void)
{
    int fd = open(spill_store_path(store), O_RDWR);

    ck_assert_int_ge(fd, 0);
    return fd;
}

static void read_file(void *bytes, size_t size, uint64_t offset)
{
    int fd = file_fd();

    ck_assert_int_eq(pread(fd, bytes, size, (off_t)offset), (ssize_t)size);
    close(fd);
}

static void write_file(const void *bytes, size_t size, uint64_t offset)
{
    int fd = file_fd();

    ck_assert_int_eq(pwrite(fd, bytes, size, (off_t)offset), (ssize_t)size);
    close(fd);
}

/* ---- what is whole ----------------------------------------------------------------------------
 */

START_TEST(what_was_saved_is_whole)
{
    struct spill_check_counts counts;

    begin();
    ck_assert_int_eq(spill_check_dropped(walker, &counts), 0);
    ck_assert_uint_gt(counts.element_count, ELEMENTS / 4); /* the rest was freed by then */
    ck_assert_uint_gt(counts.extent_count, counts.element_bytes / 512);
    ck_assert_uint_gt(unreached(), ELEMENTS * 20);
    counts = look(root_of(0));
    ck_assert_uint_eq(counts.element_count, ELEMENTS + SIDE_ELEMENTS);
    ck_assert_uint_eq(counts.element_bytes, (ELEMENTS + SIDE_ELEMENTS) * 20);
    ck_assert_uint_gt(counts.extent_count, counts.element_bytes / 512);
    ck_assert_uint_gt(unreached(), 0);
    for (unsigned i = 1; i < LISTS; i++)
        ck_assert_uint_eq(look(root_of(i)).element_count, i < LISTS - 1 ? 20 + i : 2);
    ck_assert_uint_eq(told.count, 0);
    ck_assert_uint_eq(unreached(), 0);
}
END_TEST

/* ---- damage of the file -----------------------------------------------------------------------
 */

START_TEST(each_block_that_is_zeroed_is_found)
{
    static const uint8_t zeros[SPILL_BLOCK_BYTES];
    uint8_t was[SPILL_BLOCK_BYTES];
    struct spill_range range = { 0 };
    unsigned blocks = 0;

    ck_assert_int_eq(spill_checkpoint_pin(store), 0);
    while (spill_checkpoint_pinned(store, range.offset_bytes + range.size_bytes, SPILL_BLOCK_BYTES,
                                   &range)) {
        spill_checkpoint_unpin(store); /* the check has it */
        read_file(was, sizeof(was), range.offset_bytes);
        write_file(zeros, sizeof(zeros), range.offset_bytes);
        look_at_all();
        ck_assert_uint_gt(told.count, 0);
        ck_assert_uint_gt(told.lost_count, 0);
        ck_assert_uint_eq(told.first_block, range.offset_bytes / SPILL_BLOCK_BYTES);
        ck_assert_uint_eq(told.last_block, told.first_block);
        write_file(was, sizeof(was), range.offset_bytes);
        blocks++;
        ck_assert_int_eq(spill_checkpoint_pin(store), 0);
    }
    spill_checkpoint_unpin(store);
    ck_assert_uint_gt(blocks, 50);
    look_at_all();
    ck_assert_uint_eq(told.count, 0);
}
END_TEST

/* As a disk gives errors. */
START_TEST(what_cannot_be_read_is_told)
{
    uint64_t nth;

    for (nth = 1;; nth += 7) {
        uint64_t fired;

        begin();
        fault_fail(fault, FAULT_PREAD, nth, EIO, FAULT_ONCE);
        (void)look(root_of(0));
        fired = fault_fired(fault);
        fault_clear(fault);
        ck_assert_uint_eq(told.count, fired);
        if (fired == 0) break;
        ck_assert_str_eq(told.last.why, strerror(EIO));
    }
    ck_assert_uint_gt(nth, 100);
    fault_fail(fault, FAULT_OPEN, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(spill_check_create(fault_os(fault), store, tell, NULL, &walker), -EIO);
    fault_clear(fault);
    begin();
}
END_TEST

START_TEST(without_memory_nothing_is_said)
{
    struct spill_check_counts counts;
    uint64_t nth;
    int rc;

    for (nth = 1;; nth += 5) {
        begin();
        store->allocations_to_failure = nth;
        rc = spill_check_list(walker, root_of(0), &counts);
        store->allocations_to_failure = 0;
        ck_assert_uint_eq(told.count, 0);
        if (rc == 0) break;
        ck_assert_int_eq(rc, -ENOMEM);
    }
    ck_assert_uint_gt(nth, 50);
}
END_TEST

/* ---- damage of what leads there ---------------------------------------------------------------
 */

/* A root that was changed, sealed again. */
static struct slice seal(uint8_t *root, size_t size)
{
    store_u32le(root + 4,
                crc32c(crc32c(0, root, 4), root + ROOT_HEADER_BYTES, size - ROOT_HEADER_BYTES));
    return slice_of(root, size);
}

/* Of the long list's root; the part that is a tree, or an end. */
static uint8_t *part_in(uint8_t *root, bool is_tree)
{
    uint8_t *part = root + FIRST_PART;

    while ((part[1] > 0) != is_tree) {
        part += ROOT_PART_BYTES;
        ck_assert_uint_lt((size_t)(part - root), saved.lists[0].size);
    }
    return part;
}

static struct spill_check_counts look_at_changed(uint8_t *root)
{
    begin();
    return look(seal(root, saved.lists[0].size));
}

static void copy_root(uint8_t *root)
{
    memcpy(root, saved.lists[0].bytes, saved.lists[0].size);
}

START_TEST(counts_that_do_not_agree_are_told)
{
    uint8_t root[SPILL_ROOT_BYTES_MAX];
    uint8_t *part;

    copy_root(root);
    part = part_in(root, true);
    store_u64le(part + 32, load_u64le(part + 32) + 1); /* elements of the tree */
    ck_assert_uint_gt(look_at_changed(root).lost_count, ELEMENTS / 2);
    ck_assert_uint_eq(told.count, 1);
    ck_assert_uint_eq(told.last.offset_bytes, load_u64le(part + 8));

    copy_root(root);
    part = part_in(root, true);
    store_u64le(part + 40, load_u64le(part + 40) - 1); /* bytes of it */
    (void)look_at_changed(root);
    ck_assert_uint_eq(told.count, 1);
    ck_assert_str_eq(told.last.why, "what it leads to does not add up to what is said of it");

    copy_root(root);
    part = part_in(root, false);
    store_u64le(part + 40, load_u64le(part + 40) + 1); /* bytes of an end chunk */
    ck_assert_uint_eq(look_at_changed(root).lost_count, load_u64le(part + 32));
    ck_assert_uint_eq(told.count, 1);
    ck_assert_str_eq(told.last.why, "its elements are not those that are counted");
}
END_TEST

START_TEST(a_root_that_is_damaged_is_an_error)
{
    struct spill_check_counts counts;
    uint8_t root[SPILL_ROOT_BYTES_MAX];
    uint8_t *part;

    begin();
    copy_root(root);
    root[20] ^= 1;
    ck_assert_int_eq(spill_check_list(walker, slice_of(root, saved.lists[0].size), &counts),
                     -EBADMSG);
    copy_root(root);
    part = part_in(root, false);
    store_u64le(part + 8, UINT64_C(1) << 40); /* behind the end of the file */
    ck_assert_int_eq(spill_check_list(walker, seal(root, saved.lists[0].size), &counts), -EBADMSG);
}
END_TEST

START_TEST(what_two_lists_have_is_told)
{
    struct spill_check_counts counts;

    for (unsigned which = 0; which < LISTS; which += LISTS / 2) { /* whole blocks; parts of one */
        begin();
        (void)look(root_of(which));
        ck_assert_uint_eq(told.count, 0);
        counts = look(root_of(which));
        ck_assert_uint_gt(told.count, 0);
        ck_assert_uint_eq(counts.lost_count, counts.element_count);
        ck_assert_str_eq(told.last.why, "another extent lies in the same place");
    }
}
END_TEST

START_TEST(extents_that_meet_are_found)
{
    const struct spill_ref whole = { .position_bytes = 8192, .size_bytes = 4096 }; /* two blocks */
    const struct spill_ref small = { .position_bytes = 12288, .size_bytes = 8 };
    const struct spill_ref behind_small = { .position_bytes = 12288 + 40, .size_bytes = 8 };
    const struct spill_ref amid = { .position_bytes = 12288 + 8, .size_bytes = 100 };
    const struct spill_ref free_block = { .position_bytes = 4096, .size_bytes = 2000 };
    struct extent_map *map;

    ck_assert_int_eq(extent_map_create(5, &map), 0);
    ck_assert_int_eq(extent_map_add(map, &small), 1);
    ck_assert_int_eq(extent_map_add(map, &behind_small), 1);
    ck_assert_int_eq(extent_map_add(map, &amid), 0);
    ck_assert_int_eq(extent_map_add(map, &whole), 0); /* its second block */
    ck_assert(!extent_map_has(map, 2));
    ck_assert(extent_map_has(map, 3));
    ck_assert_int_eq(extent_map_add(map, &free_block), 1);
    extent_map_destroy(map);
    ck_assert_int_eq(extent_map_create(5, &map), 0);
    ck_assert_int_eq(extent_map_add(map, &whole), 1);
    ck_assert_int_eq(extent_map_add(map, &small), 0);
    ck_assert_int_eq(extent_map_add(map, &whole), 0);
    ck_assert(extent_map_has(map, 2) && extent_map_has(map, 3) && !extent_map_has(map, 5));
    extent_map_destroy(map);
    begin();
}
END_TEST

/* Changes a reference in the image of the long list's tree, and all checksums on the way there. */
static void change_entry(uint8_t *root, unsigned entry, uint64_t position, uint8_t *was)
{
    uint8_t *part = part_in(root, true), header[SPILL_HEADER_BYTES], image[NODE_IMAGE_BYTES_MAX];
    uint64_t at = load_u64le(part + 8);
    uint32_t size = load_u32le(part + 4), crc;
    struct spill_identity identity = { .list = load_u64le(root + ROOT_HEADER_BYTES),
                                       .generation = load_u64le(part + 24),
                                       .element_count = (uint32_t)load_u64le(part + 32),
                                       .kind = part[1] };

    read_file(was, SPILL_BLOCK_BYTES, at);
    read_file(image, size, at + SPILL_HEADER_BYTES);
    ck_assert_uint_gt(size / NODE_ENTRY_BYTES, entry);
    store_u64le(image + (size_t)entry * NODE_ENTRY_BYTES, position);
    crc = spill_header_encode(header, slice_of(image, size), &identity);
    write_file(header, sizeof(header), at);
    write_file(image, size, at + SPILL_HEADER_BYTES);
    store_u32le(part + 16, crc);
}

START_TEST(a_node_that_leads_astray_is_told)
{
    static const uint64_t positions[] = { UINT64_C(1) << 40, 4096 + 4 };
    uint8_t root[SPILL_ROOT_BYTES_MAX], was[SPILL_BLOCK_BYTES];
    struct spill_check_counts counts;
    uint64_t at;

    for (unsigned i = 0; i < 2; i++) {
        copy_root(root);
        at = load_u64le(part_in(root, true) + 8);
        change_entry(root, 1, positions[i], was);
        counts = look_at_changed(root);
        write_file(was, sizeof(was), at);
        ck_assert_uint_eq(told.count, 1);
        ck_assert_uint_eq(told.last.offset_bytes, positions[i]);
        ck_assert_str_eq(told.last.why,
                         "it is said to lie where the checkpoint has nothing in use");
        ck_assert_uint_gt(told.last.first_element, 0);
        ck_assert_uint_lt(counts.lost_count, counts.element_count);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spill check");
    TCase *tcase = test_suite_case(suite, "all", set_up, tear_down);

    tcase_add_test(tcase, what_was_saved_is_whole);
    tcase_add_test(tcase, each_block_that_is_zeroed_is_found);
    tcase_add_test(tcase, what_cannot_be_read_is_told);
    tcase_add_test(tcase, without_memory_nothing_is_said);
    tcase_add_test(tcase, counts_that_do_not_agree_are_told);
    tcase_add_test(tcase, a_root_that_is_damaged_is_an_error);
    tcase_add_test(tcase, what_two_lists_have_is_told);
    tcase_add_test(tcase, extents_that_meet_are_found);
    tcase_add_test(tcase, a_node_that_leads_astray_is_told);
    return test_suite_run(suite);
}
