/* test_stream_fixture.h - streams made by hand, part by part, as Redis packs them.
 *
 *   begin_node(1, 0, 2, 0, "f"); same_entry(0, 0, 1, "v"); own_entry(…); put_node();
 *   begin_node is the first part of the node's listpack, put_node ends it and puts it. */
#ifndef MODULES_RDB_TEST_STREAM_FIXTURE_H
#define MODULES_RDB_TEST_STREAM_FIXTURE_H
#include "modules/rdb/test_packed_fixture.h"
#include "modules/rdb/test_rdb_fixture.h"

static const char *const one_name[] = { "f", NULL };
static const char *const one_value[] = { "v", NULL };

static struct {
    uint64_t ms, seq; /* of the node */
} node;

static inline void pack_text(const char *text)
{
    listpack_text(text, strlen(text));
}

/* In the shortest form, as Redis does. */
static inline void pack_integer(int64_t value)
{
    if (value >= 0 && value <= 127)
        listpack_integer(value, 7);
    else if (value >= -4096 && value <= 4095)
        listpack_integer(value, 13);
    else
        listpack_integer(value, 64);
}

/* names: as many as the master has, NULL behind the last. */
static inline void begin_node(uint64_t ms, uint64_t seq, int64_t count, int64_t deleted,
                              const char *const *names)
{
    int64_t name_count = 0;

    node.ms = ms;
    node.seq = seq;
    while (names[name_count])
        name_count++;
    begin_listpack();
    pack_integer(count);
    pack_integer(deleted);
    pack_integer(name_count);
    for (int64_t i = 0; i < name_count; i++)
        pack_text(names[i]);
    pack_integer(0);
}

static inline void pack_head(int64_t flags, uint64_t ms, uint64_t seq)
{
    pack_integer(flags);
    pack_integer((int64_t)(ms - node.ms));
    pack_integer((int64_t)(seq - node.seq));
}

/* With the master's names. */
static inline void pack_same(bool is_deleted, uint64_t ms, uint64_t seq, const char *const *values)
{
    int64_t count = 0;

    pack_head(2 | is_deleted, ms, seq);
    for (; values[count]; count++)
        pack_text(values[count]);
    pack_integer(3 + count);
}

/* parts: names and values. */
static inline void pack_own(bool is_deleted, uint64_t ms, uint64_t seq, const char *const *parts)
{
    int64_t count = 0;

    while (parts[count])
        count++;
    pack_head(is_deleted, ms, seq);
    pack_integer(count / 2);
    for (int64_t i = 0; i < count; i++)
        pack_text(parts[i]);
    pack_integer(4 + count);
}

static inline void put_raw_id(uint64_t ms, uint64_t seq)
{
    put_big_endian(ms, 8);
    put_big_endian(seq, 8);
}

static inline void put_node(void)
{
    end_listpack();
    put_length(16);
    put_raw_id(node.ms, node.seq);
    put_bytes(packed.bytes, packed.size);
}

static inline void put_id(uint64_t ms, uint64_t seq)
{
    put_length(ms);
    put_length(seq);
}

/* What follows the nodes, before the groups. */
static inline void put_state(enum rdb_type type, uint64_t count, uint64_t last_ms,
                             uint64_t last_seq)
{
    put_length(count);
    put_id(last_ms, last_seq);
    if (type == TYPE_STREAM) return;
    put_id(1, 1);          /* the first */
    put_id(1, 2);          /* the greatest deleted one */
    put_length(count + 1); /* ever added */
}

static inline void put_pending(uint64_t ms, uint64_t seq, uint64_t at_ms, uint64_t times)
{
    put_raw_id(ms, seq);
    put_number(at_ms, 8);
    put_length(times);
}

static inline void put_consumer(enum rdb_type type, const char *name, uint64_t pending_count)
{
    put_string(name);
    put_number(1700000000100, 8);
    if (stream_has_activity(type)) put_number(1700000000200, 8);
    put_length(pending_count); /* ids follow */
}

static inline void put_group(enum rdb_type type, const char *name, uint64_t ms, uint64_t seq,
                             uint64_t read)
{
    put_string(name);
    put_id(ms, seq);
    if (type != TYPE_STREAM) put_length(read);
}

static inline void put_producers(void)
{
    put_length(100);
    put_length(50);
    put_length(1);
    put_string("p");
    put_length(2);
    put_string("a");
    put_id(1, 1);
    put_string("b");
    put_id(2, 0);
    put_length(2);
    put_length(7);
}

/* One of two entries, with a deleted one between, a group with two consumers, and what else that
 * type has. */
static inline void put_stream(enum rdb_type type)
{
    put_length(1);
    begin_node(1, 1, 2, 1, (const char *const[]){ "f", "12", NULL });
    pack_same(false, 1, 1, (const char *const[]){ "v", "w", NULL });
    pack_same(true, 1, 2, (const char *const[]){ "x", "y", NULL });
    pack_own(false, 2, 0, (const char *const[]){ "name", "value", NULL });
    put_node();
    put_state(type, 2, 2, 0);
    put_length(1);
    put_group(type, "group", 1, 2, 2);
    put_length(type == TYPE_STREAM_5 ? 3 : 2);
    put_pending(1, 1, 1700000000000, 3);
    put_pending(1, 2, 1700000000001, 1);
    if (type == TYPE_STREAM_5) put_pending(1, 3, 1700000000002, 70);
    put_length(2);
    put_consumer(type, "one", 2);
    put_raw_id(1, 1);
    put_raw_id(1, 2);
    put_consumer(type, "two", 0);
    if (type == TYPE_STREAM_5) {
        put_length(1);
        put_raw_id(1, 3);
    }
    if (stream_has_producers(type)) put_producers();
}

static inline void begin_stream(enum rdb_type type)
{
    begin_file("0014");
    put_key(type, "s");
}

/* Behind a node: nothing else. */
static inline void end_stream(enum rdb_type type, uint64_t count, uint64_t last_ms,
                              uint64_t last_seq)
{
    put_state(type, count, last_ms, last_seq);
    put_length(0);
    if (stream_has_producers(type)) {
        for (int i = 0; i < 5; i++)
            put_length(0);
    }
    end_file();
}
#endif
