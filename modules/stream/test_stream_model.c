/* Random operations on streams in memory, compared with an array. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "modules/base/os.h"
#include "modules/base/random.h"
#include "modules/base/test_soak.h"
#include "modules/stream/stream.h"

enum { STEPS = 6000, MODEL_MAX = 40000, FIELDS_BYTES_MAX = 20000, NODE_ENTRIES = 7 };

/* What a stream should hold: every entry ever added, by its ordinal. */
struct model_entry {
    struct stream_id id;
    uint32_t field_count;
    uint32_t value_size;
    char letter;
    bool is_there;
};

static struct model_entry entries[MODEL_MAX]; /* index: ordinal */
static uint64_t model_end, model_start, model_count;
static struct stream_id model_max_deleted;
static struct stream_store *store;
static struct stream *stream;
static struct random dice;
static char fields_bytes[2 * FIELDS_BYTES_MAX];

/* ---- fields ---- */

/* Names are "f", values are letters: as much as tells entries apart. */
static struct slice fields_of(const struct model_entry *entry)
{
    size_t size = 0;

    for (uint32_t i = 0; i < entry->field_count; i += 2) {
        size += (size_t)sprintf(fields_bytes + size, "$1\r\nf\r\n$%u\r\n", entry->value_size);
        memset(fields_bytes + size, entry->letter, entry->value_size);
        size += entry->value_size;
        fields_bytes[size++] = '\r';
        fields_bytes[size++] = '\n';
    }
    return slice_of(fields_bytes, size);
}

static void expect_entry(const struct stream_entry *got, uint64_t ordinal)
{
    const struct model_entry *entry = &entries[ordinal];

    ck_assert_uint_eq(got->ordinal, ordinal);
    ck_assert_int_eq(stream_id_compare(got->id, entry->id), 0);
    ck_assert_uint_eq(got->field_count, entry->field_count);
    ck_assert(slice_equal(got->fields, fields_of(entry)));
}

/* ---- the model ---- */

static void move_start(void)
{
    while (model_start < model_end && !entries[model_start].is_there)
        model_start++;
}

static uint64_t first_not_less(struct stream_id id)
{
    uint64_t low = model_start, high = model_end;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (stream_id_compare(entries[middle].id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint64_t next_there(uint64_t ordinal)
{
    while (ordinal < model_end && !entries[ordinal].is_there)
        ordinal++;
    return ordinal;
}

static uint64_t count_there(uint64_t first, uint64_t end)
{
    uint64_t count = 0;

    for (uint64_t i = first > model_start ? first : model_start; i < end && i < model_end; i++)
        count += entries[i].is_there;
    return count;
}

/* An id near those there are: of an entry, beside one, or far away. */
static struct stream_id some_id(void)
{
    struct stream_id id;

    if (random_below(&dice, 10) == 0) return STREAM_ID_MIN;
    if (random_below(&dice, 10) == 0) return STREAM_ID_MAX;
    if (model_end == 1) return (struct stream_id){ random_below(&dice, 50), 0 };
    id = entries[1 + random_below(&dice, model_end - 1)].id;
    if (random_below(&dice, 3) == 0) (void)stream_id_increment(&id);
    if (random_below(&dice, 3) == 0) (void)stream_id_decrement(&id);
    return id;
}

/* ---- steps ---- */

static uint32_t some_size(void)
{
    uint64_t kind = random_below(&dice, 200);

    if (kind == 0) return (uint32_t)random_below(&dice, FIELDS_BYTES_MAX);
    if (kind < 20) return (uint32_t)random_below(&dice, 1000);
    return (uint32_t)random_below(&dice, 20);
}

static struct stream_id id_behind(struct stream_id id)
{
    switch (random_below(&dice, 4)) {
    case 0:
        id.seq += 1 + random_below(&dice, 300);
        return id;
    case 1:
        return (struct stream_id){ id.ms + 1 + random_below(&dice, 100000), random_next(&dice) };
    default:
        return (struct stream_id){ id.ms + 1 + random_below(&dice, 3), 0 };
    }
}

static void add(void)
{
    struct model_entry *entry = &entries[model_end];
    struct slice fields;

    if (model_end == MODEL_MAX) return;
    *entry = (struct model_entry){
        .id = id_behind(stream_last_id(stream)),
        .field_count = 2 * (1 + (uint32_t)random_below(&dice, 3)),
        .value_size = some_size(),
        .letter = (char)('a' + random_below(&dice, 26)),
        .is_there = true,
    };
    if (stream_id_compare(entry->id, stream_last_id(stream)) <= 0) return;
    if (entry->value_size > 5000) entry->field_count = 2;
    fields = fields_of(entry);
    ck_assert_int_eq(stream_reserve(stream, fields.size), 0);
    ck_assert_int_eq(stream_add(stream, entry->id, entry->field_count, fields), 0);
    model_end++;
    model_count++;
}

static void delete_one(void)
{
    struct stream_entry entry;
    struct stream_id id = some_id();
    uint64_t ordinal = first_not_less(id);
    bool is_there = ordinal < model_end && entries[ordinal].is_there &&
                    stream_id_compare(entries[ordinal].id, id) == 0;

    ck_assert_int_eq(stream_find(stream, id, &entry), is_there);
    if (!is_there) return;
    expect_entry(&entry, ordinal);
    ck_assert_int_eq(stream_delete(stream, ordinal, id), 1);
    ck_assert_int_eq(stream_delete(stream, ordinal, id), 0);
    entries[ordinal].is_there = false;
    model_count--;
    if (stream_id_compare(id, model_max_deleted) > 0) model_max_deleted = id;
    move_start();
}

static uint64_t model_trim_end(const struct stream_trim *trim)
{
    uint64_t ordinal = model_start, count = 0;

    while (ordinal < model_end) {
        if (trim->limit > 0 && count == trim->limit) break;
        if (trim->by_id ? stream_id_compare(entries[ordinal].id, trim->id) >= 0
                        : model_count - count <= trim->length) {
            break;
        }
        count++;
        ordinal = next_there(ordinal + 1);
    }
    if (!trim->is_approximate || ordinal == model_end) return ordinal;
    ordinal = (ordinal - 1) / NODE_ENTRIES * NODE_ENTRIES + 1;
    return ordinal > model_start ? ordinal : model_start;
}

static void trim(void)
{
    struct stream_trim how = {
        .by_id = random_below(&dice, 2) == 0,
        .length = model_count - random_below(&dice, model_count / 8 + 2),
        .id = some_id(),
        .is_approximate = random_below(&dice, 2) == 0,
        .limit = random_below(&dice, 3) == 0 ? 1 + random_below(&dice, 40) : 0,
    };
    uint64_t end, expected, removed;

    if (how.length > model_count && random_below(&dice, 50) > 0) how.length = model_count;
    if (how.by_id && !how.limit && random_below(&dice, 4) > 0) how.limit = 20;
    if (random_below(&dice, 100) == 0) how.length = 0;
    expected = model_trim_end(&how);
    ck_assert_int_eq(stream_trim_end(stream, &how, &end), 0);
    ck_assert_uint_eq(end, expected);
    removed = count_there(model_start, end);
    ck_assert_uint_eq(stream_trim(stream, end), removed);
    model_count -= removed;
    if (end > model_start) model_start = end;
    move_start();
}

static void look_up(void)
{
    struct stream_id id = some_id(), first;
    uint64_t ordinal, expected = first_not_less(id), from, to;

    ck_assert_int_eq(stream_ordinal_of(stream, id, &ordinal), 0);
    /* Deleted ones between may be forgotten. */
    ck_assert_uint_ge(ordinal, expected);
    ck_assert_uint_eq(next_there(ordinal), next_there(expected));
    ck_assert_int_eq(stream_first_id(stream, &first), model_count > 0);
    if (model_count > 0) ck_assert_int_eq(stream_id_compare(first, entries[model_start].id), 0);
    from = random_below(&dice, model_end + 2);
    to = random_below(&dice, model_end + 2);
    ck_assert_uint_eq(stream_count_between(stream, from, to), count_there(from, to));
}

/* A cursor, and the id at or behind which it should go on. */
static struct walk {
    struct stream_cursor cursor;
    struct stream_id next;
    bool is_open, is_at_end;
} walks[4];

static void begin_walk(struct walk *walk, struct stream_id id, enum stream_direction direction)
{
    stream_cursor_begin(&walk->cursor, stream, id, direction);
    walk->next = id;
    walk->is_open = true;
    walk->is_at_end = false;
}

/* What comes next in that direction; 0: nothing. */
static uint64_t next_of(const struct walk *walk)
{
    uint64_t ordinal = first_not_less(walk->next);

    if (walk->cursor.direction == STREAM_FORWARD) {
        ordinal = next_there(ordinal);
        return ordinal < model_end ? ordinal : 0;
    }
    if (ordinal == model_end || stream_id_compare(entries[ordinal].id, walk->next) > 0) ordinal--;
    while (ordinal >= model_start && !entries[ordinal].is_there)
        ordinal--;
    return ordinal >= model_start ? ordinal : 0;
}

static bool walk_on(struct walk *walk)
{
    uint64_t ordinal = walk->is_at_end ? 0 : next_of(walk);
    struct stream_entry entry;

    ck_assert_int_eq(stream_cursor_next(&walk->cursor, &entry), ordinal > 0);
    if (ordinal == 0) return false;
    expect_entry(&entry, ordinal);
    walk->next = entry.id;
    walk->is_at_end =
        !(walk->cursor.direction == STREAM_FORWARD ? stream_id_increment(&walk->next)
                                                   : stream_id_decrement(&walk->next));
    return true;
}

static void walk(void)
{
    struct walk *walk = &walks[random_below(&dice, 4)];
    uint64_t count = random_below(&dice, 30);

    if (!walk->is_open || random_below(&dice, 8) == 0) {
        begin_walk(walk, some_id(), random_below(&dice, 2) == 0 ? STREAM_FORWARD : STREAM_BACKWARD);
    }
    while (count-- > 0 && walk_on(walk)) {}
}

/* ---- images ---- */

static uint8_t *image_bytes;
static size_t image_size;

static void put_image(void *context, struct slice piece)
{
    uint8_t *grown = realloc(image_bytes, image_size + piece.size + 1);

    ck_assert_ptr_nonnull(grown);
    image_bytes = grown;
    (void)context;
    memcpy(image_bytes + image_size, piece.bytes, piece.size);
    image_size += piece.size;
}

static void save_and_load(void)
{
    struct stream_info before, after;
    struct stream *loaded;

    stream_check(stream);
    image_size = 0;
    stream_image_write(stream, put_image, NULL);
    ck_assert_uint_eq(image_size, stream_image_size(stream));
    ck_assert_int_eq(stream_image_load(store, slice_of(image_bytes, image_size), &loaded), 0);
    stream_get_info(stream, &before);
    stream_get_info(loaded, &after);
    ck_assert_uint_eq(before.count, after.count);
    ck_assert_uint_eq(before.start, after.start);
    ck_assert_uint_eq(before.end, after.end);
    ck_assert_uint_eq(before.entries_added, after.entries_added);
    ck_assert_int_eq(stream_id_compare(before.last_id, after.last_id), 0);
    stream_destroy(stream);
    stream = loaded;
    memset(walks, 0, sizeof(walks));
}

static void expect_all(void)
{
    struct walk forward, backward;
    struct stream_info info;
    uint64_t count = 0;

    stream_check(stream);
    begin_walk(&forward, STREAM_ID_MIN, STREAM_FORWARD);
    begin_walk(&backward, STREAM_ID_MAX, STREAM_BACKWARD);
    while (walk_on(&forward))
        count++;
    ck_assert_uint_eq(count, model_count);
    while (walk_on(&backward))
        count--;
    ck_assert_uint_eq(count, 0);
    stream_get_info(stream, &info);
    ck_assert_uint_eq(info.count, model_count);
    ck_assert_uint_eq(info.start, model_start);
    ck_assert_uint_eq(info.end, model_end);
    ck_assert_uint_eq(info.entries_added, model_end - 1);
    ck_assert_uint_eq(info.deleted_count, model_end - model_start - model_count);
    ck_assert_int_eq(stream_id_compare(info.max_deleted_id, model_max_deleted), 0);
    ck_assert_uint_eq(info.memory_bytes, stream_store_memory_bytes(store));
}

/* ---- play ---- */

/* Of each hundred steps. */
struct mix {
    unsigned adds, deletes, trims;
};

static void play(uint64_t seed, struct mix mix)
{
    struct stream_options options = { .directory = ".",
                                      .memory_bytes_max = UINT32_MAX,
                                      .node_entries = NODE_ENTRIES };

    random_init(&dice, seed + 1000 * soak_seed());
    model_start = model_end = 1;
    model_count = 0;
    model_max_deleted = STREAM_ID_MIN;
    memset(walks, 0, sizeof(walks));
    ck_assert_int_eq(stream_store_create(os_real(), NULL, &options, NULL, &store), 0);
    ck_assert_int_eq(stream_create(store, &stream), 0);
    for (unsigned i = 0; i < STEPS; i++) {
        uint64_t kind = random_below(&dice, 100);
        if (kind < mix.adds)
            add();
        else if (kind < mix.adds + mix.deletes)
            delete_one();
        else if (kind < mix.adds + mix.deletes + mix.trims)
            trim();
        else if (kind % 2 == 0)
            walk();
        else
            look_up();
        ck_assert_uint_eq(stream_count(stream), model_count);
        if (i % 64 == 0) stream_check(stream);
        if (i % 512 == 0) expect_all();
        if (i % 700 == 0) save_and_load();
    }
    expect_all();
    save_and_load();
    expect_all();
    stream_destroy(stream);
    stream_store_destroy(store);
    free(image_bytes);
    image_bytes = NULL;
}

START_TEST(a_stream_that_grows_agrees_with_an_array)
{
    play((uint64_t)_i + 1, (struct mix){ 80, 5, 1 });
}
END_TEST

START_TEST(a_stream_that_is_trimmed_as_it_grows_agrees_with_an_array)
{
    play((uint64_t)_i + 101, (struct mix){ 50, 5, 30 });
}
END_TEST

START_TEST(a_stream_of_which_most_is_deleted_agrees_with_an_array)
{
    play((uint64_t)_i + 201, (struct mix){ 45, 40, 1 });
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stream model");
    TCase *tcase = tcase_create("model");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, a_stream_that_grows_agrees_with_an_array, 0, 12);
    tcase_add_loop_test(tcase, a_stream_that_is_trimmed_as_it_grows_agrees_with_an_array, 0, 12);
    tcase_add_loop_test(tcase, a_stream_of_which_most_is_deleted_agrees_with_an_array, 0, 12);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
