/* Opening a journal whose first segment is packed and holds anything. The first byte of the input
 * says what the rest is: the file's blocks with their table as they are, checksums put right, so
 * that what is behind them is reached; or the plain bytes of a segment, which are packed here with
 * one codec or another, encrypted or not. Whatever comes: it is refused, or what is read is whole,
 * stays so when a frame is added, and is found again. */
#include "modules/journal/fuzz_fixture.h"

#include "modules/journal/codec.h"
#include "modules/journal/packed.h"

enum {
    SEGMENT_BYTES = 2 * JOURNAL_ROLL_BYTES_MIN, /* two blocks */
    PLAIN = 1,
    ENCRYPTED = 2,
    CORRECTS = 4, /* the frames' checksums too */
    CODEC_SHIFT = 4,
};

static struct {
    char directory[64], path[2][80], key[80];
    struct io *io;
    uint64_t journal[2]; /* encrypted: the second */
    unsigned which;
    struct journal_key *secret;
    uint8_t plain[SEGMENT_BYTES], file[4 * SEGMENT_BYTES];
} fuzz;

static void name_file(char file[160], const char *name)
{
    (void)snprintf(file, 160, "%s/%s", fuzz.path[fuzz.which], name);
}

static void clean_up(void)
{
    for (fuzz.which = 0; fuzz.which < 2; fuzz.which++) {
        remove_segments(fuzz.path[fuzz.which]);
        remove_below(fuzz.path[fuzz.which], "meta");
        remove_below(fuzz.path[fuzz.which], "waiters");
        (void)rmdir(fuzz.path[fuzz.which]);
    }
    (void)unlink(fuzz.key);
    (void)rmdir(fuzz.directory);
    journal_key_destroy(fuzz.secret);
    io_destroy(fuzz.io);
}

static int open_journal(struct journal **out_journal)
{
    struct journal_options options = { .path = fuzz.path[fuzz.which],
                                       .settings = { .roll_bytes = SEGMENT_BYTES },
                                       .verifies_all = true };
    struct journal_report report;

    if (fuzz.which == 1) options.settings.key_path = fuzz.key;
    return journal_open(os_real(), fuzz.io, &options, &report, out_journal);
}

static void make_one(unsigned which)
{
    fuzz.which = which;
    (void)snprintf(fuzz.path[which], sizeof(fuzz.path[which]), "%s/j%u", fuzz.directory, which);
    fuzz.journal[which] = make_journal(open_journal);
}

static void set_up(void)
{
    static const char key[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    strcpy(fuzz.directory, "/dev/shm/sluice-fuzz-XXXXXX");
    if (!mkdtemp(fuzz.directory)) abort();
    (void)snprintf(fuzz.key, sizeof(fuzz.key), "%s/key", fuzz.directory);
    write_file(fuzz.key, key, sizeof(key) - 1);
    if (journal_key_load(os_real(), fuzz.key, &fuzz.secret) < 0) abort();
    if (io_create(os_real(), 0, &fuzz.io) < 0) abort();
    make_one(0);
    make_one(1);
    (void)atexit(clean_up);
}

/* What the live page says belongs to what was there before. */
static void forget_published(void)
{
    const uint8_t zeros[4096] = { 0 };
    char file[160];
    int fd;

    name_file(file, "meta");
    fd = open(file, O_RDWR);
    assert(fd >= 0 && pwrite(fd, zeros, sizeof(zeros), 4096) == (ssize_t)sizeof(zeros));
    (void)close(fd);
}

/* ---- making the file --------------------------------------------------------------------------
 */

static struct journal_packed_header make_header(uint32_t raw_bytes, uint8_t flags)
{
    struct journal_packed_header header = {
        .segment = { .journal = fuzz.journal[fuzz.which], .number = 1, .capacity = SEGMENT_BYTES },
        .raw_bytes = raw_bytes,
        .codec = (enum journal_codec)((flags >> CODEC_SHIFT) % 3),
        .is_encrypted = fuzz.which == 1,
    };
    return header;
}

/* Puts table and header before blocks that lie where they belong. */
static void write_packed(struct journal_packed_header *header, const uint32_t *stored_bytes)
{
    uint32_t count = journal_packed_block_count(header->raw_bytes);
    uint32_t seed = journal_seed(header->segment.journal, 1);
    uint8_t *table = fuzz.file + JOURNAL_PACKED_HEADER_BYTES;
    size_t end = journal_packed_start(header->raw_bytes);
    char file[160];

    for (uint32_t i = 0; i < count; i++) {
        struct slice stored = slice_of(fuzz.file + end, stored_bytes[i]);
        store_u32le(table + i * 8, stored_bytes[i]);
        store_u32le(table + i * 8 + 4, journal_packed_block_crc(seed, i, stored));
        end += stored_bytes[i];
    }
    header->table_crc = crc32c(seed, table, count * (size_t)JOURNAL_PACKED_ENTRY_BYTES);
    journal_packed_header_store(fuzz.file, header);
    name_file(file, "0000000001.pak");
    write_file(file, fuzz.file, end);
}

/* The input is what the blocks hold: their sizes follow from the first bytes. */
static void write_blocks(uint8_t flags, const uint8_t *data, size_t size)
{
    uint32_t stored_bytes[2] = { 0 }, raw_bytes;
    struct journal_packed_header header;

    if (size < 6) return;
    raw_bytes = 88 + load_u32le(data) % (SEGMENT_BYTES - 87);
    header = make_header(raw_bytes, flags);
    size -= 6;
    if (size > SEGMENT_BYTES) size = SEGMENT_BYTES;
    stored_bytes[0] = (uint32_t)size;
    if (journal_packed_block_count(raw_bytes) == 2) {
        stored_bytes[0] = (uint32_t)(size * data[4] / 256);
        stored_bytes[1] = (uint32_t)size - stored_bytes[0];
    }
    memcpy(fuzz.file + journal_packed_start(raw_bytes), data + 6, size);
    write_packed(&header, stored_bytes);
}

static uint32_t pack_block(const struct journal_packed_header *header, uint32_t block, uint8_t *out)
{
    static uint8_t packed[JOURNAL_PACKED_BLOCK_BYTES];
    struct slice stored = slice_of(fuzz.plain + (size_t)block * JOURNAL_PACKED_BLOCK_BYTES,
                                   journal_packed_block_bytes(header->raw_bytes, block));
    uint8_t beside[JOURNAL_PACKED_BESIDE_BYTES];
    struct journal_cipher *cipher;
    ssize_t size = journal_codec_pack(header->codec, stored, packed);
    int rc;

    if (size > 0) stored = slice_of(packed, (size_t)size);
    if (!header->is_encrypted) {
        memcpy(out, stored.bytes, stored.size);
        return (uint32_t)stored.size;
    }
    journal_packed_beside(beside, header);
    rc = journal_cipher_create(fuzz.secret, header->segment.journal, 1, header->salt, &cipher);
    if (rc == 0) {
        rc = journal_cipher_seal(cipher, block, slice_of(beside, sizeof(beside)), stored, out);
    }
    assert(rc == 0);
    journal_cipher_destroy(cipher);
    return (uint32_t)stored.size + JOURNAL_TAG_BYTES;
}

/* The input is frames; an END is added. */
static void write_plain(uint8_t flags, const uint8_t *data, size_t size)
{
    struct journal_packed_header header;
    uint32_t stored_bytes[2] = { 0 };
    uint64_t end;
    size_t at;

    if (size > SEGMENT_BYTES - 200) size = SEGMENT_BYTES - 200;
    memset(fuzz.plain, 0, sizeof(fuzz.plain));
    memcpy(fuzz.plain + JOURNAL_SEGMENT_HEADER_BYTES, data, size);
    end = (JOURNAL_SEGMENT_HEADER_BYTES + size + 7) / 8 * 8;
    store_u32le(fuzz.plain + end, journal_word(JOURNAL_END, 0));
    end += JOURNAL_FRAME_HEADER_BYTES;
    if (flags & CORRECTS) correct_frames(fuzz.journal[fuzz.which], 1, fuzz.plain, end);
    header = make_header((uint32_t)end, flags);
    journal_segment_header_store(fuzz.plain, &header.segment);
    at = journal_packed_start(header.raw_bytes);
    for (uint32_t i = 0; i < journal_packed_block_count(header.raw_bytes); i++) {
        stored_bytes[i] = pack_block(&header, i, fuzz.file + at);
        at += stored_bytes[i];
    }
    write_packed(&header, stored_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!fuzz.io) set_up();
    if (size < 1) return 0;
    fuzz.which = data[0] & ENCRYPTED ? 1 : 0;
    remove_segments(fuzz.path[fuzz.which]);
    forget_published();
    if (data[0] & PLAIN) {
        write_plain(data[0], data + 1, size - 1);
    } else {
        write_blocks(data[0], data + 1, size - 1);
    }
    check_journal(open_journal, fuzz.path[fuzz.which]);
    return 0;
}
