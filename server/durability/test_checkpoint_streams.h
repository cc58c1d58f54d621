/* test_checkpoint_streams.h - random changes of a stream, and a number for all that it holds:
 * entries, groups with what is pending in them, and what its producers have added. */
#ifndef SERVER_DURABILITY_TEST_CHECKPOINT_STREAMS_H
#define SERVER_DURABILITY_TEST_CHECKPOINT_STREAMS_H
#include "modules/base/crc32c.h"
#include "modules/base/random.h"
#include "modules/stream/group.h"
#include "modules/stream/producers.h"
#include "modules/stream/stream.h"
#include "server/types/stream.h"
#include "server/types/stream_settings.h"

#include <check.h>
#include <stdio.h>

enum { GROUPS = 4, CONSUMERS = 3, MANY_PENDING = 6000, TEST_NAME_BYTES = 24 };

static inline struct slice numbered(char text[TEST_NAME_BYTES], const char *word, uint64_t number)
{
    int size = snprintf(text, TEST_NAME_BYTES, "%s-%llu", word, (unsigned long long)number);

    return slice_of(text, (size_t)size);
}

/* ---- what it holds ---- */

static inline uint32_t sum_number(uint32_t sum, uint64_t number)
{
    return crc32c(sum, &number, sizeof(number));
}

static inline uint32_t sum_text(uint32_t sum, struct slice text)
{
    return crc32c(sum_number(sum, text.size), text.bytes, text.size);
}

static inline uint32_t sum_id(uint32_t sum, struct stream_id id)
{
    return sum_number(sum_number(sum, id.ms), id.seq);
}

static inline uint32_t sum_entries(uint32_t sum, struct stream *stream)
{
    struct stream_cursor cursor;
    struct stream_entry entry;
    int rc;

    stream_cursor_begin(&cursor, stream, STREAM_ID_MIN, STREAM_FORWARD);
    while ((rc = stream_cursor_next(&cursor, &entry)) == 1) {
        sum = sum_number(sum_id(sum, entry.id), entry.ordinal);
        sum = sum_text(sum_number(sum, entry.field_count), entry.fields);
    }
    ck_assert_int_eq(rc, 0);
    return sum;
}

static inline uint32_t sum_consumers(uint32_t sum, const struct stream_group *group)
{
    for (uint32_t i = 0; i < stream_group_consumer_count(group); i++) {
        const struct stream_consumer *consumer = stream_group_consumer_at(group, i);

        sum = sum_text(sum, stream_consumer_name(consumer));
        sum = sum_number(sum, stream_consumer_pending_count(consumer));
        sum = sum_number(sum, stream_consumer_seen_ms(consumer));
        sum = sum_number(sum, stream_consumer_active_ms(consumer));
    }
    return sum;
}

static inline uint32_t sum_pending(uint32_t sum, const struct stream_group *group)
{
    struct stream_id from = STREAM_ID_MIN;
    struct stream_pending pending;

    while (stream_group_next_pending(group, NULL, from, UINT64_MAX, &pending) == 1) {
        sum = sum_id(sum, pending.id);
        if (pending.consumer) sum = sum_text(sum, stream_consumer_name(pending.consumer));
        sum = sum_number(sum_number(sum, pending.delivered_ms), pending.delivery_count);
        from = pending.id;
        ck_assert(stream_id_increment(&from));
    }
    return sum;
}

static inline uint32_t sum_groups(uint32_t sum, const struct stream_groups *groups)
{
    for (uint32_t i = 0; groups && i < stream_groups_count(groups); i++) {
        const struct stream_group *group = stream_groups_at(groups, i);

        sum = sum_text(sum, stream_group_name(group));
        sum = sum_id(sum, stream_group_last_id(group));
        sum = sum_number(sum, (uint64_t)stream_group_entries_read(group));
        sum = sum_pending(sum_consumers(sum, group), group);
    }
    return sum;
}

static inline uint32_t sum_producers(uint32_t sum, const struct stream_producers *producers)
{
    struct stream_producers_info info;

    if (!producers) return sum;
    stream_producers_get_info(producers, &info);
    sum = sum_number(sum_number(sum, info.duration_s), info.size_max);
    sum = sum_number(sum_number(sum, info.producer_count), info.iid_count);
    return sum_number(sum_number(sum, info.iids_added), info.duplicate_count);
}

static inline uint32_t sum_settings(uint32_t sum, const struct stream_settings *settings)
{
    for (unsigned i = 0; settings && i < RETENTION_SETTINGS; i++)
        sum = sum_number(sum_number(sum, settings->has[i]), settings->values[i]);
    return sum;
}

/* All of it but how many entries there are. */
static inline uint32_t sum_stream(const struct value *value)
{
    struct stream *stream = stream_value_stream(value);
    struct stream_info info;
    uint32_t sum = 0;

    stream_get_info(stream, &info);
    sum = sum_id(sum_id(sum, info.last_id), info.max_deleted_id);
    sum = sum_number(sum_number(sum_number(sum, info.start), info.end), info.entries_added);
    sum = sum_groups(sum_entries(sum, stream), stream_value_groups(value));
    return sum_settings(sum_producers(sum, stream_value_producers(value)),
                        stream_value_settings(value));
}

/* ---- changes ---- */

static inline void add_entries(struct random *random, struct stream *stream)
{
    static const char fields[] = "$4\r\nname\r\n$5\r\nvalue\r\n";

    for (uint64_t i = 1 + random_below(random, 40); i > 0; i--) {
        struct stream_id id = stream_last_id(stream);

        id.ms += random_below(random, 3);
        id.seq++;
        ck_assert_int_eq(stream_reserve(stream, sizeof(fields) - 1), 0);
        ck_assert_int_eq(stream_add(stream, id, 2, slice_of(fields, sizeof(fields) - 1)), 0);
    }
}

static inline void delete_entry(struct random *random, struct stream *stream)
{
    struct stream_cursor cursor;
    struct stream_entry entry;
    struct stream_id from = { random_below(random, stream_last_id(stream).ms + 1), 0 };

    stream_cursor_begin(&cursor, stream, from, STREAM_FORWARD);
    if (stream_cursor_next(&cursor, &entry) == 1)
        ck_assert_int_eq(stream_delete(stream, entry.ordinal, entry.id), 1);
}

static inline void trim_entries(struct random *random, struct stream *stream)
{
    struct stream_trim trim = { .length = random_below(random, 100) };
    uint64_t ordinal;

    ck_assert_int_eq(stream_trim_end(stream, &trim, &ordinal), 0);
    (void)stream_trim(stream, ordinal);
}

static inline struct stream_consumer *some_consumer(struct random *random,
                                                    struct stream_group *group)
{
    char text[TEST_NAME_BYTES];
    struct slice name = numbered(text, "consumer", random_below(random, CONSUMERS));
    struct stream_consumer *consumer = stream_group_find_consumer(group, name);

    if (!consumer)
        ck_assert_int_eq(
            stream_group_add_consumer(group, name, random_below(random, 1000), &consumer), 0);
    return consumer;
}

/* Few, or so many that they are no part of the stream's record. */
static inline void add_pending(struct random *random, struct stream_group *group)
{
    uint64_t count = random_below(random, 60) == 0 ? MANY_PENDING : random_below(random, 20);
    struct stream_consumer *consumer = some_consumer(random, group);

    for (uint64_t i = 0; i < count; i++) {
        struct stream_pending pending = { .id = { random_below(random, 100), i },
                                          .consumer = consumer,
                                          .delivered_ms = random_below(random, 1000),
                                          .delivery_count = 1 + random_below(random, 3) };
        ck_assert_int_ge(stream_group_set_pending(group, &pending), 0);
    }
}

static inline void acknowledge_some(struct random *random, struct stream_group *group)
{
    struct stream_pending pending;

    for (int i = 0; i < 10; i++) {
        struct stream_id from = { random_below(random, 100), 0 };

        if (stream_group_next_pending(group, NULL, from, UINT64_MAX, &pending) == 1)
            ck_assert_int_eq(stream_group_acknowledge(group, pending.id), 1);
    }
}

static inline void change_groups(struct random *random, struct value *value,
                                 struct stream_group_store *store)
{
    struct stream_groups *groups;
    struct stream_group *group;
    char text[TEST_NAME_BYTES];
    struct slice name = numbered(text, "group", random_below(random, GROUPS));

    ck_assert_int_eq(stream_value_get_groups(value, store, &groups), 0);
    group = stream_groups_find(groups, name);
    if (!group)
        ck_assert_int_eq(stream_groups_add(groups, name, (struct stream_id){ 1, 2 }, &group), 0);
    else if (random_below(random, 10) == 0)
        stream_groups_remove(groups, group);
    else if (random_below(random, 3) == 0)
        acknowledge_some(random, group);
    else
        add_pending(random, group);
}

static inline void change_producers(struct random *random, struct value *value)
{
    struct stream_producers *producers = stream_value_producers(value);
    char producer[TEST_NAME_BYTES], iid[TEST_NAME_BYTES];
    struct stream_id id;

    if (!producers) {
        struct stream_store *store = stream_store_of(stream_value_stream(value));

        ck_assert_int_eq(stream_producers_create(stream_store_producers(store), &producers), 0);
        stream_value_set_producers(value, producers);
    }
    for (int i = 0; i < 5; i++) {
        struct slice name = numbered(producer, "producer", random_below(random, 3));
        struct slice text = numbered(iid, "iid", random_below(random, 50));

        if (stream_producers_find(producers, name, text, 1000, &id) == 0)
            ck_assert_int_eq(
                stream_producers_add(producers, name, text, (struct stream_id){ 1000, 1 }, 1000),
                0);
    }
}

static inline void change_settings(struct random *random, struct value *value)
{
    struct stream_settings settings = { .values = { 0 } };

    for (unsigned i = 0; i < RETENTION_SETTINGS; i++) {
        settings.has[i] = random_below(random, 2);
        if (settings.has[i])
            settings.values[i] = random_below(random, i == RETENTION_COMPRESS ? 3 : 1000);
    }
    ck_assert_int_eq(stream_value_set_settings(value, &settings), 0);
}

/* What its memory became more, or (negative) less, by. */
static inline int64_t change_stream(struct random *random, struct value *value,
                                    struct stream_group_store *store)
{
    struct stream *stream = stream_value_stream(value);

    switch (random_below(random, 9)) {
    case 0:
        delete_entry(random, stream);
        break;
    case 1:
        trim_entries(random, stream);
        break;
    case 2:
    case 3:
    case 4:
        change_groups(random, value, store);
        break;
    case 5:
        change_producers(random, value);
        break;
    case 6:
        change_settings(random, value);
        break;
    default:
        add_entries(random, stream);
        break;
    }
    return stream_value_recount(value);
}
#endif
