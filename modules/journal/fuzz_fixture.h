/* fuzz_fixture.h - what the fuzz targets of journals share: files that hold anything, and what must
 * hold of a journal that was opened over them. */
#ifndef MODULES_JOURNAL_FUZZ_FIXTURE_H
#define MODULES_JOURNAL_FUZZ_FIXTURE_H
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "modules/base/crc32c.h"
#include "modules/base/endian.h"
#include "modules/base/os.h"
#include "modules/io/io.h"
#include "modules/journal/format.h"
#include "modules/journal/journal.h"
#include "modules/journal/journal_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void remove_below(const char *path, const char *name)
{
    char file[160];

    (void)snprintf(file, sizeof(file), "%s/%s", path, name);
    if (unlink(file) < 0) assert(errno == ENOENT);
}

/* Of the segments that a run may make. */
static inline void remove_segments(const char *path)
{
    static const char *const suffixes[] = { "log", "pak", "idx" };
    char name[JOURNAL_FILE_NAME_BYTES];

    for (uint64_t number = 1; number <= 3; number++) {
        for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
            journal_file_name(name, number, suffixes[i]);
            remove_below(path, name);
        }
    }
}

static inline void write_file(const char *file, const void *bytes, size_t size)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert(fd >= 0);
    assert(write(fd, bytes, size) == (ssize_t)size);
    (void)close(fd);
}

/* Makes a journal that is empty: its number. */
static inline uint64_t make_journal(int (*open_journal)(struct journal **out_journal))
{
    struct journal_info info;
    struct journal *journal;

    if (open_journal(&journal) < 0) abort();
    journal_get_info(journal, &info);
    if (journal_close(journal) < 0) abort();
    return info.id;
}

/* Puts the checksums of all frames right that follow each other from the first on. */
static inline void correct_frames(uint64_t journal, uint64_t segment, uint8_t *bytes, uint64_t size)
{
    uint32_t seed = journal_seed(journal, segment);
    uint64_t offset = JOURNAL_SEGMENT_HEADER_BYTES;

    while (offset + JOURNAL_FRAME_HEADER_BYTES <= size) {
        struct journal_frame frame;
        uint64_t end;
        if (journal_frame_load(bytes + offset, &frame) < 0) return;
        end = offset + journal_frame_bytes(frame.payload_bytes);
        if (frame.state == JOURNAL_UNWRITTEN || end > size) return;
        frame.crc32c = journal_frame_crc(seed, offset, &frame);
        if (journal_frame_has_payload_crc(&frame)) {
            frame.crc32c = crc32c(frame.crc32c, bytes + offset + JOURNAL_FRAME_HEADER_BYTES,
                                  frame.payload_bytes);
        }
        store_u32le(bytes + offset + 4, frame.crc32c);
        offset = end;
    }
}

/* A number for all that a reader sees. */
static inline uint32_t read_all(const char *path)
{
    struct journal_reader *reader;
    struct journal_entry entry;
    uint32_t sum = 0;
    int rc = journal_reader_open(os_real(), path, &reader);

    assert(rc == 0);
    while ((rc = journal_reader_next(reader, &entry)) == 1) {
        sum = crc32c(sum, &entry.time_ms, sizeof(entry.time_ms));
        sum = crc32c(sum, &entry.seq, sizeof(entry.seq));
        sum = crc32c(sum, entry.payload.bytes, entry.payload.size);
    }
    assert(rc == 0); /* opening has looked at all of it */
    journal_reader_close(reader);
    return sum;
}

/* One frame more, behind what is read; unless no greater id is left. */
static inline void add_frame(struct journal *journal, const char *path)
{
    struct slice part = SLICE_LITERAL("added");
    struct journal_info info;
    uint64_t position;
    uint32_t before = read_all(path);
    int rc;

    journal_get_info(journal, &info);
    if (info.last_time_ms == UINT64_MAX) return;
    do {
        rc = journal_append(journal, info.last_time_ms + 1, 0, &part, 1, &position);
    } while (rc == -EAGAIN && journal_wait(journal) == 0);
    assert(rc == 0 && position >= info.appended);
    journal_publish(journal);
    assert(read_all(path) != before);
}

/* Whatever is there: it is refused, or what is read is whole, stays so when a frame is added, and
 * is found again. */
static inline void check_journal(int (*open_journal)(struct journal **out_journal),
                                 const char *path)
{
    struct journal *journal;
    uint32_t before;
    int rc = open_journal(&journal);

    if (rc < 0) {
        assert(rc == -EBADMSG);
        return;
    }
    add_frame(journal, path);
    before = read_all(path);
    rc = journal_close(journal);
    assert(rc == 0);
    rc = open_journal(&journal);
    assert(rc == 0 && read_all(path) == before);
    rc = journal_close(journal);
    assert(rc == 0);
}
#endif
