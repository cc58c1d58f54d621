/* Opening a journal whose segment holds anything. The first byte of the input says whether
 * checksums are put right (so that the frames behind them are reached), and whether what follows is
 * all in the first segment or half in a second one. Whatever comes: it is refused, or what is read
 * is whole, stays so when a frame is added, and is found again. */
#include "modules/journal/fuzz_fixture.h"

enum { SEGMENT_BYTES = JOURNAL_ROLL_BYTES_MIN, CORRECTS = 1, SPLITS = 2 };

static struct {
    char directory[64], path[80];
    struct io *io;
    uint64_t journal;
    uint8_t meta[2 * 4096];
} fuzz;

static void remove_all(void)
{
    remove_segments(fuzz.path);
    remove_below(fuzz.path, "meta");
    remove_below(fuzz.path, "waiters");
}

static void clean_up(void)
{
    remove_all();
    (void)rmdir(fuzz.path);
    (void)rmdir(fuzz.directory);
}

static void write_below(const char *name, const uint8_t *bytes, size_t size)
{
    char file[160];

    (void)snprintf(file, sizeof(file), "%s/%s", fuzz.path, name);
    write_file(file, bytes, size);
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
    char file[160];
    int fd;

    strcpy(fuzz.directory, "/dev/shm/sluice-fuzz-XXXXXX");
    if (!mkdtemp(fuzz.directory)) abort();
    (void)snprintf(fuzz.path, sizeof(fuzz.path), "%s/j", fuzz.directory);
    if (io_create(os_real(), 0, &fuzz.io) < 0) abort();
    fuzz.journal = make_journal(open_journal);
    (void)snprintf(file, sizeof(file), "%s/meta", fuzz.path);
    fd = open(file, O_RDONLY);
    if (read(fd, fuzz.meta, sizeof(fuzz.meta)) != sizeof(fuzz.meta)) abort();
    (void)close(fd);
    memset(fuzz.meta + 4096, 0, 4096); /* as after a loss of power */
    (void)atexit(clean_up);
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
    if (corrects) correct_frames(fuzz.journal, number, bytes, JOURNAL_SEGMENT_HEADER_BYTES + size);
    journal_file_name(name, number, "log");
    write_below(name, bytes, JOURNAL_SEGMENT_HEADER_BYTES + size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t half;

    if (!fuzz.io) set_up();
    if (size < 1) return 0;
    remove_all();
    write_below("meta", fuzz.meta, sizeof(fuzz.meta));
    half = data[0] & SPLITS ? (size - 1) / 2 : size - 1;
    write_segment(1, data + 1, half, data[0] & CORRECTS);
    if (data[0] & SPLITS) write_segment(2, data + 1 + half, size - 1 - half, data[0] & CORRECTS);
    check_journal(open_journal, fuzz.path);
    return 0;
}
