/* export_streams.c - streams as the commands that make them, in any Redis from 7.0 on:
 *
 *   DEL name
 *   XADD name id field value …         an entry; when there is none: XADD name MAXLEN 0 id x y
 *   XSETID name last-id ENTRIESADDED n MAXDELETEDID id
 *   XGROUP CREATE name group last-id [ENTRIESREAD n]
 *   XGROUP CREATECONSUMER name group consumer
 *   XCLAIM name group consumer 0 id TIME ms RETRYCOUNT n JUSTID FORCE
 *   PEXPIREAT name at
 *
 * A stream that is small and in memory is written when the picture comes to it. Of others a
 * snapshot of the entries is kept, and a picture of the groups; they follow one after the other, in
 * slices. Not told: what producers have added, pending entries that are nobody's, settings (7.0
 * knows none of them). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "modules/stream/group.h"
#include "modules/stream/stream.h"
#include "server/commands/export_put.h"
#include "server/commands/exporting.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/commands/stream_words.h"
#include "server/types/stream.h"

enum {
    AT_ONCE_BYTES = 16384, /* of a stream that is written when the picture comes to it */
    AT_ONCE_ENTRIES = 512,
    ENTRIES_A_LOOK = 64,  /* how far the file is */
    PENDING_A_LOOK = 512, /* fewer are put without a rest, which the picture could not take */
    PIECE_BYTES = 16384,  /* of groups */
};

struct exported_stream {
    struct list_link link;
    struct stream *snapshot;
    struct stream_groups_picture *groups; /* NULL: it has none */
    unsigned database;
    int64_t expires_at_ms;
    size_t name_size;
    uint8_t name[];
};

static void destroy(struct exported_stream *exported)
{
    stream_destroy(exported->snapshot);
    stream_groups_picture_drop(exported->groups);
    free(exported);
}

/* ---- entries -----------------------------------------------------------------------------------
 */

static void put_id(struct exporting *exporting, struct stream_id id)
{
    char text[STREAM_ID_TEXT_BYTES];

    export_put_argument(exporting, slice_of(text, stream_id_format(text, id)));
}

static void begin(struct exporting *exporting, uint64_t count, const char *command,
                  struct slice name)
{
    export_put_count(exporting, count);
    export_put_text(exporting, command);
    export_put_argument(exporting, name);
}

static void put_entry(struct exporting *exporting, struct slice name,
                      const struct stream_entry *entry)
{
    begin(exporting, 3 + (uint64_t)entry->field_count, "XADD", name);
    put_id(exporting, entry->id);
    export_put(exporting, entry->fields); /* they lie there as a client sends them */
    exporting->entries++;
}

/* Room in the file, and a turn for others. */
static int rest(struct exporting *exporting)
{
    int rc = export_wait(exporting);

    return rc < 0 ? rc : parking_breathe(exporting->server);
}

static int put_entries(struct exporting *exporting, struct slice name, struct stream *snapshot)
{
    struct stream_cursor cursor;
    struct stream_entry entry;
    int rc = 1;

    stream_cursor_begin(&cursor, snapshot, STREAM_ID_MIN, STREAM_FORWARD);
    while (rc == 1) {
        for (int i = 0; i < ENTRIES_A_LOOK && rc == 1 && !export_is_ahead(exporting); i++) {
            rc = stream_cursor_next(&cursor, &entry);
            if (rc == 1) put_entry(exporting, name, &entry);
        }
        if (rc == 1) {
            int waited = rest(exporting);
            if (waited < 0) rc = waited;
        }
    }
    return rc;
}

static void put_state(struct exporting *exporting, struct slice name, struct stream *snapshot)
{
    struct stream_info info;

    stream_get_info(snapshot, &info);
    if (info.count == 0) {
        bool is_unused = stream_id_compare(info.last_id, STREAM_ID_MIN) == 0;
        begin(exporting, 7, "XADD", name);
        export_put_text(exporting, "MAXLEN");
        export_put_text(exporting, "0");
        put_id(exporting, is_unused ? (struct stream_id){ 0, 1 } : info.last_id);
        export_put_text(exporting, "x");
        export_put_text(exporting, "y");
    }
    begin(exporting, 7, "XSETID", name);
    put_id(exporting, info.last_id);
    export_put_text(exporting, "ENTRIESADDED");
    export_put_number(exporting, (int64_t)info.entries_added);
    export_put_text(exporting, "MAXDELETEDID");
    put_id(exporting, info.max_deleted_id);
}

/* ---- groups ------------------------------------------------------------------------------------
 */

static void put_group(struct exporting *exporting, struct slice name,
                      const struct stream_group *group)
{
    int64_t read = stream_group_entries_read(group);

    export_put_count(exporting, read < 0 ? 5 : 7);
    export_put_text(exporting, "XGROUP");
    export_put_text(exporting, "CREATE");
    export_put_argument(exporting, name);
    export_put_argument(exporting, stream_group_name(group));
    put_id(exporting, stream_group_last_id(group));
    if (read < 0) return;
    export_put_text(exporting, "ENTRIESREAD");
    export_put_number(exporting, read);
}

static void put_consumer(struct exporting *exporting, struct slice name,
                         const struct stream_group *group, const struct stream_consumer *consumer)
{
    export_put_count(exporting, 5);
    export_put_text(exporting, "XGROUP");
    export_put_text(exporting, "CREATECONSUMER");
    export_put_argument(exporting, name);
    export_put_argument(exporting, stream_group_name(group));
    export_put_argument(exporting, stream_consumer_name(consumer));
}

static void put_claim(struct exporting *exporting, struct slice name,
                      const struct stream_group *group, const struct stream_pending *pending)
{
    begin(exporting, 12, "XCLAIM", name);
    export_put_argument(exporting, stream_group_name(group));
    export_put_argument(exporting, stream_consumer_name(pending->consumer));
    export_put_text(exporting, "0");
    put_id(exporting, pending->id);
    export_put_text(exporting, "TIME");
    export_put_number(exporting, (int64_t)pending->delivered_ms);
    export_put_text(exporting, "RETRYCOUNT");
    export_put_number(exporting, (int64_t)pending->delivery_count);
    export_put_text(exporting, "JUSTID");
    export_put_text(exporting, "FORCE");
}

static int put_pending(struct exporting *exporting, struct slice name,
                       const struct stream_group *group)
{
    struct stream_id from = STREAM_ID_MIN;
    struct stream_pending pending;
    unsigned count = 0;
    int rc = 0;

    while (rc == 0 && stream_group_next_pending(group, NULL, from, UINT64_MAX, &pending) == 1) {
        if (pending.consumer) put_claim(exporting, name, group, &pending);
        from = pending.id;
        if (!stream_id_increment(&from)) break;
        if (++count % PENDING_A_LOOK == 0) rc = rest(exporting);
    }
    return rc;
}

static int put_groups(struct exporting *exporting, struct slice name,
                      const struct stream_groups *groups)
{
    int rc = 0;

    for (uint32_t i = 0; i < stream_groups_count(groups) && rc == 0; i++) {
        const struct stream_group *group = stream_groups_at(groups, i);

        put_group(exporting, name, group);
        for (uint32_t k = 0; k < stream_group_consumer_count(group); k++)
            put_consumer(exporting, name, group, stream_group_consumer_at(group, k));
        rc = put_pending(exporting, name, group);
    }
    return rc;
}

/* The groups of a picture, which are the caller's. */
static int load_groups(struct exporting *exporting, struct stream_groups_picture *picture,
                       struct stream_groups **out_groups)
{
    struct stream_groups_loader *loader;
    uint8_t piece[PIECE_BYTES];
    size_t size;
    int rc = stream_groups_loader_create(exporting->server->stream_groups, &loader);

    if (rc < 0) return rc;
    while (rc == 0 && (size = stream_groups_picture_read(picture, piece, sizeof(piece))) > 0) {
        rc = stream_groups_loader_add(loader, slice_of(piece, size));
        if (rc == 0) rc = parking_breathe(exporting->server);
    }
    if (rc == 0) rc = stream_groups_loader_finish(loader, out_groups);
    stream_groups_loader_destroy(loader);
    return rc;
}

static int export_groups(struct exporting *exporting, struct slice name,
                         struct stream_groups_picture *picture)
{
    struct stream_groups *groups = NULL;
    int rc = load_groups(exporting, picture, &groups);

    if (rc == 0) rc = put_groups(exporting, name, groups);
    stream_groups_destroy(groups);
    return rc;
}

/* ---- when the picture comes to a stream --------------------------------------------------------
 */

static bool has_few_pending(const struct stream_groups *groups)
{
    uint64_t count = 0;

    for (uint32_t i = 0; groups && i < stream_groups_count(groups); i++)
        count += stream_group_pending_count(stream_groups_at(groups, i));
    return count < PENDING_A_LOOK;
}

static bool is_small(const struct value *value)
{
    struct stream_info info;

    stream_get_info(stream_value_stream(value), &info);
    return info.is_in_memory && info.memory_bytes <= AT_ONCE_BYTES &&
           info.count <= AT_ONCE_ENTRIES && has_few_pending(stream_value_groups(value));
}

static int save_at_once(struct exporting *exporting, const struct pictured_key *key)
{
    struct stream *stream = stream_value_stream(key->value);
    const struct stream_groups *groups = stream_value_groups(key->value);
    struct stream_cursor cursor;
    struct stream_entry entry;
    int rc;

    export_select(exporting, key->database);
    export_put_delete(exporting, key->name);
    stream_cursor_begin(&cursor, stream, STREAM_ID_MIN, STREAM_FORWARD);
    while ((rc = stream_cursor_next(&cursor, &entry)) == 1)
        put_entry(exporting, key->name, &entry);
    if (rc < 0) return rc;
    put_state(exporting, key->name, stream);
    if (groups) rc = put_groups(exporting, key->name, groups);
    export_put_expiry(exporting, key->name, key->expires_at_ms);
    return rc;
}

static int keep_groups(struct exported_stream *exported, const struct stream_groups *groups)
{
    if (!groups || stream_groups_count(groups) == 0) return 0;
    return stream_groups_picture_take(groups, &exported->groups);
}

static int keep_stream(struct exporting *exporting, const struct pictured_key *key)
{
    struct exported_stream *exported = calloc(1, sizeof(*exported) + key->name.size);
    int rc;

    if (!exported) return -ENOMEM;
    rc = stream_snapshot(stream_value_stream(key->value), &exported->snapshot);
    if (rc == 0) rc = keep_groups(exported, stream_value_groups(key->value));
    if (rc < 0) {
        destroy(exported);
        return rc;
    }
    exported->database = key->database;
    exported->expires_at_ms = key->expires_at_ms;
    exported->name_size = key->name.size;
    if (key->name.size > 0) memcpy(exported->name, key->name.bytes, key->name.size);
    list_init(&exported->link);
    list_push_back(&exporting->streams, &exported->link);
    return 0;
}

int export_save_stream(struct exporting *exporting, const struct pictured_key *key)
{
    return is_small(key->value) ? save_at_once(exporting, key) : keep_stream(exporting, key);
}

/* ---- those that were kept ----------------------------------------------------------------------
 */

static int export_stream(struct exporting *exporting, const struct exported_stream *exported)
{
    struct slice name = slice_of(exported->name, exported->name_size);
    int rc;

    export_select(exporting, exported->database);
    export_put_delete(exporting, name);
    rc = put_entries(exporting, name, exported->snapshot);
    if (rc < 0) return rc;
    put_state(exporting, name, exported->snapshot);
    if (exported->groups) rc = export_groups(exporting, name, exported->groups);
    if (rc == 0) export_put_expiry(exporting, name, exported->expires_at_ms);
    return rc < 0 ? rc : rest(exporting);
}

static struct exported_stream *first(const struct exporting *exporting)
{
    struct list_link *link = list_front(&exporting->streams);

    return link ? list_container(link, struct exported_stream, link) : NULL;
}

static void forget(struct exported_stream *exported)
{
    list_remove(&exported->link);
    destroy(exported);
}

int export_streams(struct exporting *exporting)
{
    struct exported_stream *exported;
    int rc = 0;

    while (rc == 0 && (exported = first(exporting))) {
        rc = export_stream(exporting, exported);
        if (rc == 0) forget(exported);
    }
    return rc;
}

void export_forget_streams(struct exporting *exporting)
{
    struct exported_stream *exported;

    while ((exported = first(exporting)))
        forget(exported);
}
