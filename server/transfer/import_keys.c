/* import_keys.c - keys of an RDB file as commands.
 *
 *   a string                     SET name value [NX] [PXAT at]
 *   a list, when keys are kept   EXISTS name, whose answer is waited for (not where none can be)
 *           when they are not    DEL name
 *                                RPUSH name element …, in batches; a long element has one to itself
 *                                PEXPIREAT name at
 *   a stream                     likewise, but for its parts: import_stream.c */
#include <errno.h>

#include "modules/base/clock.h"
#include "modules/base/number.h"
#include "server/transfer/import_internal.h"

static int send_words(struct import *import, const struct slice *words, uint32_t count)
{
    int rc = feed_begin(import->feed, count);

    for (uint32_t i = 0; i < count && rc == 0; i++)
        rc = feed_argument(import->feed, words[i]);
    return rc;
}

static int send_number(struct import *import, int64_t number)
{
    char text[NUMBER_INT64_BYTES_MAX];

    return feed_argument(import->feed, slice_of(text, number_format_int64(text, number)));
}

int import_select(struct import *import, uint64_t database)
{
    int rc;

    if (import->database == (int64_t)database) return 0;
    rc = feed_begin(import->feed, 2);
    if (rc == 0) rc = feed_argument(import->feed, SLICE_LITERAL("SELECT"));
    if (rc == 0) rc = send_number(import, (int64_t)database);
    import->database = (int64_t)database;
    return rc;
}

void import_count(struct import *import)
{
    (void)atomic_fetch_add_explicit(&import->keys, 1, memory_order_relaxed);
}

/* ---- which keys --------------------------------------------------------------------------------
 */

/* 1: it is there. */
static int is_there(struct import *import, struct slice name)
{
    struct slice words[] = { SLICE_LITERAL("EXISTS"), name };
    int rc = send_words(import, words, 2);

    if (rc == 0) rc = feed_wait(import->feed);
    return rc < 0 ? rc : feed_replies(import->feed)->last_integer > 0;
}

/* A list or stream. 1: its elements, or entries, are wanted. */
static int begin_parts(struct import *import)
{
    struct slice words[] = { SLICE_LITERAL("DEL"), import->key.name };
    int rc;

    if (import->options.replaces) {
        rc = send_words(import, words, 2);
        return rc < 0 ? rc : 1;
    }
    /* Each question waits for its answer, and that for a sync where the log is synced always. */
    if (import->options.is_alone && import->options.is_empty) return 1;
    rc = is_there(import, import->key.name);
    if (rc == 1) import->summary.existing++;
    return rc < 0 ? rc : !rc;
}

int import_key(void *context, const struct rdb_key *key)
{
    struct import *import = context;
    struct import_summary *summary = &import->summary;
    int rc;

    if (atomic_load_explicit(&import->is_canceled, memory_order_relaxed)) return -ECANCELED;
    if (key->kind != RDB_STRING && key->kind != RDB_LIST && key->kind != RDB_STREAM) {
        summary->kinds[key->kind]++;
        return 0;
    }
    if (key->database >= import->options.database_count) {
        summary->other_databases++;
        return 0;
    }
    if (key->expires_at_ms >= 0 && key->expires_at_ms <= clock_realtime_ms()) {
        summary->expired++;
        return 0;
    }
    import->key = *key;
    import->elements = 0;
    import->batch.count = 0;
    rc = import_select(import, key->database);
    if (rc < 0) return rc;
    return key->kind == RDB_STRING ? 1 : begin_parts(import);
}

/* ---- strings -----------------------------------------------------------------------------------
 */

static int begin_string(struct import *import, uint64_t size)
{
    uint64_t count = 3;
    int rc;

    import->is_dropped = size > import->options.value_bytes_max;
    if (import->is_dropped) {
        import->summary.long_values++;
        return 0;
    }
    if (!import->options.replaces) count++;
    if (import->key.expires_at_ms >= 0) count += 2;
    rc = feed_begin(import->feed, count);
    if (rc == 0) rc = feed_argument(import->feed, SLICE_LITERAL("SET"));
    if (rc == 0) rc = feed_argument(import->feed, import->key.name);
    return rc < 0 ? rc : feed_argument_begin(import->feed, size);
}

static int end_string(struct import *import)
{
    int rc = feed_argument_end(import->feed);

    if (rc == 0 && !import->options.replaces) rc = feed_argument(import->feed, SLICE_LITERAL("NX"));
    if (rc == 0 && import->key.expires_at_ms >= 0) {
        rc = feed_argument(import->feed, SLICE_LITERAL("PXAT"));
        if (rc == 0) rc = send_number(import, import->key.expires_at_ms);
    }
    import->summary.strings++;
    import_count(import);
    return rc;
}

static int string_part(struct import *import, struct slice part, uint64_t offset, uint64_t size)
{
    int rc = offset == 0 ? begin_string(import, size) : 0;

    if (rc < 0 || import->is_dropped) return rc;
    rc = feed_part(import->feed, part);
    if (rc == 0 && offset + part.size == size) rc = end_string(import);
    return rc;
}

/* SET … NX answers nothing when the key is there. */
int import_end_keys(struct import *import)
{
    uint64_t kept;
    int rc = feed_wait(import->feed);

    if (rc < 0) return rc;
    kept = feed_replies(import->feed)->nil_count;
    import->summary.existing += kept;
    import->summary.strings -= kept;
    return 0;
}

/* ---- lists -------------------------------------------------------------------------------------
 */

static int begin_push(struct import *import, uint32_t element_count)
{
    int rc = feed_begin(import->feed, 2 + (uint64_t)element_count);

    if (rc == 0) rc = feed_argument(import->feed, SLICE_LITERAL("RPUSH"));
    return rc < 0 ? rc : feed_argument(import->feed, import->key.name);
}

static int send_batch(struct import *import)
{
    struct import_batch *batch = &import->batch;
    uint32_t begin = 0;
    int rc = 0;

    if (batch->count == 0) return 0;
    rc = begin_push(import, batch->count);
    for (uint32_t i = 0; i < batch->count && rc == 0; i++) {
        rc = feed_argument(import->feed,
                           slice_of(batch->bytes + begin, batch->ends[i] - (size_t)begin));
        begin = batch->ends[i];
    }
    import->elements += batch->count;
    batch->count = 0;
    return rc;
}

static int batch_element(struct import *import, struct slice element)
{
    struct import_batch *batch = &import->batch;
    uint32_t begin = batch->count > 0 ? batch->ends[batch->count - 1] : 0;

    if (batch->count == BATCH_ELEMENTS || element.size > BATCH_BYTES - (size_t)begin) {
        int rc = send_batch(import);
        if (rc < 0) return rc;
        begin = 0;
    }
    if (element.size > 0) memcpy(batch->bytes + begin, element.bytes, element.size);
    batch->ends[batch->count++] = begin + (uint32_t)element.size;
    return 0;
}

static int begin_long_element(struct import *import, uint64_t size)
{
    int rc;

    import->is_dropped = size > import->options.value_bytes_max;
    if (import->is_dropped) {
        import->summary.long_elements++;
        return 0;
    }
    rc = send_batch(import);
    if (rc == 0) rc = begin_push(import, 1);
    return rc < 0 ? rc : feed_argument_begin(import->feed, size);
}

static int element_part(struct import *import, struct slice part, uint64_t offset, uint64_t size)
{
    int rc = 0;

    if (part.size == size && size <= BATCH_BYTES && size <= import->options.value_bytes_max)
        return batch_element(import, part);
    if (offset == 0) rc = begin_long_element(import, size);
    if (rc < 0 || import->is_dropped) return rc;
    rc = feed_part(import->feed, part);
    if (rc < 0 || offset + part.size < size) return rc;
    import->elements++;
    return feed_argument_end(import->feed);
}

static int send_expiry(struct import *import)
{
    int rc;

    if (import->key.expires_at_ms < 0) return 0;
    rc = feed_begin(import->feed, 3);
    if (rc == 0) rc = feed_argument(import->feed, SLICE_LITERAL("PEXPIREAT"));
    if (rc == 0) rc = feed_argument(import->feed, import->key.name);
    return rc < 0 ? rc : send_number(import, import->key.expires_at_ms);
}

static int end_list(struct import *import)
{
    int rc = send_batch(import);

    if (rc < 0 || import->elements == 0) return rc;
    import->summary.lists++;
    import->summary.elements += import->elements;
    import_count(import);
    return send_expiry(import);
}

/* ---- the visitor's -----------------------------------------------------------------------------
 */

int import_part(void *context, struct slice part, uint64_t offset, uint64_t size)
{
    struct import *import = context;

    switch (import->key.kind) {
    case RDB_STRING:
        return string_part(import, part, offset, size);
    case RDB_LIST:
        return element_part(import, part, offset, size);
    default:
        return import_entry_part(import, part, offset, size);
    }
}

int import_value_end(void *context)
{
    struct import *import = context;

    if (import->key.kind == RDB_LIST) return end_list(import);
    if (import->key.kind != RDB_STREAM) return 0;
    import_end_stream(import);
    return send_expiry(import);
}

int import_other(void *context, enum rdb_other what, struct slice name, struct slice value)
{
    struct import *import = context;

    (void)name;
    (void)value;
    if (what == RDB_FUNCTION) import->summary.functions++;
    if (what == RDB_MODULE_AUX) import->summary.module_data++;
    if (what == RDB_LONG_NAME) import->summary.long_names++;
    if (what == RDB_LONG_NAME_INSIDE) import->summary.long_names_inside++;
    if (what == RDB_PENDING_TOO_MANY) import->summary.pending_too_many++;
    return 0;
}
