/* COPY of streams in journals of which only one at a time has files open: whenever the stream is
 * read the copy's journal is closed, and whenever it is added to the stream's. */
#include "modules/base/os.h"
#include "modules/base/test_directory.h"
#include "modules/base/test_suite.h"
#include "modules/io/io.h"
#include "modules/journal/journal.h"
#include "modules/stream/stream.h"
#include "server/commands/command.h"
#include "server/commands/parking_internal.h"
#include "server/commands/server.h"
#include "server/commands/stream_copy.h"
#include "server/types/stream.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { FIELDS_BYTES_MAX = 1000, ENTRIES = 300 };

static struct {
    char directory[64];
    struct io *io;
    struct server server;
    struct parking parking;
    struct call call;
} fixture;

static int wait_for_disk(void *context)
{
    (void)context;
    return io_wait(fixture.io) > 0 ? 0 : -EAGAIN;
}

static void set_up(void)
{
    const struct stream_hooks hooks = { .wait = wait_for_disk };
    struct stream_options options = { .directory = fixture.directory,
                                      .memory_bytes_max = 1000,
                                      .roll_bytes = JOURNAL_ROLL_BYTES_MIN,
                                      .open_max = 1 };

    memset(&fixture, 0, sizeof(fixture));
    test_directory_make(fixture.directory, sizeof(fixture.directory), "/dev/shm", "copy");
    ck_assert_int_eq(io_create(os_real(), 0, &fixture.io), 0);
    ck_assert_int_eq(
        stream_store_create(os_real(), fixture.io, &options, &hooks, &fixture.server.streams), 0);
    fixture.server.parking = &fixture.parking;
    fixture.call.server = &fixture.server;
    fixture.call.in_transaction = true; /* nobody else has a turn */
}

static void tear_down(void)
{
    stream_store_destroy(fixture.server.streams);
    io_destroy(fixture.io);
    test_directory_remove(fixture.directory);
}

/* Of entry n: so many letters. */
static struct slice fields_of(uint64_t number)
{
    static char bytes[FIELDS_BYTES_MAX];
    size_t size = 100 + number % 700;
    int head = snprintf(bytes, sizeof(bytes), "$1\r\nf\r\n$%zu\r\n", size);

    memset(bytes + head, (int)('a' + number % 26), size);
    bytes[(size_t)head + size] = '\r';
    bytes[(size_t)head + size + 1] = '\n';
    return slice_of(bytes, (size_t)head + size + 2);
}

static struct value *make_stream(void)
{
    struct value *value;
    struct stream *stream;

    ck_assert_int_eq(stream_value_create(fixture.server.streams, &value), 0);
    stream = stream_value_stream(value);
    for (uint64_t number = 1; number <= ENTRIES; number++) {
        struct slice fields = fields_of(number);
        ck_assert_int_eq(stream_reserve(stream, fields.size), 0);
        ck_assert_int_eq(stream_add(stream, (struct stream_id){ number, 0 }, 2, fields), 0);
    }
    return value;
}

static void expect_entries(const struct value *value)
{
    struct stream_cursor cursor;
    struct stream_entry entry;

    stream_cursor_begin(&cursor, stream_value_stream(value), STREAM_ID_MIN, STREAM_FORWARD);
    for (uint64_t number = 1; number <= ENTRIES; number++) {
        ck_assert_int_eq(stream_cursor_next(&cursor, &entry), 1);
        ck_assert_uint_eq(entry.id.ms, number);
        ck_assert(slice_equal(entry.fields, fields_of(number)));
    }
    ck_assert_int_eq(stream_cursor_next(&cursor, &entry), 0);
}

START_TEST(a_copy_has_its_room_when_an_entry_is_added)
{
    struct value *value = make_stream(), *copy = NULL;

    ck_assert_int_eq(stream_copy(&fixture.call, value, &copy), 0);
    expect_entries(copy);
    expect_entries(value);
    copy->type->destroy(copy);
    value->type->destroy(value);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("COPY of streams");
    TCase *cases = test_suite_case(suite, "all", set_up, tear_down);

    tcase_add_test(cases, a_copy_has_its_room_when_an_entry_is_added);
    return test_suite_run(suite);
}
