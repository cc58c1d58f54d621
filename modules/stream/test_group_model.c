/* Groups against plain arrays: whatever is delivered, claimed, given back and acknowledged, in any
 * order, with memory refused and pictures taken now and then, is found as the arrays have it. */
#include "modules/base/random.h"
#include "modules/base/test_soak.h"
#include "modules/base/test_suite.h"
#include "modules/stream/group.h"
#include "modules/stream/test_group_fixture.h"

#include <errno.h>
#include <stdio.h>

enum { CONSUMERS = 4 };

/* What should be pending: by the number of its id. */
struct modelled {
    bool is_there;
    int consumer; /* -1: nobody's */
    uint64_t delivered_ms, delivery_count, release_number;
};

static struct stream_group *group;
static struct stream_consumer *consumers[CONSUMERS];
static struct modelled *model;
static unsigned model_size;
static uint64_t release_number;

static void open_model(unsigned size)
{
    open_groups();
    group = add_group("g");
    for (int i = 0; i < CONSUMERS; i++)
        consumers[i] = add_consumer(group, (char[]){ (char)('a' + i), 0 });
    model_size = size;
    model = calloc(size, sizeof(*model));
    release_number = 0;
}

static void close_model(void)
{
    free(model);
    close_groups();
}

static struct stream_id id_of(unsigned number)
{
    return (struct stream_id){ 1 + number / 3, number % 3 };
}

/* ---- what both are asked ---- */

static void expect_same(unsigned number, const struct stream_pending *pending)
{
    const struct modelled *expected = &model[number];

    ck_assert(expected->is_there);
    ck_assert(stream_id_compare(pending->id, id_of(number)) == 0);
    ck_assert_ptr_eq(pending->consumer,
                     expected->consumer < 0 ? NULL : consumers[expected->consumer]);
    ck_assert_uint_eq(pending->delivered_ms, expected->delivered_ms);
    ck_assert_uint_eq(pending->delivery_count, expected->delivery_count);
}

static unsigned model_next(int consumer, unsigned from, uint64_t delivered_max_ms)
{
    for (; from < model_size; from++) {
        const struct modelled *it = &model[from];
        if (it->is_there && it->delivered_ms <= delivered_max_ms &&
            (consumer < 0 || it->consumer == consumer))
            break;
    }
    return from;
}

static bool is_older(const struct modelled *a, const struct modelled *b)
{
    if ((a->consumer < 0) != (b->consumer < 0)) return a->consumer < 0;
    if (a->consumer < 0) return a->release_number < b->release_number;
    return a->delivered_ms < b->delivered_ms;
}

static void expect_next(int consumer, unsigned from, uint64_t delivered_max_ms)
{
    unsigned expected = model_next(consumer, from, delivered_max_ms);
    struct stream_pending pending;
    int rc = stream_group_next_pending(group, consumer < 0 ? NULL : consumers[consumer],
                                       id_of(from), delivered_max_ms, &pending);

    ck_assert_int_eq(rc, expected < model_size);
    if (rc) expect_same(expected, &pending);
}

static void expect_ends(void)
{
    unsigned oldest = model_size, last = model_size;
    struct stream_pending pending;

    for (unsigned i = 0; i < model_size; i++) {
        if (!model[i].is_there) continue;
        last = i;
        if (oldest == model_size || is_older(&model[i], &model[oldest])) oldest = i;
    }
    ck_assert_int_eq(stream_group_oldest_pending(group, &pending), last < model_size);
    if (last == model_size) return;
    expect_same(oldest, &pending);
    ck_assert_int_eq(stream_group_last_pending(group, &pending), 1);
    expect_same(last, &pending);
}

/* At most so many, in parts. */
static int64_t read_oldest(uint64_t delivered_max_ms, struct stream_pending *pending,
                           uint64_t pending_max)
{
    enum { PART = 33 };
    struct stream_oldest *oldest;
    uint64_t count = 0;
    int part;

    ck_assert_int_eq(stream_oldest_begin(group, delivered_max_ms, &oldest), 0);
    do {
        uint64_t left = pending_max - count;

        part = stream_oldest_next(oldest, pending + count, left < PART ? (unsigned)left : PART);
        ck_assert_int_ge(part, 0);
        count += (uint64_t)part;
    } while (part > 0);
    stream_oldest_end(oldest);
    return (int64_t)count;
}

/* Each is older than the next one, or has a smaller id; none that is old enough is left out. */
static void expect_oldest_of(uint64_t delivered_max_ms, uint64_t pending_max)
{
    struct stream_pending *pending = malloc((pending_max + 1) * sizeof(*pending));
    uint64_t old = 0;
    int64_t count = read_oldest(delivered_max_ms, pending, pending_max);
    const struct modelled *last = NULL;

    for (unsigned i = 0; i < model_size; i++)
        old += model[i].is_there && model[i].delivered_ms <= delivered_max_ms;
    ck_assert_int_eq(count, (int64_t)(old < pending_max ? old : pending_max));
    for (int64_t i = 0; i < count; i++) {
        unsigned number = (unsigned)((pending[i].id.ms - 1) * 3 + pending[i].id.seq);

        expect_same(number, &pending[i]);
        ck_assert(!last || is_older(last, &model[number]) ||
                  (!is_older(&model[number], last) && last < &model[number]));
        last = &model[number];
    }
    for (unsigned i = 0; last && i < model_size; i++)
        if (model[i].is_there && is_older(&model[i], last)) count--;
    ck_assert(!last || count >= 1);
    free(pending);
}

static void expect_counts(void)
{
    uint64_t count = 0, released = 0, of[CONSUMERS] = { 0 };

    for (unsigned i = 0; i < model_size; i++) {
        count += model[i].is_there;
        released += model[i].is_there && model[i].consumer < 0;
        if (model[i].is_there && model[i].consumer >= 0) of[model[i].consumer]++;
    }
    ck_assert_uint_eq(stream_group_pending_count(group), count);
    ck_assert_uint_eq(stream_group_released_count(group), released);
    for (int i = 0; i < CONSUMERS; i++)
        ck_assert_uint_eq(stream_consumer_pending_count(consumers[i]), of[i]);
}

/* ---- what both are told ---- */

static void set(unsigned number, int consumer, uint64_t delivered_ms, uint64_t count)
{
    struct stream_pending pending = { id_of(number), consumer < 0 ? NULL : consumers[consumer],
                                      consumer < 0 ? 0 : delivered_ms, count };
    int rc = stream_group_set_pending(group, &pending);

    if (rc == -ENOMEM && memory_was_refused()) return;
    ck_assert_int_eq(rc, 0);
    if (consumer < 0) release_number++;
    model[number] = (struct modelled){ true, consumer, pending.delivered_ms, count,
                                       consumer < 0 ? release_number : 0 };
}

static void acknowledge(unsigned number)
{
    int rc = stream_group_acknowledge(group, id_of(number));

    if (rc == -ENOMEM && memory_was_refused()) return;
    ck_assert_int_eq(rc, model[number].is_there);
    model[number].is_there = false;
}

static void change_at_random(struct random *random, unsigned center)
{
    unsigned number = (center + (unsigned)random_below(random, 64)) % model_size;

    if (random_below(random, 10) == 0) number = (unsigned)random_below(random, model_size);
    if (random_below(random, 2) == 0)
        set(number, (int)random_below(random, CONSUMERS + 1) - 1, random_below(random, 1000),
            random_below(random, 5));
    else
        acknowledge(number);
}

static void ask_at_random(struct random *random)
{
    unsigned from = (unsigned)random_below(random, model_size);
    struct stream_pending pending;

    expect_next((int)random_below(random, CONSUMERS + 1) - 1, from,
                random_below(random, 8) == 0 ? UINT32_MAX : random_below(random, 1000));
    ck_assert_int_eq(stream_group_find_pending(group, id_of(from), &pending), model[from].is_there);
    if (model[from].is_there) expect_same(from, &pending);
}

/* ---- pictures ---- */

static struct stream_groups_picture *picture;
static struct modelled *pictured; /* the model when it was taken */

static struct stream_group_view *view; /* of the same moment, with all consumers */

static void expect_seen(unsigned number, const struct stream_pending *pending)
{
    const struct modelled *expected = &pictured[number];

    ck_assert(expected->is_there);
    ck_assert(stream_id_compare(pending->id, id_of(number)) == 0);
    ck_assert_int_eq(pending->consumer != NULL, expected->consumer >= 0);
    if (pending->consumer)
        ck_assert_int_eq(stream_consumer_name(pending->consumer).bytes[0],
                         'a' + expected->consumer);
    ck_assert_uint_eq(pending->delivered_ms, expected->delivered_ms);
    ck_assert_uint_eq(pending->delivery_count, expected->delivery_count);
}

/* Of a consumer, or (-1) of all. */
static void expect_in_view(int consumer)
{
    const struct stream_group *seen = stream_group_view_group(view);
    const struct stream_consumer *of =
        consumer < 0 ? NULL : stream_group_consumer_at(seen, (uint32_t)consumer);
    struct stream_id from = STREAM_ID_MIN;
    uint64_t left = of ? stream_consumer_pending_count(of) : stream_group_pending_count(seen);

    for (unsigned i = 0; i < model_size; i++) {
        struct stream_pending pending;

        if (!pictured[i].is_there || (of && pictured[i].consumer != consumer)) continue;
        ck_assert_int_eq(stream_group_next_pending(seen, of, from, STREAM_ANY_TIME_MS, &pending),
                         1);
        expect_seen(i, &pending);
        from = pending.id;
        ck_assert(stream_id_increment(&from));
        left--;
    }
    ck_assert_uint_eq(left, 0);
}

static void take_view(void)
{
    ck_assert_int_eq(stream_group_view_create(group, CONSUMERS, &view), 0);
    for (unsigned i = 0; i < CONSUMERS; i++)
        (void)stream_group_view_add(view, stream_group_consumer_at(group, i));
}

static void forget_picture(void)
{
    for (int i = -1; view && i < CONSUMERS; i++)
        expect_in_view(i);
    stream_group_view_drop(view);
    view = NULL;
    stream_groups_picture_drop(picture);
    free(pictured);
    picture = NULL;
    pictured = NULL;
}

static void take_at_random(void)
{
    forget_picture();
    if (stream_groups_picture_take(groups, &picture) < 0) {
        ck_assert(memory_was_refused());
        return;
    }
    refuse_every = 0;
    pictured = malloc(model_size * sizeof(*model));
    memcpy(pictured, model, model_size * sizeof(*model));
    take_view();
}

/* What was loaded takes the place of the groups that there are. */
static void continue_with(struct stream_groups *loaded)
{
    stream_groups_destroy(groups);
    groups = loaded;
    group = stream_groups_find(groups, SLICE_LITERAL("g"));
    ck_assert_ptr_nonnull(group);
    for (int i = 0; i < CONSUMERS; i++)
        consumers[i] = stream_group_find_consumer(group, slice_of((char[]){ (char)('a' + i) }, 1));
}

static void go_back_to_picture(size_t step_bytes)
{
    struct stream_groups *loaded;
    size_t size;
    uint8_t *bytes;

    if (!picture) return;
    refuse_every = 0;
    bytes = read_picture(picture, step_bytes, &size);
    ck_assert_int_eq(load_groups(slice_of(bytes, size), step_bytes, &loaded), 0);
    free(bytes);
    continue_with(loaded);
    memcpy(model, pictured, model_size * sizeof(*model));
    for (unsigned i = 0; i < model_size; i++)
        if (model[i].is_there && model[i].release_number > release_number)
            release_number = model[i].release_number;
    forget_picture();
}

/* ---- tests ---- */

static void act_at_random(struct random *random, unsigned center, unsigned refuse)
{
    refuse_every = random_below(random, 4) == 0 ? refuse : 0;
    refused_count = 0;
    change_at_random(random, center);
    if (random_below(random, 500) == 0) take_at_random();
    refuse_every = 0;
    if (random_below(random, 2000) == 0) go_back_to_picture(1 + random_below(random, 5000));
    (void)stream_group_store_tick(store, 1);
}

START_TEST(what_is_pending_is_as_arrays_have_it)
{
    static const unsigned sizes[] = { 5, 100, 1000, 9000 };
    struct random random;
    unsigned size = sizes[_i % 4], step_max = soak_is_full() ? 400000 : 40000;

    ck_assert_uint_gt(size, 0);
    random_init(&random, soak_seed() + (uint64_t)_i);
    open_model(size);
    for (unsigned i = 0; i < size && size >= 1000; i++) /* enough for inner nodes in inner nodes */
        set(i, (int)(i % CONSUMERS), 500 + i % 7, 1);
    for (unsigned step = 0; step < step_max; step++) {
        act_at_random(&random, step / 4 % size, _i < 4 ? 0 : 3);
        if (step % 16 == 0) ask_at_random(&random);
        if (step % 2048 == 0) {
            stream_groups_check(groups);
            expect_counts();
            expect_ends();
            expect_oldest_of(random_below(&random, 1000), 1 + random_below(&random, 100));
            expect_oldest_of(random_below(&random, 1000), model_size);
        }
    }
    forget_picture();
    close_model();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group model");
    TCase *tcase = test_suite_case(suite, "model", NULL, NULL);

    tcase_add_loop_test(tcase, what_is_pending_is_as_arrays_have_it, 0, 8);
    return test_suite_run(suite);
}
