#include "modules/base/random.h"
#include "modules/base/test_soak.h"
#include "modules/base/test_suite.h"
#include "modules/pool/chain.h"
#include "modules/pool/packet.h"
#include "modules/pool/pool.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

enum { BUFFER = POOL_BUFFER_BYTES };

static struct {
    struct pool *pool;
    struct chain chain;
} fixture;

static void set_up(void)
{
    ck_assert_int_eq(pool_create(8 * BUFFER, &fixture.pool), 0);
    chain_init(&fixture.chain, fixture.pool);
}

static void tear_down(void)
{
    struct pool_info info;
    chain_clear(&fixture.chain);
    chain_check(&fixture.chain);
    pool_info(fixture.pool, &info);
    ck_assert_uint_eq(info.in_use_bytes, 0);
    ck_assert_uint_eq(info.overflow_bytes, 0);
    pool_destroy(fixture.pool);
}

static size_t in_use(void)
{
    struct pool_info info;
    pool_info(fixture.pool, &info);
    return info.in_use_bytes;
}

static struct chain_info info_of(const struct chain *chain)
{
    struct chain_info info;
    chain_info(chain, &info);
    return info;
}

/* Copies all that the chain shows, piece by piece of at most `step` bytes, consuming it. */
static size_t drain(struct chain *chain, uint8_t *out, size_t step)
{
    size_t total = 0;
    while (chain_bytes(chain) > 0) {
        struct iovec pieces[3];
        unsigned count = chain_fill(chain, pieces, 3);
        size_t taken = 0;
        ck_assert_uint_gt(count, 0);
        for (unsigned i = 0; i < count && taken < step; i++) {
            size_t part = pieces[i].iov_len < step - taken ? pieces[i].iov_len : step - taken;
            ck_assert_uint_gt(pieces[i].iov_len, 0);
            memcpy(out + total + taken, pieces[i].iov_base, part);
            taken += part;
        }
        chain_consume(chain, taken);
        chain_check(chain);
        total += taken;
    }
    return total;
}

static void expect_content(struct chain *chain, const char *text)
{
    uint8_t *out = malloc(chain_bytes(chain) + 1);
    size_t size = drain(chain, out, SIZE_MAX);
    out[size] = '\0';
    ck_assert_str_eq((char *)out, text);
    free(out);
}

START_TEST(small_replies_share_one_buffer_and_one_piece)
{
    struct iovec piece[2];
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(chain_append(&fixture.chain, "+OK\r\n", 5), 0);
    ck_assert_uint_eq(chain_bytes(&fixture.chain), 5000);
    ck_assert_uint_eq(in_use(), BUFFER);
    ck_assert_uint_eq(chain_fill(&fixture.chain, piece, 2), 1);
    ck_assert_uint_eq(piece[0].iov_len, 5000);
    ck_assert_mem_eq((char *)piece[0].iov_base + 4995, "+OK\r\n", 5);
    chain_check(&fixture.chain);
}
END_TEST

START_TEST(a_chain_consumed_to_its_end_holds_nothing)
{
    ck_assert_int_eq(chain_append(&fixture.chain, "abcdef", 6), 0);
    chain_consume(&fixture.chain, 4);
    ck_assert_uint_eq(chain_bytes(&fixture.chain), 2);
    ck_assert_uint_eq(in_use(), BUFFER);
    chain_consume(&fixture.chain, 2);
    ck_assert_uint_eq(in_use(), 0);
    chain_consume(&fixture.chain, 0);
    ck_assert_ptr_nonnull(chain_reserve(&fixture.chain, 10)); /* reserved, nothing committed */
    chain_consume(&fixture.chain, 0);
    ck_assert_uint_eq(in_use(), 0);
}
END_TEST

START_TEST(appends_of_any_size_come_out_in_order)
{
    enum { SIZE = 100000 };
    uint8_t *bytes = malloc(SIZE), *out = malloc(SIZE);
    size_t at = 0;
    struct random random;
    random_init(&random, 3);
    random_fill(&random, bytes, SIZE);
    while (at < SIZE) {
        size_t size = random_below(&random, (uint64_t)_i) + 1;
        if (size > SIZE - at) size = SIZE - at;
        ck_assert_int_eq(chain_append(&fixture.chain, bytes + at, size), 0);
        at += size;
    }
    chain_check(&fixture.chain);
    ck_assert_uint_eq(drain(&fixture.chain, out, 7777), SIZE);
    ck_assert_mem_eq(out, bytes, SIZE);
    free(bytes);
    free(out);
}
END_TEST

START_TEST(empty_appends_do_nothing)
{
    ck_assert_int_eq(chain_append(&fixture.chain, "", 0), 0);
    ck_assert_int_eq(chain_append_slice(&fixture.chain, slice_of(NULL, 0)), 0);
    ck_assert_uint_eq(in_use(), 0);
    ck_assert_int_eq(chain_append(&fixture.chain, "a", 1), 0);
    ck_assert_int_eq(chain_append_slice(&fixture.chain, slice_of(NULL, 0)), 0);
    expect_content(&fixture.chain, "a");
}
END_TEST

START_TEST(reserved_room_is_sent_as_far_as_it_was_committed)
{
    uint8_t *room;
    ck_assert_int_eq(chain_append(&fixture.chain, "ab", 2), 0);
    room = chain_reserve(&fixture.chain, 100);
    ck_assert_ptr_nonnull(room);
    memset(room, 'c', 5);
    chain_commit(&fixture.chain, 3);
    ck_assert_int_eq(chain_append(&fixture.chain, "!", 1), 0);
    ck_assert_uint_eq(chain_bytes(&fixture.chain), 6);
    expect_content(&fixture.chain, "abccc!");
}
END_TEST

START_TEST(reserving_more_than_a_buffer_takes_the_heap)
{
    uint8_t *room, *out = malloc(100002);
    ck_assert_int_eq(chain_append(&fixture.chain, "a", 1), 0);
    room = chain_reserve(&fixture.chain, 100000);
    ck_assert_ptr_nonnull(room);
    memset(room, 'b', 100000);
    chain_commit(&fixture.chain, 100000);
    ck_assert_int_eq(chain_append(&fixture.chain, "c", 1), 0);
    ck_assert_uint_ge(info_of(&fixture.chain).heap_bytes, 100000);
    chain_check(&fixture.chain);
    ck_assert_uint_eq(drain(&fixture.chain, out, 50000), 100002);
    ck_assert_int_eq(out[0], 'a');
    ck_assert_int_eq(out[1], 'b');
    ck_assert_int_eq(out[100000], 'b');
    ck_assert_int_eq(out[100001], 'c');
    free(out);
}
END_TEST

static unsigned released_count;

static void count_release(struct packet *packet)
{
    (void)packet;
    released_count++;
}

START_TEST(a_packet_lies_in_several_chains_and_is_released_once)
{
    struct packet packet;
    struct chain other;
    struct iovec pieces[4];
    released_count = 0;
    chain_init(&other, fixture.pool);
    packet_init(&packet, SLICE_LITERAL("payload"), count_release);
    ck_assert_int_eq(chain_append(&fixture.chain, "$7\r\n", 4), 0);
    ck_assert_int_eq(chain_append_packet(&fixture.chain, &packet), 0);
    ck_assert_int_eq(chain_append(&fixture.chain, "\r\n", 2), 0);
    ck_assert_int_eq(chain_append_packet(&other, &packet), 0);
    ck_assert_int_eq(chain_append_packet_part(&other, &packet, 3, 2), 0);
    ck_assert_int_eq(chain_append_packet_part(&other, &packet, 7, 0), 0);
    packet_unref(&packet);
    chain_check(&other);
    ck_assert_uint_eq(info_of(&other).packet_bytes, 9);
    ck_assert_uint_eq(chain_fill(&fixture.chain, pieces, 4), 3);
    ck_assert_ptr_eq(pieces[1].iov_base, packet.payload.bytes); /* not copied */
    ck_assert_uint_eq(chain_fill(&fixture.chain, pieces, 2), 2);
    expect_content(&fixture.chain, "$7\r\npayload\r\n");
    ck_assert_uint_eq(released_count, 0);
    chain_consume(&other, 3);
    ck_assert_uint_eq(info_of(&other).packet_bytes, 6);
    chain_clear(&other);
    ck_assert_uint_eq(released_count, 1);
}
END_TEST

START_TEST(packets_and_small_bytes_between_them_share_buffers)
{
    enum { COUNT = 100 };
    struct packet *packet = NULL;
    uint8_t *out = malloc(COUNT * 9);
    ck_assert_int_eq(packet_create(SLICE_LITERAL("12345"), &packet), 0);
    for (int i = 0; i < COUNT; i++) {
        ck_assert_int_eq(chain_append(&fixture.chain, "<<", 2), 0);
        ck_assert_int_eq(chain_append_packet(&fixture.chain, packet), 0);
        ck_assert_int_eq(chain_append(&fixture.chain, ">>", 2), 0);
    }
    packet_unref(packet);
    chain_check(&fixture.chain);
    ck_assert_uint_eq(info_of(&fixture.chain).pooled_bytes, BUFFER);
    ck_assert_uint_eq(drain(&fixture.chain, out, 10), COUNT * 9);
    for (int i = 0; i < COUNT; i++)
        ck_assert_mem_eq(out + i * 9, "<<12345>>", 9);
    free(out);
}
END_TEST

START_TEST(a_dry_pool_is_replaced_by_counted_heap)
{
    enum { SIZE = 12 * BUFFER };
    uint8_t *bytes = malloc(SIZE), *out = malloc(2 * SIZE);
    struct pool_info info;
    struct packet *packet = NULL;
    memset(bytes, 'x', SIZE);
    ck_assert_int_eq(packet_create(SLICE_LITERAL("p"), &packet), 0);
    ck_assert_int_eq(chain_append(&fixture.chain, bytes, SIZE), 0);
    pool_info(fixture.pool, &info);
    ck_assert_uint_eq(info.in_use_bytes, 8 * BUFFER);
    ck_assert_uint_gt(info.overflow_bytes, 3 * BUFFER);
    ck_assert_uint_eq(info_of(&fixture.chain).heap_bytes, info.overflow_bytes);
    for (int i = 0; i < 2000; i++) {
        ck_assert_int_eq(chain_append(&fixture.chain, "small", 5), 0);
        ck_assert_int_eq(chain_append_packet(&fixture.chain, packet), 0);
    }
    packet_unref(packet);
    chain_check(&fixture.chain);
    ck_assert_uint_eq(drain(&fixture.chain, out, 5000), SIZE + 2000 * 6);
    ck_assert_mem_eq(out + SIZE, "smallpsmallp", 12);
    free(bytes);
    free(out);
}
END_TEST

START_TEST(without_any_memory_nothing_changes)
{
    enum { SIZE = 12 * BUFFER };
    uint8_t *bytes = malloc(SIZE);
    struct packet packet;
    memset(bytes, 'y', SIZE);
    packet_init(&packet, SLICE_LITERAL("p"), count_release);
    pool_set_overflow_limit(fixture.pool, 10000);
    for (size_t before = 0; before <= 8; before += 4) { /* chain empty, or holding something */
        if (before > 0) ck_assert_int_eq(chain_append(&fixture.chain, "abcd", 4), 0);
        ck_assert_int_eq(chain_append(&fixture.chain, bytes, SIZE), -ENOMEM);
        ck_assert_uint_eq(chain_bytes(&fixture.chain), before);
        ck_assert_uint_eq(in_use(), before > 0 ? BUFFER : 0);
        ck_assert_ptr_null(chain_reserve(&fixture.chain, SIZE));
        ck_assert_ptr_null(chain_reserve(&fixture.chain, SIZE_MAX));
        chain_check(&fixture.chain);
    }
    expect_content(&fixture.chain, "abcdabcd");
    pool_set_limit(fixture.pool, 0);
    pool_set_overflow_limit(fixture.pool, 0);
    ck_assert_int_eq(chain_append_packet(&fixture.chain, &packet), -ENOMEM);
    ck_assert_int_eq(chain_append(&fixture.chain, "a", 1), -ENOMEM);
    ck_assert_uint_eq(packet.ref_count, 1);
    ck_assert_uint_eq(chain_bytes(&fixture.chain), 0);
    free(bytes);
}
END_TEST

START_TEST(a_cut_drops_what_came_after_the_mark)
{
    struct packet packet;
    struct chain_mark mark;
    uint8_t *bytes = calloc(3, BUFFER);
    released_count = 0;
    packet_init(&packet, SLICE_LITERAL("packet"), count_release);
    mark = chain_mark(&fixture.chain); /* of the empty chain */
    ck_assert_int_eq(chain_append(&fixture.chain, "gone", 4), 0);
    chain_cut(&fixture.chain, mark);
    ck_assert_uint_eq(in_use(), 0);
    ck_assert_int_eq(chain_append(&fixture.chain, "ab", 2), 0);
    ck_assert_int_eq(chain_append_packet(&fixture.chain, &packet), 0);
    ck_assert_int_eq(chain_append(&fixture.chain, "cd", 2), 0);
    mark = chain_mark(&fixture.chain);
    ck_assert_int_eq(chain_append(&fixture.chain, "gone", 4), 0);
    chain_cut(&fixture.chain, mark);
    chain_check(&fixture.chain);
    ck_assert_int_eq(chain_append_packet(&fixture.chain, &packet), 0);
    ck_assert_int_eq(chain_append(&fixture.chain, bytes, 3 * BUFFER), 0);
    ck_assert_int_eq(chain_append_packet(&fixture.chain, &packet), 0);
    chain_cut(&fixture.chain, mark);
    chain_check(&fixture.chain);
    ck_assert_uint_eq(packet.ref_count, 2);
    ck_assert_uint_eq(in_use(), BUFFER);
    ck_assert_int_eq(chain_append(&fixture.chain, "ef", 2), 0);
    expect_content(&fixture.chain, "abpacketcdef");
    packet_unref(&packet);
    ck_assert_uint_eq(released_count, 1);
    free(bytes);
}
END_TEST

START_TEST(moving_keeps_order_and_empties_the_source)
{
    struct chain from;
    struct packet packet;
    packet_init(&packet, SLICE_LITERAL("P"), count_release);
    chain_init(&from, fixture.pool);
    chain_move(&fixture.chain, &from); /* nothing to nothing */
    ck_assert_int_eq(chain_append(&from, "a", 1), 0);
    chain_move(&fixture.chain, &from); /* into the empty chain */
    ck_assert_int_eq(chain_append(&from, "b", 1), 0);
    chain_move(&fixture.chain, &from); /* small: copied */
    ck_assert_uint_eq(in_use(), BUFFER);
    ck_assert_int_eq(chain_append(&from, "c", 1), 0);
    ck_assert_int_eq(chain_append_packet(&from, &packet), 0);
    ck_assert_int_eq(chain_append(&from, "d", 1), 0);
    chain_move(&fixture.chain, &from); /* with a packet: linked */
    ck_assert_uint_eq(chain_bytes(&from), 0);
    chain_check(&from);
    chain_check(&fixture.chain);
    ck_assert_int_eq(chain_append(&fixture.chain, "e", 1), 0);
    ck_assert_int_eq(chain_append(&from, "z", 1), 0);
    expect_content(&from, "z");
    expect_content(&fixture.chain, "abcPde");
}
END_TEST

/* Random operations on two chains beside plain arrays that hold what should come out. */
enum { MODEL_BYTES_MAX = 1 << 20 };
struct model {
    struct chain chain;
    uint8_t *bytes;
    size_t begin, end;
};

static void model_append(struct model *model, const uint8_t *bytes, size_t size)
{
    if (model->end + size > MODEL_BYTES_MAX) {
        memmove(model->bytes, model->bytes + model->begin, model->end - model->begin);
        model->end -= model->begin;
        model->begin = 0;
    }
    ck_assert_uint_le(model->end + size, MODEL_BYTES_MAX);
    memcpy(model->bytes + model->end, bytes, size);
    model->end += size;
}

static void model_consume(struct model *model, struct random *random)
{
    struct iovec pieces[5];
    unsigned count = chain_fill(&model->chain, pieces, 5);
    size_t shown = 0, taken;
    for (unsigned i = 0; i < count; i++) {
        ck_assert_mem_eq(model->bytes + model->begin + shown, pieces[i].iov_base,
                         pieces[i].iov_len);
        shown += pieces[i].iov_len;
    }
    taken = random_below(random, shown + 1);
    chain_consume(&model->chain, random_below(random, 4) == 0 ? taken : shown);
    model->begin = model->end - chain_bytes(&model->chain);
}

static void model_step(struct model *models, struct random *random, const uint8_t *source)
{
    struct model *model = &models[random_below(random, 2)];
    size_t size = random_below(random, random_below(random, 50) == 0 ? 40000 : 300);
    const uint8_t *from = source + random_below(random, 1000);
    struct chain_mark mark;
    struct packet *packet;
    uint8_t *room;
    if (chain_bytes(&model->chain) > 200000) {
        model_consume(model, random);
        return;
    }
    switch (random_below(random, 8)) {
    case 0:
        ck_assert_int_eq(packet_create(slice_of(from, size), &packet), 0);
        ck_assert_int_eq(chain_append_packet(&model->chain, packet), 0);
        packet_unref(packet);
        model_append(model, from, size);
        break;
    case 1:
        room = chain_reserve(&model->chain, size + 1);
        ck_assert_ptr_nonnull(room);
        memcpy(room, from, size);
        chain_commit(&model->chain, size);
        model_append(model, from, size);
        break;
    case 2:
        mark = chain_mark(&model->chain);
        ck_assert_int_eq(chain_append(&model->chain, from, size), 0);
        ck_assert_int_eq(packet_create(slice_of(from, size), &packet), 0);
        ck_assert_int_eq(chain_append_packet(&model->chain, packet), 0);
        packet_unref(packet);
        chain_cut(&model->chain, mark);
        break;
    case 3:
        model_consume(model, random);
        break;
    case 4:
        if (random_below(random, 10) > 0) break;
        model_append(&models[0], models[1].bytes + models[1].begin,
                     models[1].end - models[1].begin);
        chain_move(&models[0].chain, &models[1].chain);
        models[1].begin = models[1].end = 0;
        break;
    default:
        ck_assert_int_eq(chain_append(&model->chain, from, size), 0);
        model_append(model, from, size);
    }
    ck_assert_uint_eq(chain_bytes(&model->chain), model->end - model->begin);
    chain_check(&model->chain);
}

START_TEST(any_order_of_calls_sends_the_right_bytes)
{
    struct random random;
    struct model models[2];
    uint8_t *source = malloc(50000);
    random_init(&random, (uint64_t)_i + 1000 * soak_seed());
    random_fill(&random, source, 50000);
    for (int i = 0; i < 2; i++) {
        models[i] = (struct model){ .bytes = malloc(MODEL_BYTES_MAX) };
        chain_init(&models[i].chain, fixture.pool);
    }
    for (int step = 0; step < 5000; step++)
        model_step(models, &random, source);
    for (int i = 0; i < 2; i++) {
        uint8_t *out = malloc(chain_bytes(&models[i].chain) + 1);
        size_t size = drain(&models[i].chain, out, 10000);
        ck_assert_uint_eq(size, models[i].end - models[i].begin);
        ck_assert_mem_eq(out, models[i].bytes + models[i].begin, size);
        free(out);
        free(models[i].bytes);
    }
    free(source);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("chain");
    TCase *cases = test_suite_case(suite, "all", set_up, tear_down);

    tcase_add_test(cases, small_replies_share_one_buffer_and_one_piece);
    tcase_add_test(cases, a_chain_consumed_to_its_end_holds_nothing);
    for (int size = 1; size <= 65536; size *= 16) {
        tcase_add_loop_test(cases, appends_of_any_size_come_out_in_order, size, size + 1);
    }
    tcase_add_test(cases, empty_appends_do_nothing);
    tcase_add_test(cases, reserved_room_is_sent_as_far_as_it_was_committed);
    tcase_add_test(cases, reserving_more_than_a_buffer_takes_the_heap);
    tcase_add_test(cases, a_packet_lies_in_several_chains_and_is_released_once);
    tcase_add_test(cases, packets_and_small_bytes_between_them_share_buffers);
    tcase_add_test(cases, a_dry_pool_is_replaced_by_counted_heap);
    tcase_add_test(cases, without_any_memory_nothing_changes);
    tcase_add_test(cases, a_cut_drops_what_came_after_the_mark);
    tcase_add_test(cases, moving_keeps_order_and_empties_the_source);
    tcase_add_loop_test(cases, any_order_of_calls_sends_the_right_bytes, 0, 20);
    return test_suite_run(suite);
}
