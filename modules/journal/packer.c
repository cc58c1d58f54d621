#include "modules/journal/packer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "modules/base/crc32c.h"
#include "modules/base/endian.h"
#include "modules/base/os.h"
#include "modules/base/random.h"
#include "modules/journal/codec.h"
#include "modules/journal/drop.h"
#include "modules/journal/index.h"
#include "modules/journal/meta.h"
#include "modules/journal/scan.h"

/* Frames are dropped while the disk has room for so many copies of the segment. */
enum { DROPPING_ROOM = 2 };

struct journal_packer {
    struct os *os;
    const struct journal_places *places;
    uint64_t number;
    struct journal_stored source; /* plain; or packed, when frames are dropped */
    struct journal_scan scan;
    struct journal_packed_header header;
    /* Verifying, writing, comparing, verifying what was written; NULL: done. */
    int (*phase)(struct journal_packer *packer);
    uint64_t offset; /* verifying: of the next frame */
    uint32_t block;  /* writing, comparing: the next */
    uint64_t end;    /* of the file that is being made */
    uint8_t *table;  /* as it is stored */
    char *file_new, *file;
    int fd;                                  /* of file_new; -1 */
    struct journal_packed *packed;           /* the same, to compare */
    struct journal_cipher *cipher;           /* or NULL */
    const struct journal_dropping *dropping; /* or NULL, and then drop has nothing in it */
    struct journal_drop drop;
    struct journal_index index; /* of the frames that stay */
    uint64_t kept_count;        /* of these */
    bool has_replaced_index;
    struct journal_stored written; /* of packed, when that is verified; it is packed's */
    struct journal_scan written_scan;
    uint8_t sealed[JOURNAL_PACKED_BLOCK_BYTES + JOURNAL_TAG_BYTES];
    uint8_t bytes[JOURNAL_PACKED_BLOCK_BYTES], other[JOURNAL_PACKED_BLOCK_BYTES];
};

static int write_blocks(struct journal_packer *packer);
static int compare_blocks(struct journal_packer *packer);
static int start_verifying_written(struct journal_packer *packer);

/* ---- verifying --------------------------------------------------------------------------------
 */

/* A salt of its own for every file that is ever begun: cipher.h says what hangs on that. */
static int start_encrypting(struct journal_packer *packer)
{
    struct journal_packed_header *header = &packer->header;
    int rc = random_entropy(header->salt, sizeof(header->salt));

    header->is_encrypted = true;
    return rc < 0 ? rc
                  : journal_cipher_create(packer->places->key, packer->places->journal,
                                          packer->number, header->salt, &packer->cipher);
}

static int start_writing(struct journal_packer *packer)
{
    uint32_t raw_bytes = packer->header.raw_bytes;
    int rc = packer->places->key ? start_encrypting(packer) : 0;

    if (rc < 0) return rc;
    packer->table = calloc(journal_packed_block_count(raw_bytes), JOURNAL_PACKED_ENTRY_BYTES);
    if (!packer->table) return -ENOMEM;
    packer->fd = packer->os->open(packer->os, packer->file_new,
                                  O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644);
    if (packer->fd < 0) return packer->fd;
    packer->end = journal_packed_start(raw_bytes);
    packer->phase = write_blocks;
    return 1;
}

/* Whether it goes, and the index if it stays. */
static int look_at_data(struct journal_packer *packer, const struct journal_frame *frame)
{
    uint64_t head = 0;
    int rc = 0;

    if (frame->payload_bytes >= sizeof(head))
        rc = journal_scan_head(&packer->scan, packer->offset, &head);
    if (rc < 0) return rc;
    if (packer->dropping->is_dropped(packer->dropping->context, head))
        return journal_drop_add(&packer->drop, packer->offset,
                                journal_frame_bytes(frame->payload_bytes));
    journal_index_add(&packer->index, packer->offset, frame->time_ms, frame->seq);
    packer->kept_count++;
    return 0;
}

/* What is sealed already goes together with what lies beside it. */
static int look_at_frame(struct journal_packer *packer, const struct journal_frame *frame)
{
    if (frame->state == JOURNAL_DATA) return look_at_data(packer, frame);
    if (frame->state != JOURNAL_SEALED) return 0;
    return journal_drop_add(&packer->drop, packer->offset,
                            journal_frame_bytes(frame->payload_bytes));
}

static int verify_frames(struct journal_packer *packer)
{
    uint64_t stop = packer->offset + JOURNAL_PACKER_STEP_BYTES;

    while (packer->offset < stop) {
        struct journal_frame frame;
        int rc = journal_scan_frame(&packer->scan, packer->offset, &frame);
        if (rc == 0 || rc == -EAGAIN) return -EBADMSG; /* it has no END */
        if (rc < 0) return rc;
        if (packer->dropping) rc = look_at_frame(packer, &frame);
        if (rc < 0) return rc;
        packer->offset += journal_frame_bytes(frame.payload_bytes);
        if (frame.state != JOURNAL_END) continue;
        packer->header.raw_bytes = (uint32_t)packer->offset;
        return start_writing(packer);
    }
    return 1;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

static int seal(struct journal_packer *packer, struct slice *stored)
{
    uint8_t beside[JOURNAL_PACKED_BESIDE_BYTES];
    int rc;

    journal_packed_beside(beside, &packer->header);
    rc = journal_cipher_seal(packer->cipher, packer->block, slice_of(beside, sizeof(beside)),
                             *stored, packer->sealed);
    *stored = slice_of(packer->sealed, stored->size + JOURNAL_TAG_BYTES);
    return rc;
}

/* A block as it will be read. From the first to the last. */
static int read_block(struct journal_packer *packer, uint32_t size, uint64_t offset)
{
    int rc = journal_stored_read(&packer->source, packer->bytes, size, offset);

    if (rc == 0 && packer->dropping)
        rc = journal_drop_apply(&packer->drop, packer->bytes, size, offset);
    return rc;
}

static int write_block(struct journal_packer *packer)
{
    uint8_t *entry = packer->table + (size_t)packer->block * JOURNAL_PACKED_ENTRY_BYTES;
    uint32_t size = journal_packed_block_bytes(packer->header.raw_bytes, packer->block);
    uint64_t offset = (uint64_t)packer->block * JOURNAL_PACKED_BLOCK_BYTES;
    struct slice plain = slice_of(packer->bytes, size), stored = plain;
    int rc = read_block(packer, size, offset);
    ssize_t packed;

    if (rc < 0) return rc;
    packed = journal_codec_pack(packer->header.codec, plain, packer->other);
    if (packed < 0) return (int)packed;
    if (packed > 0) stored = slice_of(packer->other, (size_t)packed);
    if (packer->cipher) rc = seal(packer, &stored);
    if (rc < 0) return rc;
    store_u32le(entry, (uint32_t)stored.size);
    store_u32le(entry + 4, journal_packed_block_crc(packer->scan.seed, packer->block, stored));
    rc = os_write_all(packer->os, packer->fd, stored.bytes, stored.size, packer->end);
    packer->end += stored.size;
    return rc;
}

static int finish_writing(struct journal_packer *packer)
{
    size_t table_bytes = (size_t)packer->block * JOURNAL_PACKED_ENTRY_BYTES;
    uint8_t bytes[JOURNAL_PACKED_HEADER_BYTES];
    int rc = os_write_all(packer->os, packer->fd, packer->table, table_bytes, sizeof(bytes));

    packer->header.table_crc = crc32c(packer->scan.seed, packer->table, table_bytes);
    journal_packed_header_store(bytes, &packer->header);
    if (rc == 0) rc = os_write_all(packer->os, packer->fd, bytes, sizeof(bytes), 0);
    if (rc == 0) rc = packer->os->fsync(packer->os, packer->fd);
    if (rc < 0) return rc;
    rc = journal_packed_open(packer->os, packer->fd, packer->places, packer->number,
                             &packer->packed);
    if (rc < 0) return rc;
    packer->fd = -1; /* it is packed's */
    packer->block = 0;
    packer->phase = compare_blocks;
    return 1;
}

static int write_blocks(struct journal_packer *packer)
{
    uint32_t count = journal_packed_block_count(packer->header.raw_bytes);

    for (unsigned i = 0; i < JOURNAL_PACKER_STEP_BYTES / JOURNAL_PACKED_BLOCK_BYTES; i++) {
        int rc;
        if (packer->block == count) return finish_writing(packer);
        rc = write_block(packer);
        if (rc < 0) return rc;
        packer->block++;
    }
    return 1;
}

/* ---- comparing --------------------------------------------------------------------------------
 */

/* The name, and with it the right to the place of what was there, comes last. The index is right
 * for both, but leads who reads the old one further from the place: if it stays, who has the packer
 * sees to that. */
static int settle(struct journal_packer *packer)
{
    const char *path = packer->places->paths[JOURNAL_HOT];
    struct os *os = packer->os;
    struct journal_place plain = { JOURNAL_HOT, false };
    int rc = 0;

    if (packer->dropping)
        rc = journal_index_replace(os, path, packer->number, packer->scan.seed, &packer->index);
    packer->has_replaced_index = packer->dropping && rc == 0;
    if (rc == 0) rc = os->rename(os, packer->file_new, packer->file);
    if (rc == 0) rc = os->fsync_directory(os, path);
    if (rc == 0) rc = journal_places_remove_one(os, packer->places, plain, packer->number);
    if (rc < 0) return rc;
    packer->phase = NULL;
    return 0;
}

static int compare_block(struct journal_packer *packer)
{
    uint32_t size = journal_packed_block_bytes(packer->header.raw_bytes, packer->block);
    uint64_t offset = (uint64_t)packer->block * JOURNAL_PACKED_BLOCK_BYTES;
    int rc = read_block(packer, size, offset);

    if (rc == 0) {
        rc = journal_packed_read(packer->os, packer->packed, packer->other, size, offset);
    }
    /* Not damage of the segment: whoever packed it, memory or the disk, did it wrong. */
    if (rc == -EBADMSG) return -EIO;
    if (rc < 0) return rc;
    return memcmp(packer->bytes, packer->other, size) == 0 ? 0 : -EIO;
}

static int compare_blocks(struct journal_packer *packer)
{
    uint32_t count = journal_packed_block_count(packer->header.raw_bytes);

    for (unsigned i = 0; i < JOURNAL_PACKER_STEP_BYTES / JOURNAL_PACKED_BLOCK_BYTES; i++) {
        int rc;
        if (packer->block == count)
            return packer->dropping ? start_verifying_written(packer) : settle(packer);
        rc = compare_block(packer);
        if (rc < 0) return rc;
        packer->block++;
    }
    return 1;
}

/* ---- verifying what was written ---------------------------------------------------------------
 */

/* What was dropped, and what not, was read a second time, and that was right only if each frame is
 * that stays. -EIO: it was not, or whoever packed it did it wrong. */
static int verify_written(struct journal_packer *packer)
{
    uint64_t stop = packer->offset + JOURNAL_PACKER_STEP_BYTES;

    while (packer->offset < stop) {
        struct journal_frame frame;
        int rc = journal_scan_frame(&packer->written_scan, packer->offset, &frame);
        if (rc == 0 || rc == -EAGAIN || rc == -EBADMSG) return -EIO;
        if (rc < 0) return rc;
        if (frame.state == JOURNAL_DATA && packer->kept_count-- == 0) return -EIO;
        packer->offset += journal_frame_bytes(frame.payload_bytes);
        if (frame.state != JOURNAL_END) continue;
        if (packer->kept_count > 0 || packer->offset != packer->header.raw_bytes) return -EIO;
        return settle(packer);
    }
    return 1;
}

static int start_verifying_written(struct journal_packer *packer)
{
    int rc;

    packer->written = (struct journal_stored){ .os = packer->os,
                                               .fd = -1,
                                               .packed = packer->packed,
                                               .header = packer->header.segment,
                                               .size_bytes = packer->header.raw_bytes };
    rc = journal_scan_init(&packer->written_scan, &packer->written);
    packer->offset = JOURNAL_SEGMENT_HEADER_BYTES;
    packer->phase = verify_written;
    return rc < 0 ? rc : 1;
}

/* ---- life -------------------------------------------------------------------------------------
 */

static char *hot_file(const struct journal_packer *packer, const char *suffix)
{
    char name[JOURNAL_FILE_NAME_BYTES];

    journal_file_name(name, packer->number, suffix);
    return journal_join_path(packer->places->paths[JOURNAL_HOT], name);
}

/* A copy of what is deleted must not take the last room from what is added. */
static int need_free_bytes(struct journal_packer *packer)
{
    uint64_t free_bytes;
    int rc = packer->os->free_bytes(packer->os, packer->places->paths[JOURNAL_HOT], &free_bytes);

    if (rc < 0) return rc;
    return free_bytes < DROPPING_ROOM * packer->source.size_bytes ? -ENOSPC : 0;
}

static int prepare_dropping(struct journal_packer *packer)
{
    int rc = need_free_bytes(packer);

    if (rc < 0) return rc;
    packer->header.note = packer->dropping->note;
    journal_drop_init(&packer->drop, packer->scan.seed);
    return 0;
}

static int prepare(struct journal_packer *packer, enum journal_codec codec)
{
    int rc;

    packer->file = hot_file(packer, "pak");
    packer->file_new = hot_file(packer, "pak.new");
    if (!packer->file || !packer->file_new) return -ENOMEM;
    rc = journal_stored_open(packer->os, packer->places, packer->number, &packer->source);
    if (rc < 0) return rc;
    if (packer->source.place.tier != JOURNAL_HOT) return -ENOENT;
    if (packer->source.packed && !packer->dropping) return -ENOENT;
    packer->header =
        (struct journal_packed_header){ .segment = packer->source.header, .codec = codec };
    packer->offset = JOURNAL_SEGMENT_HEADER_BYTES;
    packer->phase = verify_frames;
    rc = journal_scan_init(&packer->scan, &packer->source);
    return rc == 0 && packer->dropping ? prepare_dropping(packer) : rc;
}

static int create(struct os *os, const struct journal_places *places, uint64_t number,
                  enum journal_codec codec, const struct journal_dropping *dropping,
                  struct journal_packer **out_packer)
{
    struct journal_packer *packer = calloc(1, sizeof(*packer));
    int rc;

    if (!packer) return -ENOMEM;
    packer->os = os;
    packer->places = places;
    packer->number = number;
    packer->dropping = dropping;
    packer->fd = -1;
    packer->source.os = os;
    packer->source.fd = -1;
    rc = prepare(packer, codec);
    if (rc < 0) {
        journal_packer_destroy(packer);
        return rc;
    }
    *out_packer = packer;
    return 0;
}

int journal_packer_create(struct os *os, const struct journal_places *places, uint64_t number,
                          enum journal_codec codec, struct journal_packer **out_packer)
{
    return create(os, places, number, codec, NULL, out_packer);
}

int journal_packer_create_dropping(struct os *os, const struct journal_places *places,
                                   const struct journal_dropping *dropping,
                                   struct journal_packer **out_packer)
{
    return create(os, places, dropping->number, dropping->codec, dropping, out_packer);
}

int journal_packer_step(struct journal_packer *packer)
{
    assert(packer->phase);
    return packer->phase(packer);
}

void journal_packer_destroy(struct journal_packer *packer)
{
    struct os *os;
    bool is_half_made;

    if (!packer) return;
    os = packer->os;
    is_half_made = packer->phase && (packer->fd >= 0 || packer->packed);
    if (packer->fd >= 0) (void)os->close(os, packer->fd); /* it is thrown away */
    journal_packed_close(os, packer->packed);
    journal_cipher_destroy(packer->cipher);
    /* What stays is removed by the next who opens the journal. */
    if (is_half_made) (void)os->unlink(os, packer->file_new);
    journal_scan_finish(&packer->scan);
    journal_scan_finish(&packer->written_scan);
    journal_stored_close(&packer->source);
    journal_drop_finish(&packer->drop);
    journal_index_finish(&packer->index);
    free(packer->table);
    free(packer->file);
    free(packer->file_new);
    free(packer);
}

uint64_t journal_packer_file_bytes(const struct journal_packer *packer)
{
    return packer->end;
}

bool journal_packer_has_replaced_index(const struct journal_packer *packer)
{
    return packer->has_replaced_index;
}

uint64_t journal_packer_number(const struct journal_packer *packer)
{
    return packer->number;
}
