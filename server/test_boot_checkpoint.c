/* What a start does with the checkpoints that it finds. */
#include "modules/base/fault.h"
#include "modules/base/log.h"
#include "modules/base/os.h"
#include "modules/base/test_directory.h"
#include "modules/base/test_suite.h"
#include "modules/io/io.h"
#include "server/boot_checkpoint.h"
#include "server/commands/checkpointing.h"
#include "server/commands/server.h"
#include "server/config/config.h"
#include "server/durability/checkpoint_files.h"
#include "server/durability/checkpoint_load.h"
#include "server/durability/checkpoint_writer.h"

#include <errno.h>
#include <string.h>

static struct {
    char directory[64], log_path[80];
    struct fault *fault;
    struct io *io;
    struct config config;
    struct checkpointing checkpointing;
    struct server server;
} fixture;

static void set_up(void)
{
    memset(&fixture, 0, sizeof(fixture));
    test_directory_make(fixture.directory, sizeof(fixture.directory), "/dev/shm", "boot");
    (void)snprintf(fixture.log_path, sizeof(fixture.log_path), "%s/output", fixture.directory);
    ck_assert_int_eq(fault_create(os_real(), &fixture.fault), 0);
    ck_assert_int_eq(io_create(os_real(), 0, &fixture.io), 0);
    fixture.config.dir = fixture.directory;
    fixture.server.config = &fixture.config;
    fixture.server.checkpointing = &fixture.checkpointing;
    ck_assert_int_eq(log_create(fixture.log_path, LOG_NOTICE, 'M', &fixture.server.log), 0);
}

static void tear_down(void)
{
    checkpoint_load_close(fixture.checkpointing.load);
    log_destroy(fixture.server.log);
    io_destroy(fixture.io);
    fault_destroy(fixture.fault);
    test_directory_remove(fixture.directory);
}

/* One of an empty server. */
static void make_checkpoint(uint64_t number)
{
    struct checkpoint_head head = { .number = number };
    struct checkpoint_writer *writer;

    ck_assert_int_eq(checkpoint_writer_create(os_real(), fixture.io, fixture.directory, &head, NULL,
                                              NULL, &writer),
                     0);
    checkpoint_writer_finish(writer);
    while (checkpoint_writer_state(writer) == CHECKPOINT_WRITER_FINISHING)
        ck_assert_uint_gt(io_wait(fixture.io), 0);
    ck_assert_int_eq(checkpoint_writer_error(writer), 0);
    checkpoint_writer_destroy(writer);
}

static bool is_there(uint64_t number)
{
    char *path = checkpoint_files_path(fixture.directory, number, false);
    bool exists = access(path, F_OK) == 0;

    free(path);
    return exists;
}

static int find(void)
{
    return boot_checkpoint_find(&fixture.server, fault_os(fixture.fault));
}

START_TEST(older_ones_go)
{
    make_checkpoint(1);
    make_checkpoint(2);
    ck_assert_int_eq(find(), 0);
    ck_assert_uint_eq(checkpoint_load_head(fixture.checkpointing.load)->number, 2);
    ck_assert(is_there(2));
    ck_assert(!is_there(1));
}
END_TEST

/* Who made the newest may have been killed before its name was durable. */
START_TEST(older_ones_stay_until_the_name_of_the_newest_is_durable)
{
    make_checkpoint(1);
    make_checkpoint(2);
    fault_fail(fixture.fault, FAULT_FSYNC_DIRECTORY, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(find(), -EIO);
    ck_assert(is_there(2));
    ck_assert(is_there(1));
}
END_TEST

START_TEST(what_cannot_be_removed_keeps_a_server_from_starting)
{
    make_checkpoint(1);
    make_checkpoint(2);
    fault_fail(fixture.fault, FAULT_UNLINK, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(find(), -EIO);
}
END_TEST

START_TEST(without_any_there_is_nothing_to_load)
{
    ck_assert_int_eq(find(), 0);
    ck_assert_ptr_null(fixture.checkpointing.load);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checkpoints at a start");
    TCase *cases = test_suite_case(suite, "all", set_up, tear_down);

    tcase_add_test(cases, older_ones_go);
    tcase_add_test(cases, older_ones_stay_until_the_name_of_the_newest_is_durable);
    tcase_add_test(cases, what_cannot_be_removed_keeps_a_server_from_starting);
    tcase_add_test(cases, without_any_there_is_nothing_to_load);
    return test_suite_run(suite);
}
