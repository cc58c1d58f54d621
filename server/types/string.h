/* string.h - the value of a string key: a number, a few bytes, or bytes that can grow.
 *
 *     int     what is the canonical decimal of an int64: 16 bytes in all
 *     embstr  up to STRING_EMBEDDED_BYTES_MAX bytes in one allocation; never changes
 *     raw     bytes in an allocation of their own; the only one that changes its length in place.
 *             Large ones can be lent to answers, which send them from where they lie
 *
 * Values made here belong to the caller until the keyspace takes them. Functions that return int
 * give 0 or -ENOMEM, and on an error nothing has changed. Loop thread only. */
#ifndef SERVER_TYPES_STRING_H
#define SERVER_TYPES_STRING_H
#include "modules/base/slice.h"
#include "server/types/value.h"

enum {
    STRING_EMBEDDED_BYTES_MAX = 44, /* where Redis draws the line */
    STRING_DIGITS_MAX = 20,         /* of an int64 with its sign */
    STRING_LENT_BYTES_MIN = 16384,  /* smaller ones are copied: a loan would not be cheaper */
};

struct packet;
struct pool;

/* Copies bytes into the smallest kind that holds them. */
int string_value_create(struct slice bytes, struct value **out_value);
/* The same but never int: results of INCRBYFLOAT. */
int string_value_create_text(struct slice bytes, struct value **out_value);
/* A raw one of first followed by second, with room to grow. */
int string_value_create_raw(struct slice first, struct slice second, struct value **out_value);
/* A raw one of size bytes, at least one, for the caller to write before anything else is done with
 * it. */
int string_value_create_unset(size_t size, uint8_t **out_bytes, struct value **out_value);
int string_value_create_integer(int64_t number, struct value **out_value);
int string_value_copy(const struct value *value, struct value **out_value);

size_t string_value_size(const struct value *value);
/* The bytes, good until the next change of value; those of an int are written to digits. */
struct slice string_value_view(const struct value *value, char digits[STRING_DIGITS_MAX]);
/* True: it is int, or its bytes are the canonical decimal of an int64. */
bool string_value_number(const struct value *value, int64_t *out_number);

/* All its bytes as a packet, of which the value keeps the first reference; NULL: it is better
 * copied (small, or no memory for a loan). A change of the value, and its end, leave the bytes to
 * who has a reference, and from then on pool, the one that answers are counted in, counts them.
 * keyspace_account gets what its counted_bytes changed by. */
struct packet *string_value_lend(struct value *value, struct pool *pool);

/* What a change would have to copy first, because others have the bytes too; 0: nothing. */
size_t string_value_shared_bytes(const struct value *value);
/* That copy, made in pieces before the change, for large ones. While it is made the value stays and
 * is not changed; it may be lent once more, and what was lent may come back, as then no copy is
 * needed. */
struct string_copy {
    uint8_t *bytes;
    size_t size; /* so far */
    size_t capacity;
};
/* Of a value that shares its bytes, for a change after which it has up to size_max. -ENOMEM. */
int string_copy_begin(const struct value *value, size_t size_max, struct string_copy *out_copy);
/* At most so many bytes. True: there are more. */
bool string_copy_step(struct string_copy *copy, const struct value *value, size_t step_max);
/* When there are no more: the value has bytes of its own, and the next change copies none. Takes
 * copy over. keyspace_account gets what its counted_bytes changed by. */
void string_copy_give(struct string_copy *copy, struct value *value);
/* Instead of that: nothing has happened. */
void string_copy_drop(struct string_copy *copy);

bool string_value_is_integer(const struct value *value); /* encoding int */
bool string_value_is_raw(const struct value *value);
/* Of an int. */
void string_value_set_integer(struct value *value, int64_t number);
/* Of a raw one: keyspace_account gets what its counted_bytes changed by. Bytes that are lent are
 * copied first: answers under way stay what they are. */
int string_value_append(struct value *value, struct slice bytes);
/* Of a raw one: overwrites from offset on; what lies between its end and offset becomes zero bytes.
 */
int string_value_overwrite(struct value *value, size_t offset, struct slice bytes);
#endif
