/* test_channel_fixture.h - a channel in a directory of its own, its system calls through a fault.
 */
#ifndef MODULES_SPILL_TEST_CHANNEL_FIXTURE_H
#define MODULES_SPILL_TEST_CHANNEL_FIXTURE_H
#include "modules/base/clock.h"
#include "modules/base/fault.h"
#include "modules/base/os.h"
#include "modules/base/test_directory.h"
#include "modules/spill/channel.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct fault *fault;
static char directory[64];
static struct spill_sender *sender;
static struct spill_receiver *receiver;

/* Removes a directory with files and, one level down, directories of files. */
static inline void remove_tree(const char *path, unsigned levels)
{
    char name[600];
    struct dirent *entry;
    DIR *dir = opendir(path);

    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        (void)snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        if (unlink(name) == 0) continue;
        ck_assert_uint_gt(levels, 0);
        remove_tree(name, levels - 1);
    }
    closedir(dir);
    ck_assert_int_eq(rmdir(path), 0);
}

static void setup(void)
{
    test_directory_make(directory, sizeof(directory), "/tmp", "channel");
    ck_assert_int_eq(fault_create(os_real(), &fault), 0);
    sender = NULL;
    receiver = NULL;
}

static void teardown(void)
{
    spill_sender_close(sender);
    spill_receiver_close(receiver);
    fault_destroy(fault);
    remove_tree(directory, 2);
}

static inline int try_open(const struct spill_channel_options *options,
                           struct spill_sender **out_sender, struct spill_receiver **out_receiver)
{
    struct spill_channel_options all = *options;

    all.directory = directory;
    if (!all.name) all.name = "orders";
    return spill_channel_open(fault_os(fault), &all, out_sender, out_receiver);
}

static inline void open_channel(uint64_t memory_bytes, uint64_t disk_bytes_max)
{
    struct spill_channel_options options = { .memory_bytes = memory_bytes,
                                             .disk_bytes_max = disk_bytes_max };

    ck_assert_int_eq(try_open(&options, &sender, &receiver), 0);
}

static inline struct spill_channel_info info_now(void)
{
    struct spill_channel_info info;

    spill_channel_info(sender ? spill_sender_channel(sender) : spill_receiver_channel(receiver),
                       &info);
    return info;
}

/* What holds for every channel that nobody is using at this moment. */
static inline void check_sums(void)
{
    struct spill_channel_info info = info_now();

    ck_assert_uint_eq(info.sent_count, info.received_count + info.skipped_count +
                                           info.dropped_count + info.message_count);
}

/* Waits a little for room, and for what is on its way to the disk then, however slow that is. */
static inline int send_patiently(struct spill_sender *to, struct slice message)
{
    int rc;

    do
        rc = spill_sender_send_wait(to, message, 1000);
    while (rc == -ETIMEDOUT);
    return rc;
}

static inline int send_u64(struct spill_sender *to, uint64_t value)
{
    return spill_sender_send(to, slice_of(&value, sizeof(value)));
}

/* As receive: 1, 0 or an error; a message of another size is a failure. */
static inline int receive_u64(struct spill_receiver *from, int64_t timeout_us, uint64_t *out_value)
{
    size_t size;
    int rc = spill_receiver_receive(from, out_value, sizeof(*out_value), timeout_us, &size);

    if (rc == 1) ck_assert_uint_eq(size, sizeof(*out_value));
    return rc;
}

static inline void expect_u64(uint64_t expected)
{
    uint64_t value;

    ck_assert_int_eq(receive_u64(receiver, SPILL_CHANNEL_FOREVER, &value), 1);
    ck_assert_uint_eq(value, expected);
}

static inline void expect_nothing(void)
{
    uint64_t value;

    ck_assert_int_eq(receive_u64(receiver, 0, &value), 0);
}

/* Until it is full; the number that was taken. */
static inline uint64_t fill_u64(uint64_t first)
{
    uint64_t value = first;
    int rc;

    while ((rc = send_u64(sender, value)) == 0)
        value++;
    ck_assert_int_eq(rc, -ENOSPC);
    return value - first;
}

static inline void start_thread(pthread_t *out_thread, void *(*run)(void *), void *argument)
{
    ck_assert_int_eq(pthread_create(out_thread, NULL, run, argument), 0);
}

static inline void join_thread(pthread_t thread)
{
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
#endif
