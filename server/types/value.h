/* value.h - what a key holds: a header that every type of value begins with, and what the keyspace
 * needs to know of a type. Loop thread only. */
#ifndef SERVER_TYPES_VALUE_H
#define SERVER_TYPES_VALUE_H
#include <stddef.h>
#include <stdint.h>

enum value_kind { VALUE_STRING = 0, VALUE_LIST = 1, VALUE_STREAM = 2, VALUE_KIND_COUNT };

struct value;

struct value_type {
    enum value_kind kind;
    const char *name;                                   /* as TYPE tells it: "string", "list" */
    void (*destroy)(struct value *value);               /* never waits */
    const char *(*encoding)(const struct value *value); /* as OBJECT ENCODING tells it */
    /* The memory it holds that the keyspace adds up: without what another owner counts (spill's
     * chunks). Who changes it tells keyspace_account. */
    uint64_t (*counted_bytes)(const struct value *value);
    /* The heap block that a large one is in, which the caller frees from now on; the value is good
     * for destroy() only. NULL: it has none to itself, or is small. The function may be NULL, too.
     */
    void *(*take_block)(struct value *value, size_t *out_bytes);
};

struct value {
    const struct value_type *type;
};
#endif
