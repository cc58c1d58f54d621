#include "server/durability/checkpoint_load.h"

#include "modules/base/clock.h"
#include "modules/spill/persist.h"
#include "modules/stream/group.h"
#include "modules/stream/producers.h"
#include "server/durability/checkpoint_files.h"
#include "server/durability/checkpoint_load_stream.h"
#include "server/durability/checkpoint_reader.h"
#include "server/keyspace/keyspace.h"
#include "server/types/list.h"
#include "server/types/stream.h"
#include "server/types/string.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SMALL_BYTES = 64 * 1024, /* names and values up to this come through a buffer of ours */
    KEYS_A_LOOK = 64,        /* at the clock */
};

struct checkpoint_load {
    struct checkpoint_reader *reader;
    uint8_t *state;
    size_t state_size;
    uint64_t key_count, total_key_count;
    struct checkpoint_stream_load streams;
    char error[CHECKPOINT_ERROR_BYTES];
    uint8_t name[SMALL_BYTES], value[SMALL_BYTES];
};

/* ---- reading through ---- */

static int add_state(struct checkpoint_load *load, uint64_t size)
{
    uint8_t *grown = realloc(load->state, load->state_size + size + 1);
    int rc;
    if (!grown) return -ENOMEM;
    load->state = grown;
    rc = checkpoint_reader_read(load->reader, grown + load->state_size, size);
    if (rc == 0) load->state_size += size;
    return rc;
}

/* The whole file is as it was written; what the store needs is at hand. */
static int read_through(struct checkpoint_load *load)
{
    struct checkpoint_record record;
    int rc;
    while ((rc = checkpoint_reader_next(load->reader, &record)) == 1) {
        if (record.kind == CHECKPOINT_STORE)
            rc = add_state(load, record.value_size);
        else if (checkpoint_record_is_key(record.kind))
            load->total_key_count++;
        if (rc < 0) return rc;
    }
    checkpoint_reader_rewind(load->reader);
    return rc;
}

static int open_newest(struct os *os, const char *directory, uint64_t number,
                       struct checkpoint_load *load)
{
    char *path = checkpoint_files_path(directory, number, false);
    int rc = path ? checkpoint_reader_open(os, path, load->error, &load->reader) : -ENOMEM;
    free(path);
    if (rc == 0 && checkpoint_reader_head(load->reader)->number != number)
        rc = checkpoint_reader_refuse(load->reader, "it was made under another name");
    return rc < 0 ? rc : read_through(load);
}

int checkpoint_load_open(struct os *os, const char *directory, struct checkpoint_load **out_load)
{
    struct checkpoint_load *load;
    uint64_t number;
    int rc;
    *out_load = NULL;
    rc = checkpoint_files_newest(os, directory, &number);
    if (rc == 0 && number == 0) return 0;
    load = calloc(1, sizeof(*load));
    if (!load) return -ENOMEM;
    if (rc == 0) rc = open_newest(os, directory, number, load);
    if (rc < 0 && load->error[0] == '\0')
        (void)snprintf(load->error, sizeof(load->error), "%s: %s", directory, strerror(-rc));
    *out_load = load;
    return rc < 0 ? rc : 1;
}

void checkpoint_load_close(struct checkpoint_load *load)
{
    if (!load) return;
    checkpoint_reader_close(load->reader);
    checkpoint_load_streams_finish(&load->streams);
    free(load->state);
    free(load);
}

const struct checkpoint_head *checkpoint_load_head(const struct checkpoint_load *load)
{
    return checkpoint_reader_head(load->reader);
}

struct slice checkpoint_load_state(const struct checkpoint_load *load)
{
    return slice_of(load->state, load->state_size);
}

/* ---- making keys ---- */

/* Reads into small, or into an allocation of its own when that is too small: *out_bytes is either.
 */
static int read_bytes(struct checkpoint_load *load, uint64_t size, uint8_t *small,
                      uint8_t **out_bytes)
{
    *out_bytes = size <= SMALL_BYTES ? small : malloc(size);
    if (!*out_bytes) return -ENOMEM;
    return checkpoint_reader_read(load->reader, *out_bytes, size);
}

static void free_bytes(const uint8_t *small, uint8_t *bytes)
{
    if (bytes != small) free(bytes);
}

static int load_string(struct checkpoint_load *load, uint64_t size, struct value **out_value)
{
    struct value *value = NULL;
    uint8_t *bytes;
    int rc;
    if (size <= SMALL_BYTES) {
        rc = checkpoint_reader_read(load->reader, load->value, size);
        return rc < 0 ? rc : string_value_create(slice_of(load->value, size), out_value);
    }
    rc = string_value_create_unset(size, &bytes, &value);
    if (rc < 0) return rc;
    rc = checkpoint_reader_read(load->reader, bytes, size);
    if (rc < 0) {
        value->type->destroy(value);
        return rc;
    }
    *out_value = value;
    return 0;
}

static int load_list(struct checkpoint_load *load, struct spill_store *store, uint64_t size,
                     struct value **out_value)
{
    struct spill_deque *deque;
    int rc;
    if (size > SPILL_ROOT_BYTES_MAX)
        return checkpoint_reader_refuse(load->reader, "a list's root is too long");
    rc = checkpoint_reader_read(load->reader, load->value, size);
    if (rc < 0) return rc;
    rc = spill_deque_load(store, slice_of(load->value, size), &deque);
    if (rc == -EBADMSG) return checkpoint_reader_refuse(load->reader, "a list's root is damaged");
    if (rc < 0) return rc;
    rc = list_create_of(deque, out_value);
    if (rc < 0) spill_deque_destroy(deque);
    return rc;
}

static int add_key(struct checkpoint_load *load, struct keyspace *keyspace,
                   const struct checkpoint_record *record, struct slice name, struct value *value)
{
    struct key *key;
    int rc = -EBADMSG;
    assert(value);
    if (keyspace_find(keyspace, record->database, name))
        (void)checkpoint_reader_refuse(load->reader, "a key is there twice");
    else
        rc = keyspace_add(keyspace, record->database, name, value, &key);
    if (rc < 0) {
        value->type->destroy(value);
        return rc;
    }
    load->key_count++;
    return keyspace_set_expiry(keyspace, key, record->expires_at_ms);
}

static int load_value(struct checkpoint_load *load, const struct checkpoint_target *target,
                      const struct checkpoint_record *record, struct value **out_value)
{
    switch (record->kind) {
    case CHECKPOINT_STRING:
        return load_string(load, record->value_size, out_value);
    case CHECKPOINT_LIST:
        return load_list(load, target->lists, record->value_size, out_value);
    default:
        assert(record->kind == CHECKPOINT_STREAM);
        return checkpoint_load_stream(&load->streams, load->reader, target->streams, target->groups,
                                      record->value_size, out_value);
    }
}

static int load_key(struct checkpoint_load *load, const struct checkpoint_target *target,
                    const struct checkpoint_record *record, struct slice name)
{
    struct value *value = NULL;
    int rc = load_value(load, target, record, &value);
    return rc < 0 ? rc : add_key(load, target->keyspace, record, name, value);
}

/* All pieces of it have come, for the stream of that name. */
static int give_part(struct checkpoint_load *load, struct keyspace *keyspace, unsigned database,
                     struct slice name, const struct checkpoint_stream_part *part)
{
    struct key *key = keyspace_find(keyspace, database, name);
    struct value *value = key ? key_value(key) : NULL;
    if (!value || value->type->kind != VALUE_STREAM ||
        (part->groups ? stream_value_groups(value) != NULL
                      : stream_value_producers(value) != NULL)) {
        stream_groups_destroy(part->groups);
        stream_producers_destroy(part->producers);
        return checkpoint_reader_refuse(load->reader, "groups or producers belong to no stream");
    }
    if (part->groups)
        stream_value_set_groups(value, part->groups);
    else
        stream_value_set_producers(value, part->producers);
    keyspace_account(keyspace, stream_value_recount(value));
    return 0;
}

static int load_piece(struct checkpoint_load *load, const struct checkpoint_target *target,
                      const struct checkpoint_record *record, struct slice name)
{
    struct checkpoint_stream_part part = { 0 };
    int rc = checkpoint_load_piece(&load->streams, load->reader, target->streams, target->groups,
                                   record, name, &part);
    return rc == 1 ? give_part(load, target->keyspace, record->database, name, &part) : rc;
}

static int load_record(struct checkpoint_load *load, const struct checkpoint_target *target,
                       const struct checkpoint_record *record)
{
    uint8_t *name = NULL;
    int rc;
    if (record->kind == CHECKPOINT_STORE) return 0;
    if (record->database >= keyspace_database_count(target->keyspace))
        return checkpoint_reader_refuse(load->reader,
                                        "a key is in a database that there is not (see databases)");
    rc = read_bytes(load, record->name_size, load->name, &name);
    if (rc == 0 && checkpoint_record_is_piece(record->kind))
        rc = load_piece(load, target, record, slice_of(name, record->name_size));
    else if (rc == 0)
        rc = load_key(load, target, record, slice_of(name, record->name_size));
    free_bytes(load->name, name);
    return rc;
}

static int fail(struct checkpoint_load *load, int rc)
{
    if (load->error[0] == '\0')
        (void)snprintf(load->error, sizeof(load->error), "%s", strerror(-rc));
    return rc;
}

/* 1: a record was loaded. 0: that was all. */
static int load_next(struct checkpoint_load *load, const struct checkpoint_target *target)
{
    struct checkpoint_record record;
    int rc = checkpoint_reader_next(load->reader, &record);
    if (rc == 0) return checkpoint_load_streams_end(&load->streams, load->reader);
    if (rc == 1) rc = load_record(load, target, &record);
    return rc < 0 ? rc : 1;
}

int checkpoint_load_step(struct checkpoint_load *load, const struct checkpoint_target *target,
                         uint64_t limit_us)
{
    uint64_t began_us = clock_monotonic_us();
    do {
        for (int i = 0; i < KEYS_A_LOOK; i++) {
            int rc = load_next(load, target);
            if (rc < 0) return fail(load, rc);
            if (rc == 0) return 0;
        }
    } while (clock_monotonic_us() - began_us < limit_us);
    return 1;
}

const char *checkpoint_load_error(const struct checkpoint_load *load)
{
    return load->error;
}

void checkpoint_load_get_progress(const struct checkpoint_load *load,
                                  struct checkpoint_load_progress *out_progress)
{
    *out_progress = (struct checkpoint_load_progress){
        .key_count = load->key_count,
        .total_key_count = load->total_key_count,
        .loaded_bytes = checkpoint_reader_position(load->reader),
        .total_bytes = checkpoint_reader_size(load->reader),
    };
}
