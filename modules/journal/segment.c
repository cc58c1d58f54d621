#include "modules/journal/segment.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "modules/base/os.h"
#include "modules/journal/journal.h"
#include "modules/journal/meta.h"

static uint64_t page_floor(uint64_t offset)
{
    return offset & ~(uint64_t)(JOURNAL_PAGE_BYTES - 1);
}

static uint64_t page_ceiling(uint64_t offset)
{
    return page_floor(offset + JOURNAL_PAGE_BYTES - 1);
}

static char *file_path(const char *path, uint64_t number, const char *suffix)
{
    char name[JOURNAL_FILE_NAME_BYTES];

    journal_file_name(name, number, suffix);
    return journal_join_path(path, name);
}

/* The descriptor is the segment's also on error. */
static int segment_map(struct os *os, int fd, const struct journal_segment_header *header,
                       bool is_writable, struct journal_segment **out_segment)
{
    struct journal_segment *segment = calloc(1, sizeof(*segment));
    int rc;

    if (!segment) return -ENOMEM;
    *segment = (struct journal_segment){ .journal = header->journal,
                                         .number = header->number,
                                         .seed = journal_seed(header->journal, header->number),
                                         .capacity = header->capacity,
                                         .created_ms = header->created_ms,
                                         .header_synced = header->synced,
                                         .fd = fd };
    rc = os->size(os, fd, &segment->size_bytes);
    segment->fresh_from = page_ceiling(segment->size_bytes);
    if (rc == 0) {
        segment->map = os->map(os, fd, segment->capacity,
                               is_writable ? PROT_READ | PROT_WRITE : PROT_READ, 0, &rc);
    }
    if (rc < 0) {
        free(segment);
        return rc;
    }
    *out_segment = segment;
    return 0;
}

int journal_segment_reserve(struct os *os, struct journal_segment *segment, uint64_t end)
{
    uint64_t before = 0;
    int rc;

    if (end <= segment->size_bytes) return 0;
    rc = os->size(os, segment->fd, &before);
    if (rc < 0) return rc;
    rc = os->allocate(os, segment->fd, 0, end);
    /* Ext4 keeps what it found: all that others need, too. */
    if (rc == -ENOSPC || rc == -EDQUOT) (void)os->truncate(os, segment->fd, before);
    if (rc < 0) return rc;
    segment->size_bytes = end;
    return 0;
}

static int create_at(struct os *os, const char *path, const char *file,
                     const struct journal_segment_header *header, uint64_t room_bytes,
                     enum journal_room kind, bool syncs_late, struct journal_segment **out_segment)
{
    uint8_t bytes[JOURNAL_SEGMENT_HEADER_BYTES];
    struct journal_segment *segment = NULL;
    int rc, fd = os->open(os, file, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644);

    if (fd < 0) return fd;
    journal_segment_header_store(bytes, header);
    rc = os_write_all(os, fd, bytes, sizeof(bytes), 0);
    if (rc == 0) rc = segment_map(os, fd, header, true, &segment);
    if (rc == 0 && kind != JOURNAL_ROOM_NONE)
        rc = journal_segment_reserve(os, segment, page_ceiling(room_bytes));
    if (rc == 0 && !syncs_late) rc = os->fsync(os, fd);
    if (rc == 0 && !syncs_late) rc = os->fsync_directory(os, path);
    /* Touched last: a sync of the file would write-protect what had been touched before it. */
    if (rc == 0) rc = journal_segment_make_room(os, segment, page_ceiling(room_bytes), kind);
    if (rc < 0) {
        if (segment) {
            journal_segment_close(os, segment);
        } else {
            (void)os->close(os, fd);
        }
        (void)os->unlink(os, file); /* what stays of it has no frames and is dropped on opening */
        return rc;
    }
    *out_segment = segment;
    return 0;
}

static int create(struct os *os, const char *path, const struct journal_segment_header *header,
                  uint64_t room_bytes, enum journal_room kind, bool syncs_late,
                  struct journal_segment **out_segment)
{
    char *file = file_path(path, header->number, "log");
    int rc;

    assert(room_bytes >= JOURNAL_SEGMENT_HEADER_BYTES && room_bytes <= header->capacity);
    rc = file ? create_at(os, path, file, header, room_bytes, kind, syncs_late, out_segment)
              : -ENOMEM;
    free(file);
    return rc;
}

int journal_segment_create(struct os *os, const char *path,
                           const struct journal_segment_header *header, uint64_t room_bytes,
                           enum journal_room kind, struct journal_segment **out_segment)
{
    return create(os, path, header, room_bytes, kind, false, out_segment);
}

int journal_segment_create_late(struct os *os, const char *path,
                                const struct journal_segment_header *header, uint64_t room_bytes,
                                enum journal_room kind, struct journal_segment **out_segment)
{
    return create(os, path, header, room_bytes, kind, true, out_segment);
}

static int read_header(struct os *os, int fd, uint64_t journal, uint64_t number,
                       struct journal_segment_header *out_header)
{
    uint8_t bytes[JOURNAL_SEGMENT_HEADER_BYTES];
    uint64_t size;
    int rc = os->size(os, fd, &size);

    *out_header = (struct journal_segment_header){ 0 };
    if (rc < 0) return rc;
    if (size < sizeof(bytes)) return -EBADMSG;
    rc = os_read_all(os, fd, bytes, sizeof(bytes), 0);
    if (rc == 0) rc = journal_segment_header_load(bytes, out_header);
    if (rc < 0) return rc;
    return out_header->journal == journal && out_header->number == number ? 0 : -EBADMSG;
}

int journal_segment_adopt(struct os *os, int fd, uint64_t journal, uint64_t number,
                          bool is_writable, struct journal_segment **out_segment)
{
    struct journal_segment_header header;
    int rc = read_header(os, fd, journal, number, &header);

    return rc < 0 ? rc : segment_map(os, fd, &header, is_writable, out_segment);
}

int journal_segment_open(struct os *os, const char *path, uint64_t journal, uint64_t number,
                         bool is_writable, struct journal_segment **out_segment)
{
    char *file = file_path(path, number, "log");
    int rc, fd;

    if (!file) return -ENOMEM;
    fd = os->open(os, file, (is_writable ? O_RDWR : O_RDONLY) | O_NOFOLLOW, 0);
    free(file);
    if (fd < 0) return fd;
    rc = journal_segment_adopt(os, fd, journal, number, is_writable, out_segment);
    if (rc < 0) (void)os->close(os, fd); /* nothing was written */
    return rc;
}

void journal_segment_let_go(struct os *os, struct journal_segment *segment)
{
    /* What had to be on the device was synced and checked before. */
    if (segment->map) (void)os->unmap(os, segment->map, segment->capacity);
    if (segment->fd >= 0) (void)os->close(os, segment->fd);
    segment->map = NULL;
    segment->fd = -1;
}

void journal_segment_close(struct os *os, struct journal_segment *segment)
{
    if (!segment) return;
    journal_segment_let_go(os, segment);
    free(segment);
}

/* What others may have stored into is left alone. */
static int fill(struct os *os, struct journal_segment *segment, uint64_t from, uint64_t to)
{
    /* Never written. Not const: so it takes no room in the program, and all its pages are the
     * kernel's one page of zeros, which stays in the cache. */
    static uint8_t zeros[JOURNAL_TOUCH_BYTES];

    if (from < segment->fresh_from) from = segment->fresh_from;
    return from < to ? os_write_all(os, segment->fd, zeros, to - from, from) : 0;
}

/* Page by page, for kernels that cannot do it at once (before Linux 5.14). What is there stays: who
 * stores into it meanwhile has made the page ready too. Room was reserved, so no page is missing.
 */
static void touch_pages(uint8_t *bytes, uint64_t size)
{
    for (uint64_t offset = 0; offset < size; offset += JOURNAL_PAGE_BYTES) {
        volatile _Atomic uint8_t *byte = (volatile _Atomic uint8_t *)(bytes + offset);
        uint8_t there = atomic_load_explicit(byte, memory_order_relaxed);

        (void)atomic_compare_exchange_strong_explicit(byte, &there, there, memory_order_relaxed,
                                                      memory_order_relaxed);
    }
}

static int populate(struct os *os, uint8_t *bytes, uint64_t size)
{
    int rc = os->populate(os, bytes, size);

    if (rc != -EINVAL) return rc;
    touch_pages(bytes, size);
    return 0;
}

/* Zeros are written before pages are touched: a write gets them from the file system in large
 * pieces, a fault one by one. Touching costs a third of what it does without, storing and syncing
 * half (measured on ext4). */
static int make_ready(struct os *os, struct journal_segment *segment, uint64_t from, uint64_t to,
                      enum journal_room kind)
{
    int rc = 0;

    if (kind == JOURNAL_ROOM_TOUCHED || kind == JOURNAL_ROOM_ZEROED)
        rc = fill(os, segment, from, to);
    if (rc == 0 && (kind == JOURNAL_ROOM_TOUCHED || kind == JOURNAL_ROOM_SHARED))
        rc = populate(os, segment->map + from, to - from);
    return rc;
}

void journal_segment_begin_room(struct journal_segment *segment, uint64_t offset)
{
    uint64_t begin = offset > JOURNAL_WARM_BYTES ? page_floor(offset - JOURNAL_WARM_BYTES) : 0;

    atomic_store_explicit(&segment->room_end, begin, memory_order_relaxed);
}

int journal_segment_make_room(struct os *os, struct journal_segment *segment, uint64_t end,
                              enum journal_room kind)
{
    uint64_t done = atomic_load_explicit(&segment->room_end, memory_order_relaxed);
    int rc = 0;

    assert(end % JOURNAL_PAGE_BYTES == 0 && end <= segment->capacity);
    if (kind != JOURNAL_ROOM_NONE) rc = journal_segment_reserve(os, segment, end);
    while (rc == 0 && done < end) {
        uint64_t piece = end - done < JOURNAL_TOUCH_BYTES ? end - done : JOURNAL_TOUCH_BYTES;
        rc = make_ready(os, segment, done, done + piece, kind);
        if (rc < 0) break;
        done += piece;
        atomic_store_explicit(&segment->room_end, done, memory_order_release);
    }
    return rc;
}

void journal_segment_pin_room(struct os *os, struct journal_segment *segment, uint64_t offset)
{
    uint64_t from = page_floor(offset), begin = from, past = from;
    uint64_t end = atomic_load_explicit(&segment->room_end, memory_order_relaxed);

    if (begin < segment->pinned_end) begin = segment->pinned_end;
    if (past > segment->pinned_end) past = segment->pinned_end;
    /* What cannot be let go stays until it is unmapped. */
    if (segment->pinned_from < past)
        (void)os->unpin(os, segment->map + segment->pinned_from, past - segment->pinned_from);
    if (segment->pinned_from < from) segment->pinned_from = from;
    if (begin < end && os->pin(os, segment->map + begin, end - begin) == 0)
        segment->pinned_end = end;
}

void journal_segment_unpin(struct os *os, struct journal_segment *segment)
{
    uint64_t from = segment->pinned_from;

    if (from >= segment->pinned_end) return;
    (void)os->unpin(os, segment->map + from, segment->pinned_end - from);
    segment->pinned_from = segment->pinned_end;
}

int journal_segment_sync(struct os *os, struct journal_segment *segment, uint64_t from, uint64_t to)
{
    uint64_t begin = page_floor(from), end = page_ceiling(to);

    if (from == to) return 0;
    assert(from < to && end <= segment->capacity);
    return os->sync_map(os, segment->map + begin, end - begin);
}

void journal_segment_touch_again(struct os *os, struct journal_segment *segment, uint64_t offset)
{
    uint64_t begin = page_floor(offset), end = page_ceiling(offset) + JOURNAL_TOUCH_BYTES;
    uint64_t room_end = atomic_load_explicit(&segment->room_end, memory_order_acquire);

    if (end > room_end) end = room_end;
    if (begin < end) (void)populate(os, segment->map + begin, end - begin); /* else they fault */
}

uint64_t journal_segment_settled_end(uint64_t offset)
{
    uint64_t end = offset > JOURNAL_WARM_BYTES ? offset - JOURNAL_WARM_BYTES : 0;

    return end - end % JOURNAL_TOUCH_BYTES;
}

void journal_segment_settle(struct os *os, struct journal_segment *segment, uint64_t from,
                            uint64_t to)
{
    uint64_t begin = page_floor(from), end = page_ceiling(to);

    assert(end <= segment->capacity);
    if (begin < end) (void)os->unpopulate(os, segment->map + begin, end - begin);
}

int journal_segment_cut(struct os *os, struct journal_segment *segment, uint64_t end)
{
    int rc;

    assert(end <= segment->capacity);
    if (end >= segment->size_bytes) return 0;
    /* This zeroes the rest of the last page too, in the cache and, once synced, on the device. */
    rc = os->truncate(os, segment->fd, end);
    if (rc < 0) return rc;
    segment->size_bytes = end;
    segment->fresh_from = page_ceiling(end);
    atomic_store_explicit(&segment->room_end, page_floor(end), memory_order_relaxed);
    return 0;
}

int journal_segment_refresh(struct os *os, struct journal_segment *segment)
{
    return os->size(os, segment->fd, &segment->size_bytes);
}

static int remove_file(struct os *os, const char *path, uint64_t number, const char *suffix)
{
    char *file = file_path(path, number, suffix);
    int rc = file ? os->unlink(os, file) : -ENOMEM;

    free(file);
    return rc == -ENOENT ? 0 : rc;
}

int journal_segment_remove(struct os *os, const char *path, uint64_t number)
{
    int rc = remove_file(os, path, number, "idx");
    return rc < 0 ? rc : remove_file(os, path, number, "log");
}
