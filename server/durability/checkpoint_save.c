/* A key becomes a record. Large strings are lent to the writer, so that a hundred megabytes cost
 * the loop nothing; a list's root comes when the store has written what was in memory only, and
 * until then its name is kept here. */
#include "server/durability/checkpoint_internal.h"

#include "modules/pool/packet.h"
#include "modules/spill/persist.h"
#include "server/keyspace/keyspace.h"
#include "server/types/list.h"
#include "server/types/string.h"

#include <errno.h>
#include <stdlib.h>

struct saved_list {
    struct checkpoint *checkpoint;
    struct checkpoint_record record;
    uint8_t name[];
};

static struct checkpoint_record record_of(const struct pictured_key *key,
                                          enum checkpoint_record_kind kind, uint64_t value_size)
{
    return (struct checkpoint_record){ .kind = kind,
                                       .database = key->database,
                                       .name_size = (uint32_t)key->name.size,
                                       .value_size = value_size,
                                       .expires_at_ms = key->expires_at_ms };
}

/* Lending counts in the keyspace: the loan has a descriptor. */
static struct packet *lend(const struct checkpoint *checkpoint, struct value *value)
{
    uint64_t before = value->type->counted_bytes(value);
    struct packet *packet = string_value_lend(value, checkpoint->options.pool);
    if (packet)
        keyspace_account(checkpoint->options.keyspace,
                         (int64_t)(value->type->counted_bytes(value) - before));
    return packet;
}

static void save_string(struct checkpoint *checkpoint, const struct pictured_key *key)
{
    char digits[STRING_DIGITS_MAX];
    struct slice bytes = string_value_view(key->value, digits);
    struct checkpoint_record record = record_of(key, CHECKPOINT_STRING, bytes.size);
    struct packet *packet = lend(checkpoint, key->value);
    checkpoint_writer_begin_record(checkpoint->writer, &record, key->name);
    if (packet)
        checkpoint_writer_put_packet(checkpoint->writer, packet);
    else
        checkpoint_writer_put(checkpoint->writer, bytes);
}

static void list_saved(void *context, int rc, struct slice root)
{
    struct saved_list *saved = context;
    struct checkpoint *checkpoint = saved->checkpoint;
    if (rc < 0) {
        checkpoint_spoil(checkpoint, rc, "writing lists");
    } else if (checkpoint->error == 0) {
        saved->record.value_size = root.size;
        checkpoint_writer_begin_record(checkpoint->writer, &saved->record,
                                       slice_of(saved->name, saved->record.name_size));
        checkpoint_writer_put(checkpoint->writer, root);
    }
    free(saved);
}

static void save_list(struct checkpoint *checkpoint, const struct pictured_key *key)
{
    struct saved_list *saved = malloc(sizeof(*saved) + key->name.size);
    int rc = -ENOMEM;
    if (saved) {
        saved->checkpoint = checkpoint;
        saved->record = record_of(key, CHECKPOINT_LIST, 0);
        if (key->name.size > 0) memcpy(saved->name, key->name.bytes, key->name.size);
        rc = spill_checkpoint_save(list_deque(key->value), list_saved, saved);
    }
    if (rc == 0) return;
    checkpoint_spoil(checkpoint, rc, "saving a list");
    free(saved);
}

void checkpoint_save_key(void *context, const struct pictured_key *key)
{
    struct checkpoint *checkpoint = context;
    if (checkpoint->error) return; /* nothing more is needed */
    switch (key->value->type->kind) {
    case VALUE_STRING:
        save_string(checkpoint, key);
        break;
    case VALUE_LIST:
        save_list(checkpoint, key);
        break;
    case VALUE_STREAM:
        checkpoint_save_stream(checkpoint, key);
        break;
    case VALUE_KIND_COUNT:
        break;
    }
}

int checkpoint_save_store(struct checkpoint *checkpoint)
{
    struct checkpoint_record record = { .kind = CHECKPOINT_STORE, .expires_at_ms = -1 };
    struct slice piece;
    int rc = spill_checkpoint_state(checkpoint->options.store, &piece);
    if (rc != 1) return rc;
    record.value_size = piece.size;
    checkpoint_writer_begin_record(checkpoint->writer, &record, (struct slice){ 0 });
    checkpoint_writer_put(checkpoint->writer, piece);
    return 1;
}
