/* test_file_fixture.h - a spill file in a directory of its own, for test_file.c and
 * test_file_faults.c.
 *
 * Its system calls go through a struct fault, which counts and fails them, and below that through
 * tricks that only this module needs: refusing O_DIRECT, a bad place on the disk, a truncation that
 * waits. */
#ifndef MODULES_SPILL_TEST_FILE_FIXTURE_H
#define MODULES_SPILL_TEST_FILE_FIXTURE_H
#include "modules/base/fault.h"
#include "modules/base/os.h"
#include "modules/base/random.h"
#include "modules/base/test_directory.h"
#include "modules/io/io.h"
#include "modules/spill/file.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXTENTS_MAX = 4096 };

struct trick_os {
    struct os os;
    int refuse_direct;              /* 1: open says EINVAL to O_DIRECT; 2: transfers do */
    int direct_fd;                  /* of the last open with O_DIRECT */
    uint64_t bad_byte;              /* reads over it fail with -EIO; 0: none does */
    pthread_mutex_t truncate_mutex; /* held by a test that wants truncations to wait */
};

static struct trick_os trick;
static struct fault *fault;
static struct io *io;
static struct spill_file *file;
static char directory[128];

static inline struct trick_os *trick_of(struct os *os)
{
    return (struct trick_os *)(void *)os;
}

static inline int trick_open(struct os *os, const char *path, int flags, mode_t mode)
{
    struct trick_os *t = trick_of(os);
    if (t->refuse_direct == 1 && (flags & O_DIRECT)) return -EINVAL;
    int fd = os_real()->open(os_real(), path, flags, mode);
    t->direct_fd = (flags & O_DIRECT) ? fd : -1;
    return fd;
}

static inline ssize_t trick_pread(struct os *os, int fd, void *bytes, size_t size, uint64_t offset)
{
    struct trick_os *t = trick_of(os);
    if (t->refuse_direct == 2 && fd == t->direct_fd) return -EINVAL;
    if (t->bad_byte && offset <= t->bad_byte && t->bad_byte - offset < size) return -EIO;
    return os_real()->pread(os_real(), fd, bytes, size, offset);
}

static inline ssize_t trick_pwrite(struct os *os, int fd, const void *bytes, size_t size,
                                   uint64_t offset)
{
    struct trick_os *t = trick_of(os);
    if (t->refuse_direct == 2 && fd == t->direct_fd) return -EINVAL;
    return os_real()->pwrite(os_real(), fd, bytes, size, offset);
}

static inline int trick_truncate(struct os *os, int fd, uint64_t size_bytes)
{
    struct trick_os *t = trick_of(os);
    pthread_mutex_lock(&t->truncate_mutex);
    pthread_mutex_unlock(&t->truncate_mutex);
    return os_real()->truncate(os_real(), fd, size_bytes);
}

static inline void trick_init(void)
{
    trick = (struct trick_os){ .os = *os_real(), .direct_fd = -1 };
    trick.os.open = trick_open;
    trick.os.pread = trick_pread;
    trick.os.pwrite = trick_pwrite;
    trick.os.truncate = trick_truncate;
    pthread_mutex_init(&trick.truncate_mutex, NULL);
    ck_assert_int_eq(fault_create(&trick.os, &fault), 0);
}

/* ---- directory and file -----------------------------------------------------------------------
 */

static inline void make_directory(const char *parent)
{
    test_directory_make(directory, sizeof(directory), parent, "spill");
}

static inline void path_in_directory(char *path, size_t size, const char *name)
{
    (void)snprintf(path, size, "%s/%s", directory, name);
}

static inline void open_file(unsigned thread_count, uint64_t disk_bytes_max)
{
    ck_assert_int_eq(io_create(fault_os(fault), thread_count, &io), 0);
    ck_assert_int_eq(spill_file_create(fault_os(fault), io, directory, disk_bytes_max, &file), 0);
}

static inline void close_file(void)
{
    spill_file_destroy(file);
    io_destroy(io);
    file = NULL;
    io = NULL;
}

static inline void fixture_setup(void)
{
    const char *parent = getenv("TMPDIR");
    make_directory(parent ? parent : "/var/tmp");
    trick_init();
}

static inline void fixture_teardown(void)
{
    close_file();
    fault_destroy(fault);
    /* Fails, and so does the test, when something was left behind. */
    ck_assert_int_eq(rmdir(directory), 0);
    pthread_mutex_destroy(&trick.truncate_mutex);
}

static inline struct stat file_status(void)
{
    char path[256];
    struct stat status;
    path_in_directory(path, sizeof(path), "spill-00000001.dat");
    ck_assert_int_eq(stat(path, &status), 0);
    return status;
}

static inline struct spill_file_info file_info(void)
{
    struct spill_file_info info;
    spill_file_info(file, &info);
    return info;
}

/* ---- extents ------------------------------------------------------------------------------------
 */

/* A payload's bytes follow from its seed, so that what is read can be compared without keeping it.
 */
struct extent {
    struct spill_identity identity;
    struct spill_ref ref;
    uint64_t seed;
};

struct pending {
    unsigned count;
};

static inline uint8_t *make_payload(uint64_t seed, size_t size)
{
    struct random random;
    uint8_t *bytes = malloc(size + 1); /* never NULL for size 0 */
    ck_assert_ptr_nonnull(bytes);
    random_init(&random, seed);
    random_fill(&random, bytes, size);
    return bytes;
}

static inline void make_extent(struct extent *extent, uint64_t number, uint32_t size)
{
    *extent = (struct extent){ .identity = { .list = number * 7,
                                             .generation = number + 1000,
                                             .element_count = (uint32_t)number + 1,
                                             .kind = (uint32_t)(number % 2) + 1 },
                               .ref = { .size_bytes = size },
                               .seed = number };
}

static inline void write_is_done(struct spill_write *write)
{
    struct pending *pending = write->context;
    pending->count--;
}

static inline void wait_for(struct pending *pending)
{
    while (pending->count > 0) {
        (void)io_wait(io);
    }
}

/* A batch of extents; refs are filled in on success. The result of the write or of done(). */
struct batch {
    struct spill_write write;
    struct spill_write_item items[EXTENTS_MAX];
    struct extent *extents;
};

static inline int batch_start(struct batch *batch, struct extent *extents, unsigned count,
                              struct pending *pending)
{
    ck_assert_uint_le(count, EXTENTS_MAX);
    batch->extents = extents;
    for (unsigned i = 0; i < count; i++) {
        uint32_t size = extents[i].ref.size_bytes;
        batch->items[i] = (struct spill_write_item){ .payload = slice_of(
                                                         make_payload(extents[i].seed, size), size),
                                                     .identity = extents[i].identity };
    }
    batch->write = (struct spill_write){
        .items = batch->items, .item_count = count, .done = write_is_done, .context = pending
    };
    int rc = spill_file_write(file, &batch->write);
    if (rc == 0) pending->count++;
    return rc;
}

static inline void batch_finish(struct batch *batch)
{
    for (unsigned i = 0; i < batch->write.item_count; i++) {
        if (batch->write.rc == 0) batch->extents[i].ref = batch->items[i].ref;
        free((void *)(uintptr_t)batch->items[i].payload.bytes);
    }
}

static inline int write_extents(struct extent *extents, unsigned count)
{
    struct pending pending = { 0 };
    struct batch *batch = calloc(1, sizeof(*batch));
    ck_assert_ptr_nonnull(batch);
    int rc = batch_start(batch, extents, count, &pending);
    if (rc < 0) {
        batch->write.rc = rc;
    } else {
        wait_for(&pending);
        rc = batch->write.rc;
    }
    batch_finish(batch);
    free(batch);
    return rc;
}

static inline void read_is_done(struct spill_read *read)
{
    struct pending *pending = read->context;
    pending->count--;
}

/* Reads all in one call; out_rcs has a result for each. Whatever comes with 0 is compared. */
static inline void read_extents(const struct extent *extents, unsigned count, int *out_rcs)
{
    struct pending pending = { .count = count };
    struct spill_read *reads = calloc(count, sizeof(*reads));
    struct spill_read **pointers = calloc(count, sizeof(struct spill_read *));
    ck_assert(reads && pointers);
    for (unsigned i = 0; i < count; i++) {
        reads[i] = (struct spill_read){ .ref = extents[i].ref,
                                        .identity = extents[i].identity,
                                        .bytes = malloc(extents[i].ref.size_bytes + 1),
                                        .done = read_is_done,
                                        .context = &pending };
        ck_assert_ptr_nonnull(reads[i].bytes);
        pointers[i] = &reads[i];
    }
    spill_file_read(file, pointers, count);
    wait_for(&pending);
    for (unsigned i = 0; i < count; i++) {
        size_t size = extents[i].ref.size_bytes;
        uint8_t *expected = make_payload(extents[i].seed, size);
        if (reads[i].rc == 0 && memcmp(expected, reads[i].bytes, size) != 0) {
            ck_abort_msg("extent %u of %zu bytes came back different", i, size);
        }
        out_rcs[i] = reads[i].rc;
        free(expected);
        free(reads[i].bytes);
    }
    free(pointers);
    free(reads);
}

static inline int read_extent(const struct extent *extent)
{
    int rc;
    read_extents(extent, 1, &rc);
    return rc;
}

static inline void expect_all_readable(const struct extent *extents, unsigned count)
{
    int *rcs = calloc(count, sizeof(*rcs));
    ck_assert_ptr_nonnull(rcs);
    read_extents(extents, count, rcs);
    for (unsigned i = 0; i < count; i++) {
        if (rcs[i] != 0) ck_abort_msg("extent %u: %d", i, rcs[i]);
    }
    free(rcs);
}

static inline void free_extents(const struct extent *extents, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        spill_file_free(file, &extents[i].ref);
    }
}

/* Ticks until nothing is due and nothing is in flight. */
static inline void trim_all(void)
{
    while (spill_file_tick(file) || io_in_flight(io) > 0 || spill_file_wait_us(file) >= 0) {
        (void)io_wait(io);
    }
}
#endif
