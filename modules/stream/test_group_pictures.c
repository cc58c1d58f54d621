/* Pictures of groups: they outlive what they were taken of, and nobody vouches for their bytes. */
#include "modules/base/test_suite.h"
#include "modules/stream/test_group_fixture.h"

#include <errno.h>
#include <stdio.h>

static struct stream_group *group;
static struct stream_groups_picture *picture;

static void add_examples(void)
{
    struct stream_consumer *consumer;

    group = add_group("");
    stream_group_set_last_id(group, (struct stream_id){ 3, 4 });
    stream_group_set_entries_read(group, 17);
    consumer = add_consumer(group, "");
    stream_consumer_set_active(consumer, 33);
    consumer = add_consumer(group, "zoe");
    for (unsigned i = 1; i <= 100; i++)
        deliver(group, i % 10 == 0 ? NULL : consumer, i, i % 10 == 0 ? 0 : 1000 - i);
    deliver(group, consumer, UINT64_MAX, 4);
    group = add_group("other");
    deliver(group, NULL, 5, 0);
    add_group("third");
}

START_TEST(a_picture_outlives_its_groups)
{
    struct stream_groups *loaded;
    size_t size, again_size;
    uint8_t *bytes, *again;

    open_groups();
    add_examples();
    picture = take_picture();
    stream_groups_destroy(groups);
    bytes = read_picture(picture, 1, &size);
    stream_groups_picture_drop(picture);
    ck_assert_int_eq(load_groups(slice_of(bytes, size), 1, &loaded), 0);
    groups = loaded;
    stream_groups_check(groups);
    group = stream_groups_at(groups, 0);
    ck_assert_int_eq(stream_group_entries_read(group), 17);
    ck_assert_uint_eq(stream_group_last_id(group).seq, 4);
    ck_assert_uint_eq(stream_consumer_active_ms(stream_group_consumer_at(group, 0)), 33);
    ck_assert_uint_eq(stream_consumer_active_ms(stream_group_consumer_at(group, 1)),
                      STREAM_NEVER_ACTIVE);
    picture = take_picture();
    again = read_picture(picture, 777, &again_size);
    ck_assert_uint_eq(size, again_size);
    ck_assert_mem_eq(bytes, again, size);
    free(bytes);
    free(again);
    stream_groups_picture_drop(picture);
    close_groups();
}
END_TEST

/* A pointer for each and its place: all else is read when the picture is. */
START_TEST(who_takes_a_picture_looks_at_no_consumer)
{
    enum { CONSUMERS = 1000, NAME_BYTES = 100, OVERHEAD_BYTES = 8192 };
    uint64_t before;

    open_groups();
    group = add_group("g");
    for (int i = 0; i < CONSUMERS; i++) {
        char name[NAME_BYTES + 1];

        (void)snprintf(name, sizeof(name), "%0*d", NAME_BYTES, i);
        add_consumer(group, name);
    }
    before = stream_group_store_memory_bytes(store);
    picture = take_picture();
    ck_assert_uint_gt(stream_groups_picture_size(picture), CONSUMERS * NAME_BYTES);
    ck_assert_uint_lt(stream_group_store_memory_bytes(store) - before,
                      CONSUMERS * (sizeof(void *) + sizeof(uint32_t)) + OVERHEAD_BYTES);
    stream_groups_picture_drop(picture);
    close_groups();
}
END_TEST

/* Consumers go, others come who get their numbers, and all that was theirs; at the end the group
 * goes. _i 0: nothing had been read by then; otherwise so many bytes. */
START_TEST(a_picture_is_of_the_consumers_that_there_were)
{
    static const size_t read_before[] = { 0, 60, 100, 200 };
    struct stream_consumer *gone;
    uint8_t part[200], *all;
    size_t size, begin = read_before[_i];

    open_groups();
    add_examples();
    group = stream_groups_at(groups, 0);
    picture = take_picture();
    all = read_picture(picture, 100, &size);
    stream_groups_picture_drop(picture);
    picture = take_picture();
    if (begin > 0) {
        ck_assert_uint_eq(stream_groups_picture_read(picture, part, begin), begin);
        ck_assert_mem_eq(part, all, begin);
    }
    gone = stream_group_find_consumer(group, SLICE_LITERAL("zoe"));
    ck_assert_int_gt(stream_consumer_drop(group, gone, UINT64_MAX), 0);
    stream_group_remove_consumer(group, gone);
    gone = stream_group_find_consumer(group, SLICE_LITERAL(""));
    stream_group_remove_consumer(group, gone);
    deliver(group, add_consumer(group, "adam"), 7, 7);
    deliver(group, add_consumer(group, "eve"), 8, 8);
    stream_groups_check(groups);
    stream_groups_remove(groups, group);
    while (stream_group_store_tick(store, 10)) {}
    for (; begin < size; begin += 50) {
        size_t left = size - begin < 50 ? size - begin : 50;

        ck_assert_uint_eq(stream_groups_picture_read(picture, part, 50), left);
        ck_assert_mem_eq(part, all + begin, left);
    }
    stream_groups_picture_drop(picture);
    free(all);
    close_groups();
}
END_TEST

/* Consumers' lists are shared with views: what is refused memory for a copy changes nothing. */
START_TEST(what_a_view_shares_is_copied_or_stays)
{
    struct stream_consumer *from, *to;
    struct stream_group_view *view;
    const struct stream_consumer *seen;
    struct stream_pending pending;
    unsigned refused_at = 1;
    int rc;

    open_groups();
    group = add_group("g");
    from = add_consumer(group, "from");
    to = add_consumer(group, "to");
    for (unsigned i = 1; i <= 500; i++)
        deliver(group, from, i, i);
    ck_assert_int_eq(stream_group_view_create(group, 1, &view), 0);
    seen = stream_group_view_add(view, from);
    pending = (struct stream_pending){ { 250, 0 }, to, 1000, 2 };
    do {
        allocation_count = 0;
        refuse_every = refused_at++;
        rc = refused_at % 2 ? stream_group_set_pending(group, &pending)
                            : stream_group_acknowledge(group, pending.id);
        refuse_every = 0;
        stream_groups_check(groups);
    } while (rc < 0);
    ck_assert_uint_gt(refused_at, 4); /* the group's way is copied, and the consumer's */
    for (unsigned i = 1; i <= 500; i++) {
        ck_assert_int_eq(stream_group_next_pending(stream_group_view_group(view), seen,
                                                   (struct stream_id){ i, 0 }, STREAM_ANY_TIME_MS,
                                                   &pending),
                         1);
        ck_assert_uint_eq(pending.id.ms, i);
        ck_assert_uint_eq(pending.delivered_ms, i);
    }
    stream_group_view_drop(view);
    close_groups();
}
END_TEST

/* Of a large view some goes at a time. */
START_TEST(a_view_that_is_dropped_goes_in_slices)
{
    enum { CONSUMERS = 500 };
    struct stream_group_view *view;
    unsigned ticks = 0;

    open_groups();
    group = add_group("g");
    for (unsigned i = 1; i <= CONSUMERS; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "%u", i);
        deliver(group, add_consumer(group, name), i, i);
    }
    ck_assert_int_eq(stream_group_view_create(group, CONSUMERS, &view), 0);
    for (unsigned i = 0; i < CONSUMERS; i++)
        (void)stream_group_view_add(view, stream_group_consumer_at(group, i));
    stream_groups_remove(groups, group);
    ck_assert(!stream_group_store_tick(store, 10)); /* it is held */
    stream_group_view_drop(view);
    while (stream_group_store_tick(store, 10))
        ticks++;
    ck_assert_uint_gt(ticks, 2 * CONSUMERS / 10);
    close_groups();
}
END_TEST

/* However many are asked for between two ticks. */
START_TEST(who_makes_views_frees_those_that_were_dropped)
{
    enum { CONSUMERS = 500, VIEWS = 50 };
    uint64_t before, one = 0;

    open_groups();
    group = add_group("g");
    for (unsigned i = 1; i <= CONSUMERS; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "%u", i);
        deliver(group, add_consumer(group, name), i, i);
    }
    before = stream_group_store_memory_bytes(store);
    for (unsigned k = 1; k <= VIEWS; k++) {
        struct stream_group_view *view;

        ck_assert_int_eq(stream_group_view_create(group, CONSUMERS, &view), 0);
        for (unsigned i = 0; i < CONSUMERS; i++)
            (void)stream_group_view_add(view, stream_group_consumer_at(group, i));
        if (k == 1) one = stream_group_store_memory_bytes(store) - before;
        stream_group_view_drop(view);
        /* What was shared with it is copied, and goes with it. */
        ck_assert_int_eq(stream_group_acknowledge(group, (struct stream_id){ k, 0 }), 1);
    }
    ck_assert_uint_le(stream_group_store_memory_bytes(store) - before, 3 * one);
    close_groups();
}
END_TEST

/* Whatever bytes come: an error, or groups that hold together. */
static void load_anything(struct slice bytes)
{
    struct stream_groups *loaded;
    int rc = load_groups(bytes, 64, &loaded);

    if (rc < 0) {
        ck_assert_int_eq(rc, -EBADMSG);
        return;
    }
    stream_groups_check(loaded);
    stream_groups_destroy(loaded);
}

START_TEST(damaged_pictures_are_refused_or_hold_together)
{
    struct stream_groups *loaded;
    size_t size;
    uint8_t *bytes;

    open_groups();
    add_examples();
    picture = take_picture();
    bytes = read_picture(picture, 100, &size);
    stream_groups_picture_drop(picture);
    for (size_t at = 0; at < size; at++) {
        ck_assert_int_eq(load_groups(slice_of(bytes, at), 99, &loaded), -EBADMSG);
        for (int bit = 0; bit < 8; bit++) {
            bytes[at] ^= (uint8_t)(1 << bit);
            load_anything(slice_of(bytes, size));
            bytes[at] ^= (uint8_t)(1 << bit);
        }
        (void)stream_group_store_tick(store, 100);
    }
    bytes[size] = 0; /* read_picture leaves room */
    ck_assert_int_eq(load_groups(slice_of(bytes, size + 1), 99, &loaded), -EBADMSG);
    free(bytes);
    close_groups();
}
END_TEST

START_TEST(without_memory_nothing_is_loaded_and_nothing_leaks)
{
    struct stream_groups *loaded = NULL;
    size_t size;
    uint8_t *bytes;
    unsigned number = 1;
    int rc;

    open_groups();
    add_examples();
    picture = take_picture();
    bytes = read_picture(picture, 100, &size);
    stream_groups_picture_drop(picture);
    do {
        allocation_count = 0;
        refuse_every = number++;
        rc = load_groups(slice_of(bytes, size), 99, &loaded);
        refuse_every = 0;
        ck_assert(rc == 0 || rc == -ENOMEM);
    } while (rc < 0);
    stream_groups_destroy(loaded);
    free(bytes);
    close_groups();
}
END_TEST

/* What is shared with a picture has to be copied first. */
START_TEST(an_id_is_forgotten_by_all_groups_or_by_none)
{
    enum { PENDING = 500, GROUPS = 3 };
    static const char *const names[GROUPS] = { "a", "b", "c" };
    const struct stream_id id = { PENDING / 2, 0 };
    struct stream_group *all[GROUPS];
    unsigned refused_at = 1;
    int rc;

    open_groups();
    for (int i = 0; i < GROUPS; i++) {
        struct stream_consumer *consumer;

        all[i] = add_group(names[i]);
        consumer = add_consumer(all[i], "c");
        for (unsigned k = 1; k <= PENDING; k++)
            deliver(all[i], consumer, k, k);
    }
    picture = take_picture();
    for (;; refused_at++) {
        allocation_count = 0;
        refuse_every = refused_at;
        rc = stream_groups_forget(groups, id);
        refuse_every = 0;
        if (rc != -ENOMEM) break;
        for (int i = 0; i < GROUPS; i++)
            ck_assert_int_eq(stream_group_find_pending(all[i], id, NULL), 1);
        stream_groups_check(groups);
    }
    ck_assert_int_eq(rc, GROUPS);
    ck_assert_uint_gt(refused_at, 2);
    for (int i = 0; i < GROUPS; i++)
        ck_assert_int_eq(stream_group_find_pending(all[i], id, NULL), 0);
    stream_groups_check(groups);
    stream_groups_picture_drop(picture);
    close_groups();
}
END_TEST

START_TEST(what_was_prepared_is_forgotten_without_memory)
{
    const struct stream_id id = { 50, 0 };

    open_groups();
    add_examples();
    picture = take_picture();
    ck_assert_int_eq(stream_groups_prepare_forgetting(groups, id), 0);
    refuse_every = 1;
    ck_assert_int_eq(stream_groups_forget(groups, id), 1);
    ck_assert_int_eq(stream_groups_forget(groups, (struct stream_id){ 60, 1 }), 0);
    refuse_every = 0;
    stream_groups_check(groups);
    stream_groups_picture_drop(picture);
    close_groups();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pictures of groups");
    TCase *tcase = test_suite_case(suite, "pictures", NULL, NULL);

    tcase_add_test(tcase, a_picture_outlives_its_groups);
    tcase_add_test(tcase, who_takes_a_picture_looks_at_no_consumer);
    tcase_add_loop_test(tcase, a_picture_is_of_the_consumers_that_there_were, 0, 4);
    tcase_add_test(tcase, what_a_view_shares_is_copied_or_stays);
    tcase_add_test(tcase, a_view_that_is_dropped_goes_in_slices);
    tcase_add_test(tcase, who_makes_views_frees_those_that_were_dropped);
    tcase_add_test(tcase, damaged_pictures_are_refused_or_hold_together);
    tcase_add_test(tcase, without_memory_nothing_is_loaded_and_nothing_leaks);
    tcase_add_test(tcase, an_id_is_forgotten_by_all_groups_or_by_none);
    tcase_add_test(tcase, what_was_prepared_is_forgotten_without_memory);
    return test_suite_run(suite);
}
