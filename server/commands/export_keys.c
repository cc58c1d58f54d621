/* export_keys.c - keys as the commands that make them:
 *
 *   SELECT database                    where another one begins
 *   SET name value [PXAT at]
 *   DEL name, RPUSH name element …, PEXPIREAT name at
 *
 * Streams: export_streams.c. A list that is small and in memory is written when the picture comes
 * to it; of the others a snapshot is kept, and they follow one after the other, in slices, reading
 * what is on disk. */
#include <errno.h>
#include <stdlib.h>

#include "modules/spill/deque.h"
#include "server/commands/export_put.h"
#include "server/commands/exporting.h"
#include "server/commands/parking.h"
#include "server/transfer/export_file.h"
#include "server/types/list.h"
#include "server/types/string.h"

enum {
    AT_ONCE_BYTES = 16384, /* of a list that is written when the picture comes to it */
    AT_ONCE_ELEMENTS = 512,
    BATCH_ELEMENTS = 512, /* of one RPUSH */
    BATCH_BYTES = 65536,
    WAITING_BYTES = 2 * EXPORT_FILE_WRITE_BYTES, /* then the file comes first */
};

struct exported_list {
    struct list_link link;
    struct spill_snapshot *snapshot;
    unsigned database;
    int64_t expires_at_ms;
    size_t name_size;
    uint8_t name[];
};

static void put_push(struct exporting *exporting, struct slice name, uint64_t element_count)
{
    export_put_count(exporting, 2 + element_count);
    export_put_argument(exporting, SLICE_LITERAL("RPUSH"));
    export_put_argument(exporting, name);
    exporting->elements += element_count;
}

/* ---- when the picture comes to a key -----------------------------------------------------------
 */

static void save_string(struct exporting *exporting, const struct pictured_key *key)
{
    char digits[STRING_DIGITS_MAX];
    bool expires = key->expires_at_ms >= 0;

    export_select(exporting, key->database);
    export_put_count(exporting, expires ? 5 : 3);
    export_put_argument(exporting, SLICE_LITERAL("SET"));
    export_put_argument(exporting, key->name);
    export_put_argument(exporting, string_value_view(key->value, digits));
    if (!expires) return;
    export_put_argument(exporting, SLICE_LITERAL("PXAT"));
    export_put_number(exporting, key->expires_at_ms);
}

/* False: it is not small, or something of it is not in memory after all; nothing was put. */
static bool save_list_at_once(struct exporting *exporting, const struct pictured_key *key)
{
    struct spill_deque *deque = list_deque(key->value);
    struct slice items[AT_ONCE_ELEMENTS];
    uint64_t count = spill_deque_count(deque);
    unsigned have = 0;

    if (count > AT_ONCE_ELEMENTS || spill_deque_bytes(deque) > AT_ONCE_BYTES) return false;
    while (have < count) {
        int rc = spill_deque_view(deque, have, SPILL_TAIL, items + have, (unsigned)count - have);
        if (rc <= 0) return false;
        have += (unsigned)rc;
    }
    export_select(exporting, key->database);
    export_put_delete(exporting, key->name);
    put_push(exporting, key->name, count);
    for (unsigned i = 0; i < have; i++)
        export_put_argument(exporting, items[i]);
    export_put_expiry(exporting, key->name, key->expires_at_ms);
    return true;
}

static int keep_list(struct exporting *exporting, const struct pictured_key *key)
{
    struct exported_list *list = malloc(sizeof(*list) + key->name.size);
    int rc;

    if (!list) return -ENOMEM;
    rc = spill_deque_snapshot(list_deque(key->value), &list->snapshot);
    if (rc < 0) {
        free(list);
        return rc;
    }
    list->database = key->database;
    list->expires_at_ms = key->expires_at_ms;
    list->name_size = key->name.size;
    if (key->name.size > 0) memcpy(list->name, key->name.bytes, key->name.size);
    list_init(&list->link);
    list_push_back(&exporting->lists, &list->link);
    return 0;
}

void export_save(void *context, const struct pictured_key *key)
{
    struct exporting *exporting = context;

    if (exporting->error < 0) return;
    if (key->expires_at_ms >= 0 && key->expires_at_ms <= exporting->now_ms) {
        exporting->expired++;
        return;
    }
    exporting->keys++;
    switch (key->value->type->kind) {
    case VALUE_STRING:
        save_string(exporting, key);
        break;
    case VALUE_LIST:
        if (!save_list_at_once(exporting, key)) exporting->error = keep_list(exporting, key);
        break;
    case VALUE_STREAM:
        exporting->error = export_save_stream(exporting, key);
        break;
    case VALUE_KIND_COUNT:
        break;
    }
}

/* ---- the lists that were kept ------------------------------------------------------------------
 */

bool export_is_ahead(const struct exporting *exporting)
{
    const struct export_file *file = exporting->file;

    return export_file_error(file) == 0 && export_file_waiting_bytes(file) > WAITING_BYTES;
}

int export_wait(struct exporting *exporting)
{
    struct export_file *file = exporting->file;
    int rc = 0;

    export_file_write(file);
    while (rc == 0 && export_is_ahead(exporting))
        rc = parking_wait(exporting->server);
    return rc < 0 ? rc : export_file_error(file);
}

/* Elements of one RPUSH, whose count stands before them: they are gathered by their views' copies.
 */
struct gathered {
    uint8_t *bytes;
    size_t size, capacity;
    uint32_t ends[BATCH_ELEMENTS];
    uint32_t count;
};

static int gather(struct gathered *gathered, struct slice element)
{
    if (element.size > gathered->capacity - gathered->size) {
        size_t capacity = gathered->size + element.size + BATCH_BYTES;
        uint8_t *bytes = capacity > UINT32_MAX ? NULL : realloc(gathered->bytes, capacity);
        if (!bytes) return -ENOMEM;
        gathered->bytes = bytes;
        gathered->capacity = capacity;
    }
    if (element.size > 0) memcpy(gathered->bytes + gathered->size, element.bytes, element.size);
    gathered->size += element.size;
    gathered->ends[gathered->count++] = (uint32_t)gathered->size;
    return 0;
}

static void put_gathered(struct exporting *exporting, struct slice name, struct gathered *gathered)
{
    uint32_t begin = 0;

    if (gathered->count == 0) return;
    put_push(exporting, name, gathered->count);
    for (uint32_t i = 0; i < gathered->count; i++) {
        export_put_argument(exporting,
                            slice_of(gathered->bytes + begin, gathered->ends[i] - (size_t)begin));
        begin = gathered->ends[i];
    }
    gathered->count = 0;
    gathered->size = 0;
}

/* A batch; 1: there is more. */
static int put_batch(struct exporting *exporting, struct slice name, struct spill_cursor *cursor,
                     struct gathered *gathered)
{
    int rc = 1;

    while (rc == 1 && gathered->count < BATCH_ELEMENTS && gathered->size < BATCH_BYTES) {
        struct slice element;
        rc = spill_cursor_next(cursor, &element);
        if (rc == 1 && gather(gathered, element) < 0) rc = -ENOMEM;
    }
    if (rc < 0) return rc;
    put_gathered(exporting, name, gathered);
    return rc;
}

static int put_elements(struct exporting *exporting, const struct exported_list *list,
                        struct spill_cursor *cursor)
{
    struct gathered *gathered = calloc(1, sizeof(*gathered)); /* too large for a fiber's stack */
    struct slice name = slice_of(list->name, list->name_size);
    int rc = gathered ? 1 : -ENOMEM, waited = 0;

    while (rc == 1 && waited == 0) {
        rc = put_batch(exporting, name, cursor, gathered);
        if (rc < 0) break;
        spill_cursor_rest(cursor);
        waited = export_wait(exporting);
        if (waited == 0) waited = parking_breathe(exporting->server);
    }
    if (gathered) free(gathered->bytes);
    free(gathered);
    return rc < 0 ? rc : waited;
}

static int export_list(struct exporting *exporting, const struct exported_list *list)
{
    struct slice name = slice_of(list->name, list->name_size);
    struct spill_cursor *cursor;
    int rc = spill_cursor_create(list->snapshot, 0, SPILL_TAIL, &cursor);

    if (rc < 0) return rc;
    export_select(exporting, list->database);
    export_put_delete(exporting, name);
    rc = put_elements(exporting, list, cursor);
    spill_cursor_destroy(cursor);
    if (rc == 0) export_put_expiry(exporting, name, list->expires_at_ms);
    return rc;
}

static void forget(struct exported_list *list)
{
    list_remove(&list->link);
    spill_snapshot_release(list->snapshot);
    free(list);
}

int export_lists(struct exporting *exporting)
{
    struct list_link *link;
    int rc = 0;

    while (rc == 0 && (link = list_front(&exporting->lists))) {
        struct exported_list *list = list_container(link, struct exported_list, link);
        rc = export_list(exporting, list);
        if (rc == 0) forget(list);
    }
    return rc;
}

void export_forget_lists(struct exporting *exporting)
{
    struct list_link *link;

    while ((link = list_front(&exporting->lists)))
        forget(list_container(link, struct exported_list, link));
}
