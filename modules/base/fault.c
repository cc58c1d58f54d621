/* Every call of the table does the same: admit() counts it and asks the rules; then the disk, where
 * it matters, is asked for room; then the table below is called. The mutex guards rules, counts and
 * disk, and is never held across a call below. */
#include "modules/base/fault.h"
#include "modules/base/fault_disk_internal.h"
#include "modules/base/os.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct rule {
    enum fault_call call;
    uint64_t calls_left; /* matching calls to let pass before it applies; 0: it applies */
    enum fault_duration duration;
    bool is_flip;
    bool is_over; /* was FAULT_ONCE and has fired */
    int error;
    uint64_t flip_index;
    uint8_t flip_mask;
};

struct fault {
    struct os table; /* first: the table's functions find the fault by it */
    struct os *below;
    pthread_mutex_t mutex; /* guards all below */
    struct rule rules[FAULT_RULES_MAX];
    unsigned rule_count;
    size_t transfer_bytes_max; /* 0: no limit */
    uint64_t counts[FAULT_CALL_COUNT];
    uint64_t fired_count;
    struct disk disk;
    bool disk_keeps; /* fault_set_disk_keeps */
};

static struct fault *fault_of(struct os *os)
{
    return (struct fault *)(void *)os;
}

static void lock(struct fault *fault)
{
    int rc = pthread_mutex_lock(&fault->mutex);
    assert(rc == 0);
    (void)rc;
}

static void unlock(struct fault *fault)
{
    int rc = pthread_mutex_unlock(&fault->mutex);
    assert(rc == 0);
    (void)rc;
}

/* ---- rules
 * ---------------------------------------------------------------------------------------- */

static bool is_change(enum fault_call call)
{
    switch (call) {
    case FAULT_CLOSE:
    case FAULT_PREAD:
    case FAULT_PREAD_NOW:
    case FAULT_ADVISE:
    case FAULT_SIZE:
    case FAULT_FREE_BYTES:
    case FAULT_LOCK:
    case FAULT_LIST:
    case FAULT_MAP:
    case FAULT_UNMAP:
    case FAULT_UNPOPULATE:
    case FAULT_WATCH_FILESYSTEM:
    case FAULT_PIN:
    case FAULT_UNPIN:
    case FAULT_RESIDENT:
        return false;
    default:
        return true;
    }
}

static bool rule_matches(const struct rule *rule, enum fault_call call)
{
    if (rule->call == FAULT_ANY_CHANGE) return is_change(call);
    return rule->call == FAULT_ANY || rule->call == call;
}

/* Counts a matching call against the rule; true when it is the rule's. */
static bool rule_applies(struct rule *rule, enum fault_call call)
{
    if (rule->is_over || !rule_matches(rule, call)) return false;
    if (rule->calls_left > 0) {
        rule->calls_left--;
        return false;
    }
    return true;
}

/* Every rule counts every call, fired or not, so that two rules do not shift each other. *out_flip:
 * what to flip if the call succeeds (mask 0: nothing). Returns 0 or the error to fail with. */
static int admit_transfer(struct fault *fault, enum fault_call call, struct rule *out_flip)
{
    int rc = 0;
    struct rule *fired = NULL;
    *out_flip = (struct rule){ .flip_mask = 0 };
    lock(fault);
    fault->counts[call]++;
    for (unsigned i = 0; i < fault->rule_count; i++) {
        struct rule *rule = &fault->rules[i];
        if (!rule_applies(rule, call) || fired) continue;
        fired = rule;
    }
    if (fired) {
        fault->fired_count++;
        if (fired->is_flip) {
            *out_flip = *fired;
        } else {
            rc = -fired->error;
        }
        fired->is_over = fired->duration == FAULT_ONCE;
    }
    unlock(fault);
    return rc;
}

static int admit(struct fault *fault, enum fault_call call)
{
    struct rule flip;
    return admit_transfer(fault, call, &flip); /* only preads have flips */
}

static void add_rule(struct fault *fault, struct rule rule)
{
    lock(fault);
    assert(fault->rule_count < FAULT_RULES_MAX);
    fault->rules[fault->rule_count++] = rule;
    unlock(fault);
}

void fault_fail(struct fault *fault, enum fault_call call, uint64_t nth, int error,
                enum fault_duration duration)
{
    assert(nth > 0 && error > 0);
    add_rule(
        fault,
        (struct rule){ .call = call, .calls_left = nth - 1, .duration = duration, .error = error });
}

void fault_flip(struct fault *fault, uint64_t nth, uint64_t index, uint8_t mask,
                enum fault_duration duration)
{
    assert(nth > 0 && mask != 0);
    add_rule(fault, (struct rule){ .call = FAULT_PREAD,
                                   .calls_left = nth - 1,
                                   .duration = duration,
                                   .is_flip = true,
                                   .flip_index = index,
                                   .flip_mask = mask });
}

void fault_limit_transfer(struct fault *fault, size_t bytes_max)
{
    lock(fault);
    fault->transfer_bytes_max = bytes_max;
    unlock(fault);
}

void fault_clear(struct fault *fault)
{
    lock(fault);
    fault->rule_count = 0;
    fault->transfer_bytes_max = 0;
    fault->fired_count = 0;
    unlock(fault);
}

uint64_t fault_count(struct fault *fault, enum fault_call call)
{
    uint64_t count = 0;
    assert(call <= FAULT_ANY);
    lock(fault);
    for (unsigned i = 0; i < FAULT_CALL_COUNT; i++) {
        if (call == FAULT_ANY || call == i) count += fault->counts[i];
    }
    unlock(fault);
    return count;
}

uint64_t fault_fired(struct fault *fault)
{
    uint64_t count;
    lock(fault);
    count = fault->fired_count;
    unlock(fault);
    return count;
}

void fault_set_disk(struct fault *fault, uint64_t disk_bytes)
{
    lock(fault);
    fault->disk.size_bytes = disk_bytes;
    unlock(fault);
}

void fault_set_disk_keeps(struct fault *fault, bool keeps)
{
    lock(fault);
    fault->disk_keeps = keeps;
    unlock(fault);
}

uint64_t fault_disk_used(struct fault *fault)
{
    uint64_t used;
    lock(fault);
    used = fault->disk.used_blocks * FAULT_BLOCK_BYTES;
    unlock(fault);
    return used;
}

/* ---- the table: files
 * ----------------------------------------------------------------------------- */

static int faulty_open(struct os *os, const char *path, int flags, mode_t mode)
{
    struct fault *fault = fault_of(os);
    int fd, rc = admit(fault, FAULT_OPEN);
    if (rc < 0) return rc;
    fd = fault->below->open(fault->below, path, flags, mode);
    if (fd < 0) return fd;
    lock(fault);
    rc = disk_opened(&fault->disk, fd);
    unlock(fault);
    if (rc == 0) return fd;
    (void)fault->below->close(fault->below, fd); /* the first error counts */
    return rc;
}

static int faulty_close(struct os *os, int fd)
{
    struct fault *fault = fault_of(os);
    int rc = admit(fault, FAULT_CLOSE);
    int closed = fault->below->close(fault->below, fd);
    return rc < 0 ? rc : closed;
}

static size_t limited(struct fault *fault, size_t size)
{
    lock(fault);
    if (fault->transfer_bytes_max > 0 && size > fault->transfer_bytes_max) {
        size = fault->transfer_bytes_max;
    }
    unlock(fault);
    return size;
}

static ssize_t faulty_pread(struct os *os, int fd, void *bytes, size_t size, uint64_t offset)
{
    struct fault *fault = fault_of(os);
    struct rule flip;
    ssize_t got = admit_transfer(fault, FAULT_PREAD, &flip);
    if (got < 0) return got;
    got = fault->below->pread(fault->below, fd, bytes, limited(fault, size), offset);
    if (got > 0) ((uint8_t *)bytes)[flip.flip_index % (uint64_t)got] ^= flip.flip_mask;
    return got;
}

static ssize_t faulty_pread_now(struct os *os, int fd, void *bytes, size_t size, uint64_t offset)
{
    struct fault *fault = fault_of(os);
    int rc = admit(fault, FAULT_PREAD_NOW);

    if (rc < 0) return rc;
    return fault->below->pread_now(fault->below, fd, bytes, limited(fault, size), offset);
}

static int faulty_advise(struct os *os, int fd, uint64_t offset, uint64_t size_bytes,
                         enum os_advice advice)
{
    struct fault *fault = fault_of(os);
    int rc = admit(fault, FAULT_ADVISE);

    return rc < 0 ? rc : fault->below->advise(fault->below, fd, offset, size_bytes, advice);
}

static ssize_t faulty_pwrite(struct os *os, int fd, const void *bytes, size_t size, uint64_t offset)
{
    struct fault *fault = fault_of(os);
    uint64_t room;
    int rc = admit(fault, FAULT_PWRITE);
    if (rc < 0) return rc;
    size = limited(fault, size);
    lock(fault);
    rc = disk_take(&fault->disk, fd, offset, size, &room);
    unlock(fault);
    if (rc != 0) return rc;
    if (room == 0 && size > 0) return -ENOSPC;
    return fault->below->pwrite(fault->below, fd, bytes, (size_t)room, offset);
}

static int faulty_fdatasync(struct os *os, int fd)
{
    struct fault *fault = fault_of(os);
    int rc = admit(fault, FAULT_FDATASYNC);
    return rc < 0 ? rc : fault->below->fdatasync(fault->below, fd);
}

static int faulty_fsync(struct os *os, int fd)
{
    struct fault *fault = fault_of(os);
    int rc = admit(fault, FAULT_FSYNC);
    return rc < 0 ? rc : fault->below->fsync(fault->below, fd);
}

static int faulty_fsync_directory(struct os *os, const char *path)
{
    struct fault *fault = fault_of(os);
    int rc = admit(fault, FAULT_FSYNC_DIRECTORY);
    return rc < 0 ? rc : fault->below->fsync_directory(fault->below, path);
}

static int faulty_watch_filesystem(struct os *os, const char *directory)
{
    struct fault *fault = fault_of(os);
    int rc = admit(fault, FAULT_WATCH_FILESYSTEM);
    return rc < 0 ? rc : fault->below->watch_filesystem(fault->below, directory);
}

static int faulty_sync_filesystem(struct os *os, int fd)
{
    struct fault *fault = fault_of(os);
    int rc = admit(fault, FAULT_SYNC_FILESYSTEM);
    return rc < 0 ? rc : fault->below->sync_filesystem(fault->below, fd);
}

static int faulty_truncate(struct os *os, int fd, uint64_t size_bytes)
{
    struct fault *fault = fault_of(os);
    int rc = admit(fault, FAULT_TRUNCATE);
    if (rc == 0) rc = fault->below->truncate(fault->below, fd, size_bytes);
    if (rc < 0) return rc;
    lock(fault);
    rc = disk_give_back(&fault->disk, fd, size_bytes, UINT64_MAX - size_bytes);
    unlock(fault);
    return rc;
}

static int faulty_allocate(struct os *os, int fd, uint64_t offset, uint64_t size_bytes)
{
    struct fault *fault = fault_of(os);
    uint64_t kept = 0;
    int rc = admit(fault, FAULT_ALLOCATE);
    if (rc < 0) return rc;
    lock(fault);
    rc = disk_take_all(&fault->disk, fd, offset, size_bytes);
    if (rc == -ENOSPC && fault->disk_keeps)
        (void)disk_take(&fault->disk, fd, offset, size_bytes, &kept);
    unlock(fault);
    if (kept > 0) (void)fault->below->allocate(fault->below, fd, offset, kept);
    return rc < 0 ? rc : fault->below->allocate(fault->below, fd, offset, size_bytes);
}

static int faulty_punch(struct os *os, int fd, uint64_t offset, uint64_t size_bytes)
{
    struct fault *fault = fault_of(os);
    int rc = admit(fault, FAULT_PUNCH);
    if (rc == 0) rc = fault->below->punch(fault->below, fd, offset, size_bytes);
    if (rc < 0) return rc;
    lock(fault);
    rc = disk_give_back(&fault->disk, fd, offset, size_bytes);
    unlock(fault);
    return rc;
}

static int faulty_clone(struct os *os, int from_fd, int to_fd, uint64_t offset, uint64_t size_bytes)
{
    struct fault *fault = fault_of(os);
    int rc = admit(fault, FAULT_CLONE);
    if (rc < 0) return rc;
    return fault->below->clone(fault->below, from_fd, to_fd, offset, size_bytes);
}

static int faulty_size(struct os *os, int fd, uint64_t *out_size_bytes)
{
    struct fault *fault = fault_of(os);
    int rc = admit(fault, FAULT_SIZE);
    return rc < 0 ? rc : fault->below->size(fault->below, fd, out_size_bytes);
}

static int faulty_lock(struct os *os, int fd)
{
    struct fault *fault = fault_of(os);
    int rc = admit(fault, FAULT_LOCK);
    return rc < 0 ? rc : fault->below->lock(fault->below, fd);
}

static int faulty_lock_range(struct os *os, int fd, uint64_t offset, uint64_t size_bytes,
                             enum os_lock kind, bool waits)
{
    struct fault *fault = fault_of(os);
    int rc = admit(fault, FAULT_LOCK);
    return rc < 0 ? rc
                  : fault->below->lock_range(fault->below, fd, offset, size_bytes, kind, waits);
}

static void *faulty_map(struct os *os, int fd, size_t size, int protection, uint64_t offset,
                        int *out_rc)
{
    struct fault *fault = fault_of(os);
    *out_rc = admit(fault, FAULT_MAP);
    if (*out_rc < 0) return NULL;
    return fault->below->map(fault->below, fd, size, protection, offset, out_rc);
}

static int faulty_unmap(struct os *os, void *address, size_t size)
{
    struct fault *fault = fault_of(os);
    int rc = admit(fault, FAULT_UNMAP);
    return rc < 0 ? rc : fault->below->unmap(fault->below, address, size);
}

static int faulty_populate(struct os *os, void *address, size_t size)
{
    struct fault *fault = fault_of(os);
    int rc = admit(fault, FAULT_POPULATE);
    return rc < 0 ? rc : fault->below->populate(fault->below, address, size);
}

static int faulty_unpopulate(struct os *os, void *address, size_t size)
{
    struct fault *fault = fault_of(os);
    int rc = admit(fault, FAULT_UNPOPULATE);
    return rc < 0 ? rc : fault->below->unpopulate(fault->below, address, size);
}

static int faulty_pin(struct os *os, void *address, size_t size)
{
    struct fault *fault = fault_of(os);
    int rc = admit(fault, FAULT_PIN);
    return rc < 0 ? rc : fault->below->pin(fault->below, address, size);
}

static int faulty_unpin(struct os *os, void *address, size_t size)
{
    struct fault *fault = fault_of(os);
    int rc = admit(fault, FAULT_UNPIN);
    return rc < 0 ? rc : fault->below->unpin(fault->below, address, size);
}

static int faulty_resident(struct os *os, void *address, size_t size, size_t *out_size)
{
    struct fault *fault = fault_of(os);
    int rc = admit(fault, FAULT_RESIDENT);
    return rc < 0 ? rc : fault->below->resident(fault->below, address, size, out_size);
}

static int faulty_sync_map(struct os *os, void *address, size_t size)
{
    struct fault *fault = fault_of(os);
    int rc = admit(fault, FAULT_SYNC_MAP);
    return rc < 0 ? rc : fault->below->sync_map(fault->below, address, size);
}

/* ---- the table: directories
 * ----------------------------------------------------------------------- */

static int faulty_unlink(struct os *os, const char *path)
{
    struct fault *fault = fault_of(os);
    int rc = admit(fault, FAULT_UNLINK);
    if (rc < 0) return rc;
    lock(fault);
    disk_unlinking(&fault->disk, path);
    unlock(fault);
    return fault->below->unlink(fault->below, path);
}

static int faulty_rename(struct os *os, const char *from, const char *to)
{
    struct fault *fault = fault_of(os);
    int rc = admit(fault, FAULT_RENAME);
    if (rc < 0) return rc;
    lock(fault);
    disk_unlinking(&fault->disk, to);
    unlock(fault);
    return fault->below->rename(fault->below, from, to);
}

static int faulty_mkdir(struct os *os, const char *path, mode_t mode)
{
    struct fault *fault = fault_of(os);
    int rc = admit(fault, FAULT_MKDIR);
    return rc < 0 ? rc : fault->below->mkdir(fault->below, path, mode);
}

static int faulty_rmdir(struct os *os, const char *path)
{
    struct fault *fault = fault_of(os);
    int rc = admit(fault, FAULT_RMDIR);
    return rc < 0 ? rc : fault->below->rmdir(fault->below, path);
}

static int faulty_free_bytes(struct os *os, const char *path, uint64_t *out_free_bytes)
{
    struct fault *fault = fault_of(os);
    uint64_t really_free, used, left;
    int rc = admit(fault, FAULT_FREE_BYTES);
    if (rc == 0) rc = fault->below->free_bytes(fault->below, path, &really_free);
    if (rc != 0) return rc;
    lock(fault);
    used = fault->disk.used_blocks * FAULT_BLOCK_BYTES;
    left = fault->disk.size_bytes > used ? fault->disk.size_bytes - used : 0;
    unlock(fault);
    *out_free_bytes = left < really_free ? left : really_free;
    return 0;
}

static int faulty_list(struct os *os, const char *path,
                       int (*each)(void *context, const char *name), void *context)
{
    struct fault *fault = fault_of(os);
    int rc = admit(fault, FAULT_LIST);
    return rc < 0 ? rc : fault->below->list(fault->below, path, each, context);
}

/* ---- life
 * ----------------------------------------------------------------------------------------- */

int fault_create(struct os *below, struct fault **out_fault)
{
    struct fault *fault = calloc(1, sizeof(*fault));
    if (!fault) return -ENOMEM;
    fault->below = below;
    fault->table = (struct os){
        .open = faulty_open,
        .close = faulty_close,
        .pread = faulty_pread,
        .pread_now = faulty_pread_now,
        .advise = faulty_advise,
        .pwrite = faulty_pwrite,
        .fdatasync = faulty_fdatasync,
        .fsync = faulty_fsync,
        .fsync_directory = faulty_fsync_directory,
        .watch_filesystem = faulty_watch_filesystem,
        .sync_filesystem = faulty_sync_filesystem,
        .truncate = faulty_truncate,
        .allocate = faulty_allocate,
        .punch = faulty_punch,
        .clone = faulty_clone,
        .unlink = faulty_unlink,
        .rename = faulty_rename,
        .mkdir = faulty_mkdir,
        .rmdir = faulty_rmdir,
        .size = faulty_size,
        .free_bytes = faulty_free_bytes,
        .lock = faulty_lock,
        .lock_range = faulty_lock_range,
        .list = faulty_list,
        .map = faulty_map,
        .unmap = faulty_unmap,
        .populate = faulty_populate,
        .unpopulate = faulty_unpopulate,
        .pin = faulty_pin,
        .unpin = faulty_unpin,
        .resident = faulty_resident,
        .sync_map = faulty_sync_map,
    };
    pthread_mutex_init(&fault->mutex, NULL); /* with default attributes it cannot fail */
    disk_init(&fault->disk);
    *out_fault = fault;
    return 0;
}

void fault_destroy(struct fault *fault)
{
    if (!fault) return;
    disk_finish(&fault->disk);
    pthread_mutex_destroy(&fault->mutex);
    free(fault);
}

struct os *fault_os(struct fault *fault)
{
    return &fault->table;
}
