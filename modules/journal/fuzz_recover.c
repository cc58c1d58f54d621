/* Opening a journal whose segment holds anything. The first byte of the input says whether
 * checksums are put right (so that the frames behind them are reached), and whether what follows is
 * all in the first segment or half in a second one. Whatever comes: it is refused, or what is read
 * is whole, stays so when a frame is added, and is found again. */
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

enum { SEGMENT_BYTES = JOURNAL_ROLL_BYTES_MIN, CORRECTS = 1, SPLITS = 2 };

static struct {
    char directory[64], path[80];
    struct io *io;
    uint64_t journal;
    uint8_t meta[2 * 4096];
} fuzz;

static void remove_file(const char *name)
{
    char file[160];
    (void)snprintf(file, sizeof(file), "%s/%s", fuzz.path, name);
    if (unlink(file) < 0) assert(errno == ENOENT);
}

static void remove_all(void)
{
    static const char *const names[] = { "0000000001.log", "0000000001.idx", "0000000002.log",
                                         "0000000002.idx", "0000000003.log", "0000000003.idx",
                                         "meta",           "waiters" };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        remove_file(names[i]);
}

static void clean_up(void)
{
    remove_all();
    (void)rmdir(fuzz.path);
    (void)rmdir(fuzz.directory);
}

static void write_file(const char *name, const uint8_t *bytes, size_t size)
{
    char file[160];
    int fd;

    (void)snprintf(file, sizeof(file), "%s/%s", fuzz.path, name);
    fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert(fd >= 0);
    assert(write(fd, bytes, size) == (ssize_t)size);
    (void)close(fd);
}

static int open_journal(struct journal **out_journal)
{
    struct journal_options options = { .path = fuzz.path,
                                       .settings = { .roll_bytes = SEGMENT_BYTES },
                                       .verifies_all = true };
    struct journal_report report;

    return journal_open(os_real(), fuzz.io, &options, &report, out_journal);
}

/* A journal that is there and empty, to take meta from. */
static void set_up(void)
{
    struct journal_info info;
    struct journal *journal;
    char file[160];
    int fd;

    strcpy(fuzz.directory, "/dev/shm/sluice-fuzz-XXXXXX");
    if (!mkdtemp(fuzz.directory)) abort();
    (void)snprintf(fuzz.path, sizeof(fuzz.path), "%s/j", fuzz.directory);
    if (io_create(os_real(), 0, &fuzz.io) < 0 || open_journal(&journal) < 0) abort();
    journal_get_info(journal, &info);
    fuzz.journal = info.id;
    if (journal_close(journal) < 0) abort();
    (void)snprintf(file, sizeof(file), "%s/meta", fuzz.path);
    fd = open(file, O_RDONLY);
    if (read(fd, fuzz.meta, sizeof(fuzz.meta)) != sizeof(fuzz.meta)) abort();
    (void)close(fd);
    memset(fuzz.meta + 4096, 0, 4096); /* as after a loss of power */
    (void)atexit(clean_up);
}

/* Puts the checksums of all frames right that follow each other from the first on. */
static void correct(uint8_t *bytes, uint64_t size, uint64_t segment)
{
    uint32_t seed = journal_seed(fuzz.journal, segment);
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

static void write_segment(uint64_t number, const uint8_t *data, size_t size, bool corrects)
{
    static uint8_t bytes[SEGMENT_BYTES];
    struct journal_segment_header header = { .journal = fuzz.journal,
                                             .number = number,
                                             .capacity = SEGMENT_BYTES };
    char name[JOURNAL_FILE_NAME_BYTES];

    if (size > SEGMENT_BYTES - JOURNAL_SEGMENT_HEADER_BYTES) {
        size = SEGMENT_BYTES - JOURNAL_SEGMENT_HEADER_BYTES;
    }
    journal_segment_header_store(bytes, &header);
    if (size > 0) memcpy(bytes + JOURNAL_SEGMENT_HEADER_BYTES, data, size);
    if (corrects) correct(bytes, JOURNAL_SEGMENT_HEADER_BYTES + size, number);
    journal_file_name(name, number, "log");
    write_file(name, bytes, JOURNAL_SEGMENT_HEADER_BYTES + size);
}

/* A number for all that a reader sees. */
static uint32_t read_all(void)
{
    struct journal_reader *reader;
    struct journal_entry entry;
    uint32_t sum = 0;
    int rc = journal_reader_open(os_real(), fuzz.path, &reader);

    assert(rc == 0);
    while ((rc = journal_reader_next(reader, &entry)) == 1) {
        sum = crc32c(sum, &entry.time_ms, sizeof(entry.time_ms));
        sum = crc32c(sum, &entry.seq, sizeof(entry.seq));
        sum = crc32c(sum, entry.payload.bytes, entry.payload.size);
    }
    assert(rc == 0); /* recovery has looked at all of it */
    journal_reader_close(reader);
    return sum;
}

/* One frame more, behind what is read; unless no greater id is left. */
static void add_frame(struct journal *journal)
{
    struct slice part = SLICE_LITERAL("added");
    struct journal_info info;
    uint64_t position;
    uint32_t before = read_all();
    int rc;

    journal_get_info(journal, &info);
    if (info.last_time_ms == UINT64_MAX) return;
    do {
        rc = journal_append(journal, info.last_time_ms + 1, 0, &part, 1, &position);
    } while (rc == -EAGAIN && journal_wait(journal) == 0);
    assert(rc == 0 && position >= info.appended);
    journal_publish(journal);
    assert(read_all() != before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct journal *journal;
    uint32_t before;
    size_t half;
    int rc;

    if (!fuzz.io) set_up();
    if (size < 1) return 0;
    remove_all();
    write_file("meta", fuzz.meta, sizeof(fuzz.meta));
    half = data[0] & SPLITS ? (size - 1) / 2 : size - 1;
    write_segment(1, data + 1, half, data[0] & CORRECTS);
    if (data[0] & SPLITS) write_segment(2, data + 1 + half, size - 1 - half, data[0] & CORRECTS);
    rc = open_journal(&journal);
    if (rc < 0) {
        assert(rc == -EBADMSG);
        return 0;
    }
    add_frame(journal);
    before = read_all();
    rc = journal_close(journal);
    assert(rc == 0);
    rc = open_journal(&journal);
    assert(rc == 0 && read_all() == before);
    rc = journal_close(journal);
    assert(rc == 0);
    return 0;
}
