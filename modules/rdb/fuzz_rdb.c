/* Bytes that pretend to be an RDB file. Whatever comes is read or refused in words; the same bytes
 * in other pieces tell the same. The first byte of the input says whether a checksum is made to
 * fit, so that the keys behind it count. */
#include <stdlib.h>
#include <string.h>

#include "modules/base/endian.h"
#include "modules/rdb/crc64.h"
#include "modules/rdb/input.h"
#include "modules/rdb/rdb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint64_t keys, parts, ends, expected_offset, element_size;
    struct rdb_stream_id last_id;
    uint64_t parts_left; /* of the entry */
    uint64_t is_stream;  /* as wide as the others: they are compared as bytes */
    uint64_t sum;
};

static int on_key(void *context, const struct rdb_key *key)
{
    struct seen *seen = context;

    if (key->kind >= RDB_KIND_COUNT) abort();
    seen->keys++;
    seen->is_stream = key->kind == RDB_STREAM;
    seen->last_id = (struct rdb_stream_id){ 0, 0 };
    seen->sum = crc64(seen->sum, key->name.bytes, key->name.size);
    return 1;
}

static int on_part(void *context, struct slice part, uint64_t offset, uint64_t size)
{
    struct seen *seen = context;

    if (offset != seen->expected_offset || offset + part.size > size) abort();
    if (offset > 0 && size != seen->element_size) abort();
    if (part.size == 0 && size > 0) abort();
    seen->expected_offset = offset + part.size < size ? offset + part.size : 0;
    seen->element_size = size;
    seen->parts++;
    if (seen->is_stream && seen->parts_left == 0) abort();
    if (seen->is_stream && offset + part.size == size) seen->parts_left--;
    seen->sum = crc64(seen->sum, part.bytes, part.size);
    return 0;
}

static int on_end(void *context)
{
    struct seen *seen = context;

    if (seen->expected_offset != 0) abort();
    seen->ends++;
    return 0;
}

static int on_other(void *context, enum rdb_other what, struct slice name, struct slice value)
{
    struct seen *seen = context;

    (void)what;
    seen->sum = crc64(seen->sum, name.bytes, name.size);
    seen->sum = crc64(seen->sum, value.bytes, value.size);
    return 0;
}

static int on_entry(void *context, struct rdb_stream_id id, uint64_t part_count)
{
    struct seen *seen = context;

    if (seen->parts_left != 0 || part_count == 0 || part_count % 2 != 0) abort();
    if (rdb_stream_id_compare(id, seen->last_id) <= 0) abort();
    seen->last_id = id;
    seen->parts_left = part_count;
    return 0;
}

static int on_state(void *context, const struct rdb_stream_state *state)
{
    struct seen *seen = context;

    if (seen->parts_left != 0 || rdb_stream_id_compare(state->last_id, seen->last_id) < 0) abort();
    return 0;
}

static int on_group(void *context, const struct rdb_group *group)
{
    struct seen *seen = context;

    seen->sum = crc64(seen->sum, group->name.bytes, group->name.size);
    return 0;
}

static int on_consumer(void *context, const struct rdb_consumer *consumer)
{
    struct seen *seen = context;

    seen->sum = crc64(seen->sum, consumer->name.bytes, consumer->name.size);
    return 0;
}

static int on_pending(void *context, const struct rdb_consumer *owner,
                      const struct rdb_pending *pending)
{
    struct seen *seen = context;

    if (owner) seen->sum = crc64(seen->sum, owner->name.bytes, owner->name.size);
    seen->sum = crc64(seen->sum, &pending->id, sizeof(pending->id));
    return 0;
}

static int on_produced(void *context, const struct rdb_produced *produced)
{
    struct seen *seen = context;

    seen->sum = crc64(seen->sum, produced->producer.bytes, produced->producer.size);
    seen->sum = crc64(seen->sum, produced->id.bytes, produced->id.size);
    return 0;
}

static int read_once(const uint8_t *bytes, size_t size, struct seen *out_seen)
{
    static const struct rdb_visitor visitor = {
        .key = on_key,
        .part = on_part,
        .value_end = on_end,
        .other = on_other,
        .stream = { .entry = on_entry,
                    .state = on_state,
                    .group = on_group,
                    .consumer = on_consumer,
                    .pending = on_pending,
                    .produced = on_produced },
    };
    struct rdb_input input;
    int rc;

    *out_seen = (struct seen){ 0 };
    rdb_input_of_bytes(slice_of(bytes, size), &input);
    rc = rdb_read(&input, &visitor, out_seen);
    if ((rc < 0) != (rdb_input_error(&input)[0] != '\0')) abort();
    if (input.position > size) abort();
    rdb_input_close(&input);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen seen, again;
    uint8_t *bytes;
    int rc;

    if (size < 1) return 0;
    bytes = malloc(size + 9);
    if (!bytes) return 0;
    size--;
    memcpy(bytes, data + 1, size);
    rc = read_once(bytes, size, &seen);
    if (rc != read_once(bytes, size, &again) || memcmp(&seen, &again, sizeof(seen)) != 0) abort();
    if (data[0] & 1) {
        bytes[size] = 0xff;
        store_u64le(bytes + size + 1, crc64(0, bytes, size + 1));
        (void)read_once(bytes, size + 9, &seen);
    }
    free(bytes);
    return 0;
}
