/* file.h - the spill file: room on disk for chunks and nodes, written in batches, checked when
 * read.
 *
 * Payloads become extents: a header (format.h draws it) and the payload, from a 4 KiB boundary on.
 * Payloads that are small enough that several fit into one block share it. Room is found next-fit,
 * so that what is written together lies together; the allocator lives in memory only (space.h). All
 * transfers are made by I/O threads through aligned buffers of the file's own, with O_DIRECT where
 * the file system has it: the page cache must neither hold what we evict nor pass for a disk.
 *
 * Owner thread of io only; completions come from io_poll. Nothing here logs. */
#ifndef MODULES_SPILL_FILE_H
#define MODULES_SPILL_FILE_H
#include "modules/base/slice.h"

struct os;
struct io;
struct spill_file;

enum { SPILL_BLOCK_BYTES = 4096, SPILL_BATCH_BYTES = 1 << 20 };

/* What an extent holds; written into its header and compared when it is read. */
struct spill_identity {
    uint64_t list;       /* the deque's number, never reused in the life of a store */
    uint64_t generation; /* of this write, never reused either */
    uint32_t element_count;
    uint32_t kind; /* spill's own: chunk or node; below 256 */
};

/* Where an extent lies. All zero: nowhere. Kept by whoever owns the payload. */
struct spill_ref {
    uint64_t position_bytes; /* of the header; on a block boundary unless it shares a block */
    uint32_t size_bytes;     /* of the payload, without the header */
    uint32_t crc32c;         /* of header fields and payload, as drawn in format.h */
    uint64_t generation;
};

/* disk_bytes_max 0: no limit. Removes spill files of an earlier life (named spill-, eight digits,
 * .dat; neither directories nor links) in directory; touches nothing else. -EWOULDBLOCK: a living
 * process has its spill file there. -EEXIST: something foreign has the name of ours. May wait for
 * the disk. */
int spill_file_create(struct os *os, struct io *io, const char *directory, uint64_t disk_bytes_max,
                      struct spill_file **out_file);
/* Opens the file of an earlier life, of which checkpoints refer to what state says of end_blocks
 * blocks (space_kept.h; what was read is taken off it). -ENOENT, -EWOULDBLOCK; -ENODATA: it is
 * shorter; -EBADMSG: state is damaged. May wait for the disk. */
int spill_file_open(struct os *os, struct io *io, const char *directory, uint64_t disk_bytes_max,
                    uint64_t end_blocks, struct slice *state, struct spill_file **out_file);
/* As spill_file_destroy, but the file stays. */
void spill_file_close(struct spill_file *file);
/* No transfer may be in flight; a truncation or punch may, and is waited for with io_wait. Removes
 * the file. Accepts NULL. */
void spill_file_destroy(struct spill_file *file);

struct spill_write_item {
    struct slice payload; /* must not change until done() */
    struct spill_identity identity;
    struct spill_ref ref; /* out, valid when done() comes with rc 0 */
};
struct spill_write {
    struct spill_write_item *items; /* the caller's until done() */
    unsigned item_count;
    int rc; /* one for all: 0, or why nothing of it counts (-ENOSPC, -EIO, …) */
    void (*done)(struct spill_write *write);
    void *context;
    struct spill_write *next; /* file's own until done() */
    uint64_t number; /* file's own: in the order in which room was found; 0: not remembered */
    uint64_t old_end_bytes;   /* file's own: how long the file was before */
    bool took_holes;          /* file's own: some of it is where the file was punched */
    bool knew_full;           /* file's own: room was looked for where the disk has some for sure */
    bool is_last_try;         /* file's own */
    struct spill_run *pieces; /* file's own: taken, to be punched before it is written */
    unsigned piece_count, piece_capacity;
    unsigned punched_count; /* file's own: of the pieces, from the first on; the worker's */
};
/* Finds room now and writes on an I/O thread: headers, checksums and copies are made there too.
 * -ENOSPC: disk_bytes_max is reached (the disk itself being full comes with done). -ENOMEM: no
 * memory for the allocator's tables (no transfer buffer comes with done). After an error here
 * done() is not called. After rc < 0 in done() the room is free again and the refs are nowhere.
 * Items of any size; a batch should be about SPILL_BATCH_BYTES. At most two batches are written at
 * once, more wait. */
int spill_file_write(struct spill_file *file, struct spill_write *write);

struct spill_read {
    struct spill_ref ref;
    struct spill_identity
        identity;   /* expected: compared with the header, generation with ref too */
    uint8_t *bytes; /* ref.size_bytes of room, the caller's until done() */
    int rc; /* 0; -EIO and other errors of the read; -EBADMSG: checksum, identity or size differ */
    bool is_urgent; /* somebody waits for it: it goes before those that nobody waits for yet */
    void (*done)(struct spill_read *read);
    void *context;
    struct spill_read *next; /* file's own until done() */
};
/* Reads on I/O threads. Those of one call that lie near each other are read in one transfer of at
 * most SPILL_BATCH_BYTES. All of one call are urgent or none is. Never fails at once: errors come
 * with done(), one call an item. */
void spill_file_read(struct spill_file *file, struct spill_read **reads, unsigned read_count);

/* Gives an extent's room back; it may be written again at once. No read of it may be in flight. */
void spill_file_free(struct spill_file *file, const struct spill_ref *ref);

/* Starts what is due: truncating the free tail, punching free runs of 1 MiB and more (on I/O
 * threads, bounded in flight). Called once a tick. True: more is due at once; what is in flight
 * goes on by its completion. */
bool spill_file_tick(struct spill_file *file);
/* In how many microseconds it is to be called again although nothing has happened, or -1: a punch
 * waits until the file has been at rest for a while. As of the last tick. */
int64_t spill_file_wait_us(const struct spill_file *file);

void spill_file_set_disk_max(struct spill_file *file, uint64_t disk_bytes_max);
/* While wanted, free runs inside the file go back to the file system instead of being kept for
 * being written again. */
void spill_file_give_all(struct spill_file *file, bool is_wanted);

struct spill_file_info {
    uint64_t file_bytes, used_bytes /* whole blocks in use */, disk_bytes_max;
    uint64_t memory_bytes; /* allocator tables and transfer buffers */
    uint64_t writes, write_bytes, write_errors, reads, read_bytes, read_errors, checksum_errors;
    uint64_t sync_errors;
    uint64_t punched_bytes, truncated_bytes, writes_in_flight, reads_in_flight;
    bool is_direct; /* O_DIRECT is in use */
};
void spill_file_info(const struct spill_file *file, struct spill_file_info *out_info);
/* What an extent of that payload size occupies, in bytes; for accounting. */
uint64_t spill_file_footprint(uint32_t payload_bytes);
void spill_file_check(const struct spill_file *file); /* asserts the allocator's invariants */
#endif
