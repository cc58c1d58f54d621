#include "modules/journal/index.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "modules/base/crc32c.h"
#include "modules/base/endian.h"
#include "modules/base/os.h"
#include "modules/journal/meta.h"

enum { ENTRIES_MAX = JOURNAL_SEGMENT_BYTES_MAX / JOURNAL_INDEX_STEP_BYTES + 1 };

void journal_index_finish(struct journal_index *index)
{
    free(index->entries);
    *index = (struct journal_index){ 0 };
}

void journal_index_clear(struct journal_index *index)
{
    index->count = 0;
    index->due = 0;
}

static int push(struct journal_index *index, struct journal_index_entry entry)
{
    if (index->count == index->capacity) {
        size_t capacity = index->capacity > 0 ? 2 * index->capacity : 16;
        void *entries = realloc(index->entries, capacity * sizeof(*index->entries));
        if (!entries) return -ENOMEM;
        index->entries = entries;
        index->capacity = capacity;
    }
    index->entries[index->count++] = entry;
    return 0;
}

void journal_index_add(struct journal_index *index, uint64_t offset, uint64_t time_ms, uint64_t seq)
{
    uint64_t last = index->count > 0 ? index->entries[index->count - 1].offset : 0;

    assert(offset > last || index->count == 0);
    index->due = last + JOURNAL_INDEX_STEP_BYTES;
    if (offset < index->due) return;
    if (push(index, (struct journal_index_entry){ (uint32_t)offset, time_ms, seq }) == 0) {
        index->due = offset + JOURNAL_INDEX_STEP_BYTES;
    }
}

static bool is_above(const struct journal_index_entry *entry, uint64_t time_ms, uint64_t seq)
{
    return entry->time_ms != time_ms ? entry->time_ms > time_ms : entry->seq > seq;
}

uint64_t journal_index_find_id(const struct journal_index *index, uint64_t time_ms, uint64_t seq)
{
    size_t low = 0,
           high = index->count; /* entries below low are not above, from high on they are */

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (is_above(&index->entries[middle], time_ms, seq)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low > 0 ? index->entries[low - 1].offset : 0;
}

uint64_t journal_index_find_before(const struct journal_index *index, uint64_t offset)
{
    size_t low = 0, high = index->count; /* as above */

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (index->entries[middle].offset >= offset) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low > 0 ? index->entries[low - 1].offset : 0;
}

int journal_index_copy(struct journal_index *to, const struct journal_index *from)
{
    journal_index_clear(to);
    for (size_t i = 0; i < from->count; i++) {
        int rc = push(to, from->entries[i]);
        if (rc < 0) return rc;
    }
    return 0;
}

bool journal_index_equal(const struct journal_index *a, const struct journal_index *b)
{
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct journal_index_entry *x = &a->entries[i], *y = &b->entries[i];
        if (x->offset != y->offset || x->time_ms != y->time_ms || x->seq != y->seq) return false;
    }
    return true;
}

static void encode(uint8_t *bytes, uint32_t seed, const struct journal_index_entry *entry)
{
    store_u32le(bytes, entry->offset);
    store_u64le(bytes + 8, entry->time_ms);
    store_u64le(bytes + 16, entry->seq);
    store_u32le(bytes + 4, crc32c(crc32c(seed, bytes, 4), bytes + 8, 16));
}

static bool decode(const uint8_t *bytes, uint32_t seed, struct journal_index_entry *out_entry)
{
    if (load_u32le(bytes + 4) != crc32c(crc32c(seed, bytes, 4), bytes + 8, 16)) return false;
    *out_entry = (struct journal_index_entry){ .offset = load_u32le(bytes),
                                               .time_ms = load_u64le(bytes + 8),
                                               .seq = load_u64le(bytes + 16) };
    return true;
}

static const char suffix[] = "idx";
static const char suffix_new[] = "idx.new";

static char *file_of(const char *path, uint64_t segment, const char *its_suffix)
{
    char name[JOURNAL_FILE_NAME_BYTES];

    journal_file_name(name, segment, its_suffix);
    return journal_join_path(path, name);
}

static int open_file(struct os *os, const char *path, uint64_t segment, const char *its_suffix,
                     int flags)
{
    char *file = file_of(path, segment, its_suffix);
    int fd = file ? os->open(os, file, flags | O_NOFOLLOW, 0644) : -ENOMEM;

    free(file);
    return fd;
}

/* Entries [from, count). */
static int write_entries(struct os *os, int fd, uint32_t seed, const struct journal_index *index,
                         size_t from)
{
    enum { BATCH = 64 };
    uint8_t bytes[BATCH * JOURNAL_INDEX_ENTRY_BYTES];
    int rc = 0;

    for (size_t i = from; rc == 0 && i < index->count; i += BATCH) {
        size_t count = index->count - i < BATCH ? index->count - i : BATCH;
        for (size_t k = 0; k < count; k++)
            encode(bytes + k * JOURNAL_INDEX_ENTRY_BYTES, seed, &index->entries[i + k]);
        rc = os_write_all(os, fd, bytes, count * JOURNAL_INDEX_ENTRY_BYTES,
                          i * JOURNAL_INDEX_ENTRY_BYTES);
    }
    return rc;
}

int journal_index_write(struct os *os, const char *path, uint64_t segment, uint32_t seed,
                        const struct journal_index *index, size_t from)
{
    int fd = open_file(os, path, segment, suffix, O_WRONLY | O_CREAT | (from == 0 ? O_TRUNC : 0));

    int rc, closed;

    if (fd < 0) return fd;
    rc = write_entries(os, fd, seed, index, from);
    closed = os->close(os, fd);
    return rc < 0 ? rc : closed;
}

int journal_index_replace(struct os *os, const char *path, uint64_t segment, uint32_t seed,
                          const struct journal_index *index)
{
    char *file_new = file_of(path, segment, suffix_new), *file = file_of(path, segment, suffix);
    int rc = -ENOMEM, fd, closed = 0;

    if (!file_new || !file) goto out;
    fd = open_file(os, path, segment, suffix_new, O_WRONLY | O_CREAT | O_TRUNC);
    rc = fd < 0 ? fd : write_entries(os, fd, seed, index, 0);
    if (rc == 0) rc = os->fsync(os, fd);
    if (fd >= 0) closed = os->close(os, fd);
    if (rc == 0) rc = closed;
    if (rc == 0) rc = os->rename(os, file_new, file);
    /* What stays is removed by the next who opens the journal. */
    if (rc < 0 && fd >= 0) (void)os->unlink(os, file_new);
out:
    free(file_new);
    free(file);
    return rc;
}

int journal_index_remove(struct os *os, const char *path, uint64_t segment)
{
    char *file = file_of(path, segment, suffix);
    int rc = file ? os->unlink(os, file) : -ENOMEM;

    free(file);
    return rc == -ENOENT ? 0 : rc;
}

bool journal_index_is_there(struct os *os, const char *path, uint64_t segment)
{
    int fd = open_file(os, path, segment, suffix, O_RDONLY);

    if (fd >= 0) (void)os->close(os, fd); /* read only */
    return fd >= 0;
}

/* How much there is of so many bytes: who makes the file anew meanwhile has cut it first. */
static ssize_t read_some(struct os *os, int fd, uint8_t *bytes, size_t size)
{
    size_t done = 0;

    while (done < size) {
        ssize_t got = os->pread(os, fd, bytes + done, size - done, done);
        if (got < 0) return got;
        if (got == 0) break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static int load_entries(struct os *os, int fd, uint32_t seed, struct journal_index *index)
{
    uint64_t size, last = 0;
    uint8_t *bytes;
    ssize_t there;
    int rc = os->size(os, fd, &size);

    if (rc < 0) return rc;
    if (size > (uint64_t)ENTRIES_MAX * JOURNAL_INDEX_ENTRY_BYTES) {
        size = (uint64_t)ENTRIES_MAX * JOURNAL_INDEX_ENTRY_BYTES;
    }
    if (size < JOURNAL_INDEX_ENTRY_BYTES) return 0;
    bytes = malloc(size);
    if (!bytes) return -ENOMEM;
    there = read_some(os, fd, bytes, size);
    if (there < 0) rc = (int)there;
    for (uint64_t at = 0; rc == 0 && at + JOURNAL_INDEX_ENTRY_BYTES <= (uint64_t)there;
         at += JOURNAL_INDEX_ENTRY_BYTES) {
        struct journal_index_entry entry;
        if (!decode(bytes + at, seed, &entry) || entry.offset <= last) break;
        last = entry.offset;
        rc = push(index, entry);
    }
    free(bytes);
    return rc;
}

int journal_index_load(struct os *os, const char *path, uint64_t segment, uint32_t seed,
                       struct journal_index *index)
{
    int rc, fd = open_file(os, path, segment, suffix, O_RDONLY);

    assert(index->count == 0);
    if (fd == -ENOENT) return 0;
    if (fd < 0) return fd;
    rc = load_entries(os, fd, seed, index);
    (void)os->close(os, fd); /* read only */
    return rc;
}
