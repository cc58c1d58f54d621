/* Which kind a value is stands in its type pointer, so an int needs no more than pointer and
 * number. A raw one whose bytes were lent is of a kind of its own: the loan stands where else the
 * capacity does. */
#include "server/types/string.h"

#include "modules/base/alloc_size.h"
#include "modules/base/checked.h"
#include "modules/base/number.h"
#include "modules/pool/packet.h"
#include "modules/pool/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct integer {
    struct value value;
    int64_t number;
};

struct embedded {
    struct value value;
    uint8_t size; /* <= STRING_EMBEDDED_BYTES_MAX */
    uint8_t bytes[];
};

struct raw {
    struct value value;
    uint8_t *bytes; /* NULL only when capacity is 0 */
    size_t size;    /* <= capacity */
    union {
        size_t capacity;   /* of raw_type */
        struct loan *loan; /* of lent_type: bytes belong to it, and do not change */
    };
};

/* Bytes that answers under way refer to. The value has one reference, until it changes or goes. */
struct loan {
    struct packet packet;
    size_t capacity;
    struct pool *pool;
    bool was_left; /* the value has gone: it is an answer's memory now, counted by pool */
};

enum {
    DOUBLE_BELOW = 1024 * 1024,   /* larger ones grow by a quarter */
    BLOCK_BYTES_MIN = 1024 * 1024 /* smaller ones go with their value */
};

static const struct value_type integer_type, embedded_type, raw_type, lent_type;

static const struct integer *as_integer(const struct value *value)
{
    assert(value->type == &integer_type);
    return (const struct integer *)(const void *)value;
}

static const struct embedded *as_embedded(const struct value *value)
{
    assert(value->type == &embedded_type);
    return (const struct embedded *)(const void *)value;
}

static struct raw *as_raw(struct value *value)
{
    assert(string_value_is_raw(value));
    return (struct raw *)(void *)value;
}

static const struct raw *as_raw_const(const struct value *value)
{
    assert(string_value_is_raw(value));
    return (const struct raw *)(const void *)value;
}

/* ---- what the keyspace asks of a type ---- */

static void destroy_flat(struct value *value)
{
    free(value);
}

static void destroy_raw(struct value *value)
{
    free(as_raw(value)->bytes);
    free(value);
}

static uint64_t loan_bytes(const struct loan *loan)
{
    return alloc_size(sizeof(*loan)) + alloc_size(loan->capacity);
}

/* The value does without its loan. */
static void leave_loan(struct loan *loan)
{
    if (loan->packet.ref_count > 1) {
        loan->was_left = true;
        pool_overflow_count(loan->pool, loan_bytes(loan));
    }
    packet_unref(&loan->packet);
}

static void end_loan(struct packet *packet)
{
    struct loan *loan = (struct loan *)(void *)packet; /* its first member */
    if (loan->was_left) pool_overflow_discount(loan->pool, loan_bytes(loan));
    free((uint8_t *)(uintptr_t)packet->payload.bytes); /* the value's own, so never const */
    free(loan);
}

static void destroy_lent(struct value *value)
{
    leave_loan(as_raw(value)->loan);
    free(value);
}

/* Makes a lent one raw again: with its own bytes, which nobody else needs any more. */
static void end_own_loan(struct raw *raw)
{
    struct loan *loan = raw->loan;
    raw->value.type = &raw_type;
    raw->capacity = loan->capacity;
    free(loan);
}

static const char *integer_encoding(const struct value *value)
{
    (void)value;
    return "int";
}

static const char *embedded_encoding(const struct value *value)
{
    (void)value;
    return "embstr";
}

static const char *raw_encoding(const struct value *value)
{
    (void)value;
    return "raw";
}

static uint64_t integer_bytes(const struct value *value)
{
    (void)value;
    return alloc_size(sizeof(struct integer));
}

static size_t embedded_size(size_t byte_count)
{
    return offsetof(struct embedded, bytes) + byte_count;
}

static uint64_t embedded_bytes(const struct value *value)
{
    return alloc_size(embedded_size(as_embedded(value)->size));
}

static uint64_t raw_bytes(const struct value *value)
{
    const struct raw *raw = as_raw_const(value);
    return alloc_size(sizeof(*raw)) + (raw->capacity ? alloc_size(raw->capacity) : 0);
}

static uint64_t lent_bytes(const struct value *value)
{
    const struct raw *raw = as_raw_const(value);
    return alloc_size(sizeof(*raw)) + loan_bytes(raw->loan);
}

static const struct value_type integer_type = {
    .kind = VALUE_STRING,
    .name = "string",
    .destroy = destroy_flat,
    .encoding = integer_encoding,
    .counted_bytes = integer_bytes,
};

static const struct value_type embedded_type = {
    .kind = VALUE_STRING,
    .name = "string",
    .destroy = destroy_flat,
    .encoding = embedded_encoding,
    .counted_bytes = embedded_bytes,
};

static void *take_raw_block(struct value *value, size_t *out_bytes)
{
    struct raw *raw = as_raw(value);
    void *block = raw->bytes;
    if (raw->capacity < BLOCK_BYTES_MIN) return NULL;
    *out_bytes = alloc_size(raw->capacity);
    raw->bytes = NULL;
    raw->size = raw->capacity = 0;
    return block;
}

static const struct value_type raw_type = {
    .kind = VALUE_STRING,
    .name = "string",
    .destroy = destroy_raw,
    .encoding = raw_encoding,
    .counted_bytes = raw_bytes,
    .take_block = take_raw_block,
};

/* Not what others still send. */
static void *take_lent_block(struct value *value, size_t *out_bytes)
{
    struct raw *raw = as_raw(value);
    if (raw->loan->packet.ref_count > 1 || raw->loan->capacity < BLOCK_BYTES_MIN) return NULL;
    end_own_loan(raw);
    return take_raw_block(value, out_bytes);
}

static const struct value_type lent_type = {
    .kind = VALUE_STRING,
    .name = "string",
    .destroy = destroy_lent,
    .encoding = raw_encoding,
    .counted_bytes = lent_bytes,
    .take_block = take_lent_block,
};

/* ---- making ---- */

static void copy_bytes(uint8_t *to, struct slice from)
{
    if (from.size > 0) memcpy(to, from.bytes, from.size);
}

int string_value_create_integer(int64_t number, struct value **out_value)
{
    struct integer *integer = malloc(sizeof(*integer));
    if (!integer) return -ENOMEM;
    *integer = (struct integer){ { &integer_type }, number };
    *out_value = &integer->value;
    return 0;
}

static int create_embedded(struct slice bytes, struct value **out_value)
{
    struct embedded *embedded = malloc(embedded_size(bytes.size));
    if (!embedded) return -ENOMEM;
    embedded->value.type = &embedded_type;
    embedded->size = (uint8_t)bytes.size;
    copy_bytes(embedded->bytes, bytes);
    *out_value = &embedded->value;
    return 0;
}

static int create_raw(struct slice first, struct slice second, size_t capacity,
                      struct value **out_value)
{
    struct raw *raw = malloc(sizeof(*raw));
    if (!raw) return -ENOMEM;
    *raw = (struct raw){ .value = { &raw_type },
                         .size = first.size + second.size,
                         .capacity = capacity };
    if (capacity > 0) {
        raw->bytes = malloc(capacity);
        if (!raw->bytes) {
            free(raw);
            return -ENOMEM;
        }
        copy_bytes(raw->bytes, first);
        copy_bytes(raw->bytes + first.size, second);
    }
    *out_value = &raw->value;
    return 0;
}

/* Room for size bytes and for what may be added to them; false: no such size. */
static bool roomy(size_t size, size_t *out_capacity)
{
    return checked_add_size(size, size < DOUBLE_BELOW ? size : size / 4, out_capacity);
}

int string_value_create_raw(struct slice first, struct slice second, struct value **out_value)
{
    size_t size, capacity;
    if (!checked_add_size(first.size, second.size, &size) || !roomy(size, &capacity))
        return -ENOMEM;
    return create_raw(first, second, capacity, out_value);
}

int string_value_create_unset(size_t size, uint8_t **out_bytes, struct value **out_value)
{
    struct raw *raw = malloc(sizeof(*raw));
    assert(size > 0);
    if (!raw) return -ENOMEM;
    *raw = (struct raw){ .value = { &raw_type }, .size = size, .capacity = size };
    raw->bytes = malloc(size);
    if (!raw->bytes) {
        free(raw);
        return -ENOMEM;
    }
    *out_bytes = raw->bytes;
    *out_value = &raw->value;
    return 0;
}

int string_value_create_text(struct slice bytes, struct value **out_value)
{
    if (bytes.size <= STRING_EMBEDDED_BYTES_MAX) return create_embedded(bytes, out_value);
    return create_raw(bytes, (struct slice){ 0 }, bytes.size, out_value);
}

int string_value_create(struct slice bytes, struct value **out_value)
{
    int64_t number;
    if (bytes.size <= STRING_DIGITS_MAX && number_parse_int64(bytes, &number))
        return string_value_create_integer(number, out_value);
    return string_value_create_text(bytes, out_value);
}

int string_value_copy(const struct value *value, struct value **out_value)
{
    char digits[STRING_DIGITS_MAX];
    struct slice bytes = string_value_view(value, digits);
    if (value->type == &integer_type)
        return string_value_create_integer(as_integer(value)->number, out_value);
    if (value->type == &embedded_type) return create_embedded(bytes, out_value);
    return create_raw(bytes, (struct slice){ 0 }, bytes.size, out_value);
}

/* ---- looking ---- */

bool string_value_is_integer(const struct value *value)
{
    return value->type == &integer_type;
}

bool string_value_is_raw(const struct value *value)
{
    return value->type == &raw_type || value->type == &lent_type;
}

struct slice string_value_view(const struct value *value, char digits[STRING_DIGITS_MAX])
{
    if (value->type == &integer_type)
        return slice_of(digits, number_format_int64(digits, as_integer(value)->number));
    if (value->type == &embedded_type)
        return slice_of(as_embedded(value)->bytes, as_embedded(value)->size);
    return slice_of(as_raw_const(value)->bytes, as_raw_const(value)->size);
}

size_t string_value_size(const struct value *value)
{
    char digits[STRING_DIGITS_MAX];
    return string_value_view(value, digits).size;
}

bool string_value_number(const struct value *value, int64_t *out_number)
{
    char digits[STRING_DIGITS_MAX];
    if (value->type != &integer_type)
        return number_parse_int64(string_value_view(value, digits), out_number);
    *out_number = as_integer(value)->number;
    return true;
}

/* ---- lending ---- */

struct packet *string_value_lend(struct value *value, struct pool *pool)
{
    struct raw *raw;
    struct loan *loan;
    if (!string_value_is_raw(value)) return NULL;
    raw = as_raw(value);
    if (value->type == &lent_type) return &raw->loan->packet;
    if (raw->size < STRING_LENT_BYTES_MIN) return NULL;
    loan = malloc(sizeof(*loan));
    if (!loan) return NULL;
    *loan = (struct loan){ .capacity = raw->capacity, .pool = pool };
    packet_init(&loan->packet, slice_of(raw->bytes, raw->size), end_loan);
    raw->loan = loan;
    value->type = &lent_type;
    return &loan->packet;
}

/* ---- taking back ---- */

size_t string_value_shared_bytes(const struct value *value)
{
    const struct raw *raw;
    if (value->type != &lent_type) return 0;
    raw = as_raw_const(value);
    return raw->loan->packet.ref_count > 1 ? raw->size : 0;
}

int string_copy_begin(const struct value *value, size_t size_max, struct string_copy *out_copy)
{
    size_t size = as_raw_const(value)->size, capacity = size;
    if (size_max > size && !roomy(size_max, &capacity)) return -ENOMEM;
    *out_copy = (struct string_copy){ .capacity = capacity };
    out_copy->bytes = malloc(capacity);
    return out_copy->bytes ? 0 : -ENOMEM;
}

bool string_copy_step(struct string_copy *copy, const struct value *value, size_t step_max)
{
    const struct raw *raw = as_raw_const(value);
    size_t left = raw->size - copy->size, size = left < step_max ? left : step_max;
    if (string_value_shared_bytes(value) == 0) return false; /* they came back meanwhile */
    memcpy(copy->bytes + copy->size, raw->bytes + copy->size, size);
    copy->size += size;
    return size < left;
}

void string_copy_drop(struct string_copy *copy)
{
    free(copy->bytes);
    *copy = (struct string_copy){ 0 };
}

void string_copy_give(struct string_copy *copy, struct value *value)
{
    struct raw *raw = as_raw(value);
    assert(value->type == &lent_type);
    if (string_value_shared_bytes(value) == 0) {
        string_copy_drop(copy);
        end_own_loan(raw);
        return;
    }
    assert(copy->size == raw->size);
    leave_loan(raw->loan);
    raw->value.type = &raw_type;
    raw->bytes = copy->bytes;
    raw->capacity = copy->capacity;
    *copy = (struct string_copy){ 0 };
}

/* Makes a lent one raw again: with its own bytes when no answer needs them any more, else with a
 * copy that has room for size_max bytes. */
static int take_back(struct raw *raw, size_t size_max)
{
    struct string_copy copy;
    int rc;
    if (raw->value.type != &lent_type) return 0;
    if (string_value_shared_bytes(&raw->value) == 0) {
        end_own_loan(raw);
        return 0;
    }
    rc = string_copy_begin(&raw->value, size_max, &copy);
    if (rc < 0) return rc;
    (void)string_copy_step(&copy, &raw->value, SIZE_MAX);
    string_copy_give(&copy, &raw->value);
    return 0;
}

/* ---- changing in place ---- */

void string_value_set_integer(struct value *value, int64_t number)
{
    assert(value->type == &integer_type);
    ((struct integer *)(void *)value)->number = number;
}

static int reserve(struct raw *raw, size_t size)
{
    size_t capacity;
    uint8_t *bytes;
    if (size <= raw->capacity) return 0;
    if (!roomy(size, &capacity)) return -ENOMEM;
    bytes = realloc(raw->bytes, capacity);
    if (!bytes) return -ENOMEM;
    raw->bytes = bytes;
    raw->capacity = capacity;
    return 0;
}

int string_value_append(struct value *value, struct slice bytes)
{
    return string_value_overwrite(value, as_raw(value)->size, bytes);
}

int string_value_overwrite(struct value *value, size_t offset, struct slice bytes)
{
    struct raw *raw = as_raw(value);
    size_t end;
    int rc;
    if (!checked_add_size(offset, bytes.size, &end)) return -ENOMEM;
    rc = take_back(raw, end);
    if (rc == 0) rc = reserve(raw, end);
    if (rc < 0) return rc;
    if (offset > raw->size) memset(raw->bytes + raw->size, 0, offset - raw->size);
    if (bytes.size > 0) memcpy(raw->bytes + offset, bytes.bytes, bytes.size);
    if (end > raw->size) raw->size = end;
    return 0;
}
