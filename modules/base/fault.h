/* fault.h - a struct os that fails on purpose.
 *
 * It wraps another table and passes calls on, unless told to fail them, to transfer less than was
 * asked for, to flip a bit of what was read, or to play a disk of a certain size. Tests hand it to
 * an engine in the place of os_real() and let the 1st, 2nd, … call fail until all succeed:
 *
 *     for (uint64_t nth = 1;; nth++) {
 *         fault_fail(fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
 *         rc = operation(fault_os(fault));
 *         has_fired = fault_fired(fault) > 0;
 *         fault_clear(fault);
 *         if (!has_fired) break;   // nothing was left to fail: the operation has succeeded
 *         ... rc is the error, nothing has changed ...
 *     }
 *
 * All functions and the table may be used by several threads at once. Belongs to tests, but is a
 * part of the archive so that every module's and the server's tests have it. */
#ifndef MODULES_BASE_FAULT_H
#define MODULES_BASE_FAULT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct os;
struct fault;

enum fault_call {
    FAULT_OPEN,
    FAULT_CLOSE, /* a failed close has closed all the same, as in the kernel */
    FAULT_PREAD,
    FAULT_PREAD_NOW,
    FAULT_ADVISE,
    FAULT_PWRITE,
    FAULT_FDATASYNC,
    FAULT_FSYNC,
    FAULT_FSYNC_DIRECTORY,
    FAULT_WATCH_FILESYSTEM,
    FAULT_SYNC_FILESYSTEM,
    FAULT_TRUNCATE,
    FAULT_ALLOCATE,
    FAULT_PUNCH,
    FAULT_CLONE,
    FAULT_UNLINK,
    FAULT_RENAME,
    FAULT_MKDIR,
    FAULT_RMDIR,
    FAULT_SIZE,
    FAULT_FREE_BYTES,
    FAULT_LOCK, /* of whole files and of ranges */
    FAULT_LIST,
    FAULT_MAP,
    FAULT_UNMAP,
    FAULT_POPULATE,
    FAULT_UNPOPULATE,
    FAULT_PIN,
    FAULT_UNPIN,
    FAULT_RESIDENT,
    FAULT_SYNC_MAP,
    FAULT_CALL_COUNT,
    FAULT_ANY = FAULT_CALL_COUNT, /* whichever call */
    FAULT_ANY_CHANGE, /* whichever changes files or names, or brings them to the device; opening
                         too. When they all fail from then on, the files are left as by a process
                         that was killed, and what was held can still be let go */
};

enum fault_duration { FAULT_ONCE, FAULT_FROM_THEN_ON };

/* Room for so many rules at once; more is a mistake of the test (asserted). */
enum { FAULT_RULES_MAX = 16 };

/* below must outlive the fault. -ENOMEM. */
int fault_create(struct os *below, struct fault **out_fault);
void fault_destroy(struct fault *fault); /* accepts NULL */
/* The table to hand out; lives as long as the fault. */
struct os *fault_os(struct fault *fault);

/* The nth call of that kind from now on (1: the next) returns -error, and so does every later one
 * if asked. Rules add up; where two apply the older one decides. */
void fault_fail(struct fault *fault, enum fault_call call, uint64_t nth, int error,
                enum fault_duration duration);
/* Flips the bits of mask in one byte of what the nth pread from now on reads: the byte at index,
 * modulo the bytes that were read. */
void fault_flip(struct fault *fault, uint64_t nth, uint64_t index, uint8_t mask,
                enum fault_duration duration);
/* Each pread and pwrite transfers at most so many bytes. 0: as many as it can. */
void fault_limit_transfer(struct fault *fault, size_t bytes_max);
/* Forgets all rules and the transfer limit; the disk and the call counts stay. */
void fault_clear(struct fault *fault);

/* Calls of that kind since the fault was created, failed ones included. */
uint64_t fault_count(struct fault *fault, enum fault_call call);
/* How often a rule has failed a call or flipped a byte since the last fault_clear. */
uint64_t fault_fired(struct fault *fault);

/* Plays a disk of that size: what is written or allocated through this table counts in blocks of
 * 4 KiB, overwriting counts nothing, and punch, truncate, unlink and rename onto a file give back.
 * What was there before a file is first opened counts when it is. When the disk is full, pwrite
 * transfers what fits and then returns -ENOSPC, allocate does nothing and returns -ENOSPC. May be
 * raised and lowered at any time. Blocks that are shared (clone) count nothing. UINT64_MAX, the
 * start: no limit but the real disk's. */
void fault_set_disk(struct fault *fault, uint64_t disk_bytes);
uint64_t fault_disk_used(struct fault *fault);
/* As on ext4: allocate that finds no room for all keeps what there was, and returns -ENOSPC. */
void fault_set_disk_keeps(struct fault *fault, bool keeps);
#endif
