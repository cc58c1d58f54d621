/* test_stream_steps.h - random operations on a stream, compared with an array of all entries that
 * were ever added.
 *
 * The test opens a store, calls steps_begin, steps_play as often as it likes, and steps_end. */
#ifndef MODULES_STREAM_TEST_STREAM_STEPS_H
#define MODULES_STREAM_TEST_STREAM_STEPS_H
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "modules/base/random.h"
#include "modules/base/test_soak.h"
#include "modules/stream/stream.h"
#include "modules/stream/test_image.h"
#include "modules/stream/test_refused_memory.h"

enum {
    MODEL_MAX = 40000,
    VALUE_BYTES_MAX = 20000,
    NODE_ENTRIES = 7,
    WALKS = 4,
    KEPT = 3,
    SOME_MAX = 20
};

struct model_entry {
    struct stream_id id;
    uint32_t field_count;
    uint32_t value_size;
    char letter;
    bool is_there;
};

/* What a stream should hold. */
struct model {
    struct model_entry *entries; /* index: ordinal; of MODEL_MAX */
    uint64_t start, end, count;
    struct stream_id max_deleted_id;
};

static struct stream_store *store;
static struct stream *stream;
static struct model model;
static struct random dice;
static bool refuses_memory; /* now and then */

/* ---- fields ---- */

/* Names are "f", values are one letter many times: as much as tells entries apart. */
static struct slice fields_of(const struct model_entry *entry)
{
    static char bytes[2 * VALUE_BYTES_MAX];
    size_t size = 0;

    for (uint32_t i = 0; i < entry->field_count; i += 2) {
        size += (size_t)snprintf(bytes + size, sizeof(bytes) - size, "$1\r\nf\r\n$%u\r\n",
                                 entry->value_size);
        memset(bytes + size, entry->letter, entry->value_size);
        size += entry->value_size;
        bytes[size++] = '\r';
        bytes[size++] = '\n';
    }
    return slice_of(bytes, size);
}

static void expect_entry(const struct model *expected, const struct stream_entry *got,
                         uint64_t ordinal)
{
    const struct model_entry *entry = &expected->entries[ordinal];

    ck_assert_uint_eq(got->ordinal, ordinal);
    ck_assert_int_eq(stream_id_compare(got->id, entry->id), 0);
    ck_assert_uint_eq(got->field_count, entry->field_count);
    ck_assert(slice_equal(got->fields, fields_of(entry)));
}

/* ---- the model ---- */

static void model_move_start(void)
{
    while (model.start < model.end && !model.entries[model.start].is_there)
        model.start++;
}

static uint64_t model_not_less(const struct model *in, struct stream_id id)
{
    uint64_t low = in->start, high = in->end;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (stream_id_compare(in->entries[middle].id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint64_t model_next_there(const struct model *in, uint64_t ordinal)
{
    while (ordinal < in->end && !in->entries[ordinal].is_there)
        ordinal++;
    return ordinal;
}

static uint64_t model_count_between(uint64_t first, uint64_t end)
{
    uint64_t count = 0;

    for (uint64_t i = first > model.start ? first : model.start; i < end && i < model.end; i++)
        count += model.entries[i].is_there;
    return count;
}

/* An id near those there are: of an entry, beside one, or far away. */
static struct stream_id some_id(void)
{
    struct stream_id id;

    if (random_below(&dice, 10) == 0) return STREAM_ID_MIN;
    if (random_below(&dice, 10) == 0) return STREAM_ID_MAX;
    if (model.end == 1) return (struct stream_id){ random_below(&dice, 50), 0 };
    id = model.entries[1 + random_below(&dice, model.end - 1)].id;
    if (random_below(&dice, 3) == 0) (void)stream_id_increment(&id);
    if (random_below(&dice, 3) == 0) (void)stream_id_decrement(&id);
    return id;
}

/* ---- memory ---- */

/* Before a call that may be refused memory, and behind it: true when it was, and said so. */
static void may_refuse(void)
{
    (void)memory_was_refused();
    refuse_every = refuses_memory ? 1 + (unsigned)random_below(&dice, 6) : 0;
}

static bool was_refused(int rc)
{
    bool is_explained = memory_was_refused();

    refuse_every = 0;
    ck_assert(rc >= 0 || (rc == -ENOMEM && is_explained));
    return rc < 0;
}

/* ---- adding ---- */

static uint32_t some_size(void)
{
    uint64_t kind = random_below(&dice, 200);

    if (kind == 0) return (uint32_t)random_below(&dice, VALUE_BYTES_MAX);
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

static void step_add(void)
{
    struct model_entry *entry = &model.entries[model.end];
    struct slice fields;

    if (model.end == MODEL_MAX) return;
    *entry = (struct model_entry){
        .id = id_behind(stream_last_id(stream)),
        .field_count = 2 * (1 + (uint32_t)random_below(&dice, 3)),
        .value_size = some_size(),
        .letter = (char)('a' + random_below(&dice, 26)),
        .is_there = true,
    };
    if (stream_id_compare(entry->id, stream_last_id(stream)) <= 0) return; /* seq went round */
    if (entry->value_size > 5000) entry->field_count = 2;
    fields = fields_of(entry);
    may_refuse();
    if (was_refused(stream_reserve(stream, fields.size))) return;
    ck_assert_int_eq(stream_add(stream, stream_last_id(stream), entry->field_count, fields),
                     -EINVAL);
    ck_assert_int_eq(stream_add(stream, entry->id, entry->field_count, fields), 0);
    model.end++;
    model.count++;
}

/* ---- removing ---- */

static void delete_id(struct stream_id id)
{
    struct stream_entry entry;
    uint64_t ordinal = model_not_less(&model, id);
    bool is_there = ordinal < model.end && model.entries[ordinal].is_there &&
                    stream_id_compare(model.entries[ordinal].id, id) == 0;

    ck_assert_int_eq(stream_find(stream, id, &entry), is_there);
    if (!is_there) return;
    expect_entry(&model, &entry, ordinal);
    may_refuse();
    if (was_refused(stream_delete(stream, ordinal, id))) return;
    ck_assert_int_eq(stream_delete(stream, ordinal, id), 0);
    model.entries[ordinal].is_there = false;
    model.count--;
    if (stream_id_compare(id, model.max_deleted_id) > 0) model.max_deleted_id = id;
    model_move_start();
}

static void step_delete(void)
{
    delete_id(some_id());
}

static uint64_t model_trim_end(const struct stream_trim *trim)
{
    uint64_t ordinal = model.start, count = 0;

    while (ordinal < model.end) {
        if (trim->limit > 0 && count == trim->limit) break;
        if (trim->by_id ? stream_id_compare(model.entries[ordinal].id, trim->id) >= 0
                        : model.count - count <= trim->length) {
            break;
        }
        count++;
        ordinal = model_next_there(&model, ordinal + 1);
    }
    if (!trim->is_approximate || ordinal == model.end) return ordinal;
    ordinal = (ordinal - 1) / NODE_ENTRIES * NODE_ENTRIES + 1;
    return ordinal > model.start ? ordinal : model.start;
}

/* Mostly a little; all of it now and then. */
static struct stream_trim some_trim(void)
{
    struct stream_trim trim = {
        .by_id = random_below(&dice, 2) == 0,
        .id = some_id(),
        .is_approximate = random_below(&dice, 2) == 0,
        .limit = random_below(&dice, 3) == 0 ? 1 + random_below(&dice, 40) : 0,
    };
    uint64_t less = random_below(&dice, model.count / 8 + 2);

    if (random_below(&dice, 100) == 0) return (struct stream_trim){ .length = 0 };
    trim.length = less < model.count ? model.count - less : model.count + 1;
    if (trim.by_id && trim.limit == 0 && random_below(&dice, 4) > 0) trim.limit = 20;
    return trim;
}

/* It never fails, though copies of what snapshots share may. */
static void step_trim(void)
{
    struct stream_trim trim = some_trim();
    uint64_t end, removed;

    ck_assert_int_eq(stream_trim_end(stream, &trim, &end), 0);
    ck_assert_uint_eq(end, model_trim_end(&trim));
    removed = model_count_between(model.start, end);
    may_refuse();
    ck_assert_uint_eq(stream_trim(stream, end), removed);
    refuse_every = 0;
    model.count -= removed;
    if (end > model.start) model.start = end;
    model_move_start();
}

/* 0: none is there. */
static uint64_t model_newest(void)
{
    uint64_t last = model.end - 1;

    while (last >= model.start && !model.entries[last].is_there)
        last--;
    return last >= model.start ? last : 0;
}

/* XSETID: entries behind the last one that is there, all deleted, have greater ids than what comes
 * next. From then on they count as if theirs were what is set. */
static void step_lower(void)
{
    uint64_t newest = model_newest();
    struct stream_id id;

    for (uint64_t more = random_below(&dice, 4); more > 0 && newest > 0; more--) {
        delete_id(model.entries[newest].id);
        newest = model_newest();
    }
    if (newest == 0 || newest == model.end - 1) return;
    id = model.entries[newest].id;
    if (random_below(&dice, 2) == 0) (void)stream_id_increment(&id);
    if (stream_id_compare(id, stream_last_id(stream)) >= 0) return;
    stream_set_last_id(stream, id);
    while (++newest < model.end) {
        struct model_entry *deleted = &model.entries[newest];
        if (stream_id_compare(deleted->id, id) > 0) deleted->id = id;
    }
}

/* ---- looking ---- */

/* A cursor, and the id at or behind which it should go on. */
static struct walk {
    struct stream_cursor cursor;
    struct stream_id next;
    bool is_open, is_at_end;
} walks[WALKS];

static void begin_walk(struct walk *walk, struct stream *along, struct stream_id id,
                       enum stream_direction direction)
{
    stream_cursor_begin(&walk->cursor, along, id, direction);
    walk->next = id;
    walk->is_open = true;
    walk->is_at_end = false;
}

/* What comes next in that direction; 0: nothing. */
static uint64_t next_of(const struct model *expected, const struct walk *walk)
{
    uint64_t ordinal = model_not_less(expected, walk->next);

    if (walk->cursor.direction == STREAM_FORWARD) {
        ordinal = model_next_there(expected, ordinal);
        return ordinal < expected->end ? ordinal : 0;
    }
    if (ordinal == expected->end ||
        stream_id_compare(expected->entries[ordinal].id, walk->next) > 0) {
        ordinal--;
    }
    while (ordinal >= expected->start && !expected->entries[ordinal].is_there)
        ordinal--;
    return ordinal >= expected->start ? ordinal : 0;
}

static void expect_next(const struct model *expected, struct walk *walk,
                        const struct stream_entry *entry)
{
    uint64_t ordinal = walk->is_at_end ? 0 : next_of(expected, walk);

    ck_assert_uint_gt(ordinal, 0);
    expect_entry(expected, entry, ordinal);
    walk->next = entry->id;
    walk->is_at_end =
        !(walk->cursor.direction == STREAM_FORWARD ? stream_id_increment(&walk->next)
                                                   : stream_id_decrement(&walk->next));
}

/* One entry, or some together: how many. */
static unsigned walk_on(const struct model *expected, struct walk *walk)
{
    struct stream_want want = { .count = 1 + (uint32_t)random_below(&dice, SOME_MAX),
                                .bytes = random_below(&dice, 3000) };
    struct stream_entry entries[SOME_MAX];
    uint64_t bytes = 0;
    int count;

    if (random_below(&dice, 3) == 0) want.count = 1;
    if (want.count == 1)
        count = stream_cursor_next(&walk->cursor, entries);
    else
        count = stream_cursor_next_some(&walk->cursor, want, entries);
    ck_assert_int_ge(count, 0);
    ck_assert_int_le(count, (int)want.count);
    for (int i = 0; i < count; i++) {
        expect_next(expected, walk, &entries[i]);
        bytes += entries[i].fields.size;
        ck_assert(i == 0 || bytes <= want.bytes);
    }
    if (count == 0) ck_assert(walk->is_at_end || next_of(expected, walk) == 0);
    return (unsigned)count;
}

static void step_look(void)
{
    struct stream_id id = some_id(), first;
    uint64_t ordinal, same, expected = model_not_less(&model, id), from, to;
    struct walk walk;

    ck_assert_int_eq(stream_ordinal_of(stream, id, &ordinal), 0);
    begin_walk(&walk, stream, id, STREAM_FORWARD);
    ck_assert_int_eq(stream_cursor_ordinal(&walk.cursor, &same), 0);
    (void)walk_on(&model, &walk);
    /* Deleted ones between may have been forgotten, by where one of both looked only; or count with
     * ids that lie lower. */
    ck_assert_uint_ge(same, model.start);
    ck_assert_uint_eq(model_next_there(&model, same), model_next_there(&model, expected));
    ck_assert_uint_ge(ordinal, model.start);
    ck_assert_uint_eq(model_next_there(&model, ordinal), model_next_there(&model, expected));
    ck_assert_int_eq(stream_first_id(stream, &first), model.count > 0);
    if (model.count > 0) {
        ck_assert_int_eq(stream_id_compare(first, model.entries[model.start].id), 0);
    }
    from = random_below(&dice, model.end + 2);
    to = random_below(&dice, model.end + 2);
    ck_assert_uint_eq(stream_count_between(stream, from, to), model_count_between(from, to));
}

static void step_walk(void)
{
    struct walk *walk = &walks[random_below(&dice, WALKS)];
    uint64_t count = random_below(&dice, 30);

    if (!walk->is_open || random_below(&dice, 8) == 0) {
        begin_walk(walk, stream, some_id(),
                   random_below(&dice, 2) == 0 ? STREAM_FORWARD : STREAM_BACKWARD);
    }
    while (count-- > 0 && walk_on(&model, walk)) {}
}

/* All of it, both ways. */
static void expect_stream(struct stream *got, const struct model *expected)
{
    struct walk forward, backward;
    struct stream_info info;
    uint64_t count = 0, some;

    stream_check(got);
    begin_walk(&forward, got, STREAM_ID_MIN, STREAM_FORWARD);
    begin_walk(&backward, got, STREAM_ID_MAX, STREAM_BACKWARD);
    while ((some = walk_on(expected, &forward)) > 0)
        count += some;
    ck_assert_uint_eq(count, expected->count);
    while ((some = walk_on(expected, &backward)) > 0)
        count -= some;
    ck_assert_uint_eq(count, 0);
    stream_get_info(got, &info);
    ck_assert_uint_eq(info.count, expected->count);
    ck_assert_uint_eq(info.start, expected->start);
    ck_assert_uint_eq(info.end, expected->end);
    ck_assert_uint_eq(info.entries_added, expected->end - 1);
    ck_assert_uint_eq(info.deleted_count, expected->end - expected->start - expected->count);
    ck_assert_int_eq(stream_id_compare(info.max_deleted_id, expected->max_deleted_id), 0);
}

/* ---- keeping ---- */

static struct kept {
    struct stream *snapshot; /* NULL: none */
    struct model model;
} kept[KEPT];

static void keep(struct kept *kept_at)
{
    may_refuse();
    if (was_refused(stream_snapshot(stream, &kept_at->snapshot))) return;
    kept_at->model = model;
    kept_at->model.entries = malloc(MODEL_MAX * sizeof(*model.entries));
    ck_assert_ptr_nonnull(kept_at->model.entries);
    memcpy(kept_at->model.entries, model.entries, model.end * sizeof(*model.entries));
}

static void let_go(struct kept *kept_at)
{
    if (!kept_at->snapshot) return;
    expect_stream(kept_at->snapshot, &kept_at->model);
    stream_destroy(kept_at->snapshot);
    free(kept_at->model.entries);
    *kept_at = (struct kept){ 0 };
}

static void step_keep(void)
{
    struct kept *kept_at = &kept[random_below(&dice, KEPT)];

    if (kept_at->snapshot)
        let_go(kept_at);
    else
        keep(kept_at);
}

/* ---- images ---- */

/* The stream is replaced by what its image becomes. */
static inline void step_save(void)
{
    struct stream *loaded = NULL;

    write_image(stream);
    may_refuse();
    if (was_refused(stream_image_load(store, slice_of(image.bytes, image.size), &loaded))) return;
    stream_destroy(stream);
    stream = loaded;
    expect_stream(stream, &model);
    memset(walks, 0, sizeof(walks));
}

/* ---- play ---- */

/* Of each hundred steps; the others look. */
struct mix {
    unsigned adds, deletes, trims;
};

static inline void steps_begin(uint64_t seed)
{
    random_init(&dice, seed + 1000 * soak_seed());
    model = (struct model){ .start = 1, .end = 1 };
    model.entries = calloc(MODEL_MAX, sizeof(*model.entries));
    ck_assert_ptr_nonnull(model.entries);
    memset(walks, 0, sizeof(walks));
    ck_assert_int_eq(stream_create(store, &stream), 0);
}

static inline void step(struct mix mix)
{
    uint64_t kind = random_below(&dice, 100);

    if (kind < mix.adds)
        step_add();
    else if (kind < mix.adds + mix.deletes)
        step_delete();
    else if (kind < mix.adds + mix.deletes + mix.trims)
        step_trim();
    else if (random_below(&dice, 40) == 0)
        step_keep();
    else if (random_below(&dice, 20) == 0)
        step_lower();
    else if (kind % 2 == 0)
        step_walk();
    else
        step_look();
}

static inline void steps_play(struct mix mix, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        step(mix);
        ck_assert_uint_eq(stream_count(stream), model.count);
        if (i % 64 == 0) stream_check(stream);
        if (i % 512 == 0) expect_stream(stream, &model);
        if (i % 700 == 0) step_save();
    }
    expect_stream(stream, &model);
    refuses_memory = false;
    step_save();
}

static inline void steps_end(void)
{
    for (unsigned i = 0; i < KEPT; i++)
        let_go(&kept[i]);
    stream_destroy(stream);
    free(model.entries);
    drop_image();
}
#endif
