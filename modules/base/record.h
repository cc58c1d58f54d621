/* record.h - a struct os that writes down what is done to the files of a directory.
 *
 * It wraps another table, passes every call on and appends an event for each that changed a file or
 * a name below the directory, or brought it to the device. power.h makes of these what a disk may
 * hold after a loss of power at any of them.
 *
 * Stores into mappings do not pass a table. They are found by comparison: each recorded call, and
 * record_look, first takes in how the files that are mapped for writing differ from what is known
 * of them. So of the stores between two calls only the sum is seen.
 *
 * Events lie in memory that stays shared after fork(): a child may work through the table and be
 * killed, and its parent reads what it did. Only one of the two may use the table.
 *
 * The table may be used by several threads at once; calls that change something are made one after
 * the other, but syncs and waiting for locks are not. Belongs to tests, but is a part of the
 * archive so that every module's and the server's tests have it. */
#ifndef MODULES_BASE_RECORD_H
#define MODULES_BASE_RECORD_H
#include <stddef.h>
#include <stdint.h>

struct os;
struct record;

/* A file or directory below the root has a number; the root itself is 0. */
enum record_kind {
    RECORD_WRITE,       /* bytes at offset, by a call or by stores */
    RECORD_RESIZE,      /* size is the new one */
    RECORD_ALLOCATE,    /* [offset, offset + size); the file reaches that far now */
    RECORD_PUNCH,       /* [offset, offset + size) are zero */
    RECORD_NAME,        /* name in directory leads to file, which is new */
    RECORD_UNNAME,      /* name in directory is gone */
    RECORD_RENAME,      /* name in directory leads to file; from_name in from_directory is gone */
    RECORD_SYNC_BEGIN,  /* of file, which may be a directory */
    RECORD_SYNC_END,    /* that began with event `begun`, of [offset, offset + size) */
    RECORD_SYNC_ALL,    /* of all that was done before the event `begun`; 0: before this one, behind
                         * what was there at the start */
    RECORD_SYNC_FAILED, /* of file, [offset, offset + size): pages written before it are taken for
                         * written by the kernel, and no later sync brings them, unless they are
                         * written once more */
    RECORD_SYNC_ALL_FAILED, /* the same of all files */
    RECORD_MARK,            /* number, value: of record_mark */
};

struct record_event {
    enum record_kind kind;
    uint32_t file, directory, from_directory;
    uint32_t number; /* of a mark */
    uint64_t offset, size, value;
    uint64_t inode; /* of a new name */
    size_t begun;
    const char *name, *from_name; /* of the record, as bytes is */
    const uint8_t *bytes;         /* size of them */
};

enum { RECORD_MARKS_MAX = 8 };

/* Bugs to plant: tests prove with them that they would find such a bug. */
enum record_plant {
    RECORD_DIRECTORY_SYNCS_LEFT_OUT, /* as if the engine did not ask for them */
    RECORD_SYNCS_LATE, /* answered at once, and done when the next sync of that file is asked for */
};

/* A sync that fails in the table below is recorded as one that has failed.
 *
 * Begins with what is in the directory now, taken as synced. bytes_max: room for events and what
 * they tell of, beyond which the process is aborted; memory is taken as it is used. -ENOMEM, or an
 * error of reading. */
int record_create(struct os *below, const char *directory, size_t bytes_max,
                  struct record **out_record);
void record_destroy(struct record *record); /* accepts NULL */
struct os *record_os(struct record *record);

/* Takes in what was stored into mappings since the last call. 0, or an error of reading. */
int record_look(struct record *record);
/* A word of the test between two events, below RECORD_MARKS_MAX: e.g. how much was promised. */
void record_mark(struct record *record, uint32_t number, uint64_t value);
/* For the rest of the record's life; may be planted by the parent of who uses the table. */
void record_plant(struct record *record, enum record_plant plant);
/* Every sync takes so long from now on: what is answered too early then is seen too early. */
void record_set_sync_delay(struct record *record, unsigned delay_us);

/* Goes on after the child that used the table was killed: another may use it, or this process. What
 * the child had done and not told of any more is taken in from the directory. 0 or -errno. */
int record_resume(struct record *record, const char *directory);

/* Events so far; may be asked for by the parent of who uses the table. */
size_t record_count(const struct record *record);
const struct record_event *record_event(const struct record *record, size_t index);
#endif
