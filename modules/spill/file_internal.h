/* file_internal.h - what the parts of the spill file share.
 *
 *   file.c           made, locked, removed; room given back; figures
 *   file_transfer.c  slots with a buffer each; who waits for one
 *   file_written.c   what was written since the last sync
 *   file_reserve.c   room for the next checkpoint
 *   file_kept.c      what checkpoints refer to          file_sync.c      bringing it to the device
 *   file_swap.c      pieces that are too small exchanged for room elsewhere
 *   file_write.c     finding room, filling and writing a batch      file_read.c  reads, near ones
 * at once file_trim.c      truncating and punching
 *
 * All state is the owner thread's. A worker touches only what its job hands it: a slot's buffer and
 * the items or reads of its transfer. */
#ifndef MODULES_SPILL_FILE_INTERNAL_H
#define MODULES_SPILL_FILE_INTERNAL_H
#include "modules/base/os.h"
#include "modules/io/io.h"
#include "modules/spill/file.h"
#include "modules/spill/file_written.h"
#include "modules/spill/space.h"

enum {
    FILE_READS_MAX = 4,  /* transfers at once: enough to keep a few threads and a queue busy */
    FILE_WRITES_MAX = 2, /* few, because reads that somebody waits for queue up behind them */
    FILE_SLOT_COUNT = FILE_READS_MAX + FILE_WRITES_MAX,
    FILE_IDLE_TICKS_MAX = 64 /* so many are counted, and one more when all idle buffers are freed */
};

/* A transfer under way, or a place for one. */
struct file_slot {
    struct io_job job;
    struct spill_file *file;
    uint8_t *buffer; /* SPILL_BATCH_BYTES, aligned to blocks; NULL until needed */
    bool is_busy;
    struct spill_write *write; /* this or the next, while busy */
    struct spill_read *reads;  /* through next, by position */
    uint64_t first_byte;       /* reads: the range, in whole blocks, that holds all of them */
    uint64_t end_byte;
    uint64_t transferred_bytes; /* the worker's, for the figures */
};

struct file_queue_of_reads {
    struct spill_read *first, *last;
};

struct file_queue_of_writes {
    struct spill_write *first, *last;
};

enum file_trim_kind { TRIM_NONE, TRIM_TRUNCATE, TRIM_PUNCH };

/* The one sync under way. */
struct file_sync {
    struct io_job job;
    struct spill_file *file;
    void (*done)(void *context, int rc);
    void *context;
    int rc;                    /* of what this sync has done so far */
    size_t next_repair;        /* the suspect extent that is repaired or next to be */
    struct spill_ref repaired; /* by the job under way */
    bool is_running;
    bool is_asked; /* done is to be told of one that begins when the running one has ended */
};

/* Room for the next checkpoint. */
struct file_reserve {
    struct io_job job;
    struct spill_file *file;
    uint64_t wanted_bytes;
    uint64_t first_byte, size_bytes; /* being allocated */
    uint64_t retry_us;               /* not before, after it failed */
    bool is_running;
    bool is_refused;    /* the disk is full */
    bool cannot_be_had; /* the file system promises no room */
};

/* The one truncation or punch under way. */
struct file_trim {
    struct io_job job;
    struct spill_file *file;
    enum file_trim_kind kind;
    uint64_t new_bytes, old_bytes; /* truncating: no write behind new_bytes starts meanwhile */
    struct spill_run run;          /* punching: taken from space meanwhile */
    uint64_t moved_at_punch;       /* bytes read and written when the last punch began */
    uint64_t rest_began_us;    /* the first tick that found no transfer; 0: none since the last */
    bool is_resting;           /* as of the last tick: a punch is due when it has rested */
    uint64_t failed_at_writes; /* how many writes had ended when the last one failed */
    bool has_failed;
    bool cannot_punch; /* the file system has no holes */
    bool gives_all;    /* others need the room: nothing is kept for writing into it again */
};

struct spill_file {
    struct os *os;
    struct io *io;
    char *directory, *path;
    int fd;
    bool is_direct;
    struct spill_space *space;
    uint64_t disk_bytes_max; /* 0: none */
    uint64_t file_bytes;     /* nothing was written behind this */
    uint64_t sure_bytes;     /* the disk may have no room for what is free behind this, as a write
                              * there has failed; UINT64_MAX: none has */
    bool is_disk_full;       /* the last write at the end found no room there */
    uint64_t swapped_blocks; /* of pieces that writes have taken to punch them */
    struct file_slot slots[FILE_SLOT_COUNT];
    unsigned busy_reads, busy_writes;               /* slots */
    unsigned busy_urgent_reads;                     /* of busy_reads */
    unsigned idle_ticks;                            /* since a slot was last busy */
    struct file_queue_of_reads urgent_reads, reads; /* no slot yet */
    struct file_queue_of_writes writes;
    struct io_job no_memory; /* tells those who wait that no buffer could be had */
    bool is_telling_no_memory;
    struct file_trim trim;
    struct file_sync sync;
    struct file_reserve reserve;
    struct written_log written;
    uint64_t last_write; /* number */
    bool is_persistent, is_reopened;
    bool is_directory_synced;       /* the file's name will be found after a crash */
    struct spill_file_info figures; /* counters only */
};

/* file_transfer.c */
void file_queue_write(struct spill_file *file, struct spill_write *write);
/* Starts what waits and can be started. */
void file_start_transfers(struct spill_file *file);
void file_release_slot(struct file_slot *slot);
void file_free_idle_buffers(struct spill_file *file); /* once a tick */
bool file_has_transfers(const struct spill_file *file);
size_t file_buffer_bytes(const struct spill_file *file);

/* file_write.c. The slot has a buffer and its write. */
void file_submit_write(struct file_slot *slot);
/* Gives the room of all items back and sets their refs to nowhere. */
void file_take_back(struct spill_file *file, struct spill_write *write);
/* It has failed, and what the file has grown by may be holes. Before its room is taken back. */
void file_note_unwritten(struct spill_file *file, const struct spill_write *write);
/* Behind the last block of its extents. */
uint64_t file_write_end(const struct spill_write *write);

/* file_swap.c. Takes pieces of so many blocks together from what is free inside and was not
 * punched, in addition to those that the write has. False: there are not so many, or no memory;
 * what was taken stays the write's. */
bool file_swap_gather(struct spill_file *file, struct spill_write *write, uint64_t blocks);
int file_swap_punch(struct spill_write *write, struct os *os, int fd); /* on the worker */
/* Gives the write's pieces back: those that were punched as holes, the others as they were. */
void file_swap_end(struct spill_file *file, struct spill_write *write);

/* file_read.c. Takes as many reads from the front of a queue as go into one transfer. */
void file_submit_read(struct file_slot *slot, struct file_queue_of_reads *queue);

/* file_sync.c: begins one when too much is to be remembered. */
void file_sync_tick(struct spill_file *file);

/* file_reserve.c */
void file_reserve_tick(struct spill_file *file);
int64_t file_reserve_wait_us(const struct spill_file *file); /* as spill_file_wait_us */
/* The disk has room for all of the file up to there, but for what was punched. */
uint64_t file_sure_bytes(const struct spill_file *file);
/* After the end has moved: behind it may be holes now, which are no room until they are allocated.
 */
void file_note_cut(struct spill_file *file);
/* Of the room behind the end, and of the free blocks inside that were not punched: what must stay.
 */
uint64_t file_reserve_tail_bytes(const struct spill_file *file);
uint64_t file_reserve_inside_blocks(const struct spill_file *file);

/* file_trim.c */
bool file_trim_tick(struct spill_file *file);
int64_t file_trim_wait_us(const struct spill_file *file); /* as spill_file_wait_us */
void file_trim_disturb(struct spill_file *file);          /* a transfer begins */
/* Blocks that belong to no extent although space counts them as used. */
uint64_t file_trim_blocks(const struct spill_file *file);
#endif
