/* test_checkpoint_changes.h - random changes of strings, lists, expiries and databases. */
#ifndef SERVER_DURABILITY_TEST_CHECKPOINT_CHANGES_H
#define SERVER_DURABILITY_TEST_CHECKPOINT_CHANGES_H
#include "server/durability/test_checkpoint_parts.h"

static uint64_t below(uint64_t limit)
{
    return random_below(&fixture.random, limit);
}

static struct slice random_item(void)
{
    static uint8_t bytes[LARGE_BYTES];
    size_t size = below(30) == 0 ? LARGE_BYTES / (1 + below(4)) : below(ELEMENT_BYTES_MAX);
    for (size_t i = 0; i < size; i += 7)
        bytes[i] = (uint8_t)random_next(&fixture.random);
    return slice_of(bytes, size);
}

static void push_some(struct spill_deque *deque)
{
    enum spill_end end = below(3) == 0 ? SPILL_HEAD : SPILL_TAIL;
    for (uint64_t i = 1 + below(40); i > 0; i--) {
        struct slice item = random_item();
        if (item.size > ELEMENT_BYTES_MAX) item.size = ELEMENT_BYTES_MAX;
        ck_assert_int_eq(spill_deque_push(deque, end, &item, 1), 0);
    }
}

static void add_value(unsigned database, unsigned index, struct value *value)
{
    char text[NAME_BYTES];
    ck_assert_int_eq(
        keyspace_add(fixture.own.keyspace, database, name_of(index, text), value, NULL), 0);
}

static void add_some(unsigned database, unsigned index)
{
    struct value *value;
    uint64_t kind = below(3);
    if (kind == 0) {
        ck_assert_int_eq(stream_value_create(fixture.own.streams, &value), 0);
        (void)change_stream(&fixture.random, value, fixture.own.groups);
    } else if (kind == 1) {
        ck_assert_int_eq(list_create(fixture.own.store, &value), 0);
        push_some(list_deque(value));
    } else {
        ck_assert_int_eq(string_value_create(random_item(), &value), 0);
    }
    add_value(database, index, value);
}

static void change_list(struct key *key)
{
    struct spill_deque *deque = list_deque(key_value(key));
    uint64_t count = spill_deque_count(deque);
    struct slice item = SLICE_LITERAL("changed");
    switch (below(5)) {
    case 0:
        ck_assert_int_ge(spill_deque_drop(deque, SPILL_HEAD, 1 + below(30)), 0);
        break;
    case 1:
        ck_assert_int_eq(spill_deque_set(deque, below(count), item), 0);
        break;
    case 2:
        ck_assert_int_eq(spill_deque_insert(deque, below(count + 1), item), 0);
        break;
    default:
        push_some(deque);
        break;
    }
    if (spill_deque_count(deque) == 0) keyspace_remove(fixture.own.keyspace, key);
}

static void change_string(struct key *key)
{
    struct value *value = key_value(key), *other;
    uint64_t before = value->type->counted_bytes(value);
    if (string_value_is_raw(value)) {
        ck_assert_int_eq(string_value_overwrite(value, below(100), random_item()), 0);
        keyspace_account(fixture.own.keyspace,
                         (int64_t)(value->type->counted_bytes(value) - before));
        return;
    }
    ck_assert_int_eq(string_value_create_raw(random_item(), SLICE_LITERAL("!"), &other), 0);
    keyspace_replace(fixture.own.keyspace, key, other, true);
}

static void change_key(struct key *key)
{
    struct keyspace *keyspace = fixture.own.keyspace;
    char text[NAME_BYTES];
    switch (below(10)) {
    case 0:
        keyspace_remove(keyspace, key);
        break;
    case 1:
        ck_assert_int_eq(keyspace_set_expiry(keyspace, key, 5000 + (int64_t)below(99)), 0);
        break;
    case 2:
        ck_assert_int_eq(keyspace_move(keyspace, key, (unsigned)below(DATABASES),
                                       name_of((unsigned)below(NAMES), text)),
                         0);
        break;
    default:
        if (key_value(key)->type->kind == VALUE_LIST)
            change_list(key);
        else if (key_value(key)->type->kind == VALUE_STREAM)
            keyspace_account(keyspace,
                             change_stream(&fixture.random, key_value(key), fixture.own.groups));
        else
            change_string(key);
        break;
    }
}

static void change_something(void)
{
    unsigned database = (unsigned)below(DATABASES), index = (unsigned)below(NAMES);
    struct key *key;
    fixture.log_position++;
    if (below(500) == 0) keyspace_flush(fixture.own.keyspace, database);
    if (below(200) == 0) keyspace_swap(fixture.own.keyspace, 0, 1);
    key = find(&fixture.own, database, index);
    if (!key)
        add_some(database, index);
    else
        change_key(key);
}

static void change_much(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        change_something();
        (void)spill_store_tick(fixture.own.store, 0);
        (void)stream_group_store_tick(fixture.own.groups, 10);
        (void)stream_store_tick(fixture.own.streams, 1000, 0);
        (void)io_poll(fixture.own.io);
    }
    (void)keyspace_rehash_step(fixture.own.keyspace, 10);
}
#endif
