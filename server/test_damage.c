/* Damage to any file of a data directory: bytes changed, blocks zeroed, files cut or gone. Whatever
 * it is, a server refuses to start, or answers errors, or holds what the first so many commands
 * have made: all of them since the checkpoint at least; never anything else. */
#include "modules/base/test_directory.h"
#include "server/durability/checkpoint_format.h"
#include "server/test_damage_image.h"
#include "server/test_power_client.h"
#include "server/test_power_found.h"

#include "modules/base/test_soak.h"
#include "modules/base/test_suite.h"
#include "modules/io/io.h"
#include "modules/journal/format.h"
#include "modules/journal/journal.h"
#include "modules/journal/journal_reader.h"

#include <sys/stat.h>

enum {
    SEED = 1,
    ROLL_BYTES = 128 << 10, /* of the log's segments: some end, and are long enough for an index */
    BLOCK = 4096,
    EDGES_MAX = 1000,
    SMALL_DIVISOR = 50,
};

/* What became of servers that were started on damage. */
struct outcomes {
    unsigned refused, partly, shorter, whole;
};

/* With a log behind the checkpoint, and without: then damage to lists is met when they are read.
 * The large ones have files of all kinds and are damaged here and there; `make soak` damages every
 * byte of a journal of theirs, and of all of the small ones, as there is a start for each. */
static const struct store {
    unsigned saved, value_divisor;
    const char *every_byte_of; /* files whose names begin so; in `make soak` */
} stores[] = { { COMMANDS / 4, 1, "none" },
               { COMMANDS, 1, "stream-1/" },
               { COMMANDS / 4, SMALL_DIVISOR, "" },
               { COMMANDS, SMALL_DIVISOR, "" } };

enum { LARGE_STORES = 2, ALL_STORES = sizeof(stores) / sizeof(stores[0]) };

static struct {
    char directory[64];
    struct image image; /* of the data directory */
    struct process process;
    struct connection connection;
    struct outcomes outcomes;
    unsigned saved; /* so many commands are in the checkpoint, those behind it in the log */
} fixture;

/* What the sanitizer finds is told apart from a server that refuses. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "exitcode=99";
}

/* ---- servers ----------------------------------------------------------------------------------
 */

static void make_log(void)
{
    struct journal_options options = { .settings.roll_bytes = ROLL_BYTES };
    struct journal_report report;
    struct journal *journal;
    char path[PATH_MAX];
    struct io *io;

    image_path(&fixture.image, "log", path);
    options.path = path;
    ck_assert_int_eq(io_create(os_real(), 0, &io), 0);
    ck_assert_int_eq(journal_open(os_real(), io, &options, &report, &journal), 0);
    ck_assert_int_eq(journal_close(journal), 0);
    io_destroy(io);
}

static void make_store(const struct store *store)
{
    static struct model model;
    static struct text text;

    value_divisor = store->value_divisor;
    make_log();
    process_start(&fixture.process, os_real(), fixture.image.path, "always");
    ck_assert(connection_open(&fixture.connection, &fixture.process));
    for (unsigned index = 0; index <= COMMANDS; index++) {
        unsigned replies;

        if (index == store->saved)
            ck_assert(strncmp(connection_ask(&fixture.connection, "SAVE"), "+OK", 3) == 0);
        if (index == COMMANDS) break;
        replies = do_command(SEED, 0, index, &model, &text);
        connection_send(&fixture.connection, text.bytes, text.size);
        while (replies > 0) {
            const char *reply = connection_next(&fixture.connection);
            if (!reply)
                ck_assert(connection_receive(&fixture.connection, WAIT_MS));
            else
                replies -= *reply != '-';
        }
    }
    connection_close(&fixture.connection);
    process_kill(&fixture.process);
    fixture.saved = store->saved;
    image_read(&fixture.image, "");
}

static void set_up(void)
{
    memset(&fixture, 0, sizeof(fixture));
    fixture.connection.fd = -1;
    test_directory_make(fixture.directory, sizeof(fixture.directory), "/dev/shm", "damage");
    (void)snprintf(fixture.image.path, sizeof(fixture.image.path), "%s/data", fixture.directory);
    ck_assert_int_eq(mkdir(fixture.image.path, 0755), 0);
    process_set_paths(&fixture.process, fixture.directory, "");
}

static void tear_down(void)
{
    process_kill(&fixture.process);
    connection_close(&fixture.connection);
    image_finish(&fixture.image);
    test_directory_remove(fixture.directory);
}

/* ---- what a server makes of it ----------------------------------------------------------------
 */

static void wrong(const char *damage, const char *why)
{
    char command[160];

    (void)snprintf(command, sizeof(command), "tail -n 5 %s >&2", fixture.process.log_path);
    (void)!system(command);
    ck_abort_msg("%s: %s", damage, why);
}

static void expect_refusal(const char *damage)
{
    int status = fixture.process.status;

    if (fixture.process.pid != 0)
        ck_assert_int_eq(waitpid(fixture.process.pid, &status, 0), fixture.process.pid);
    fixture.process.pid = 0;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_FAILURE) wrong(damage, "it crashed");
    fixture.outcomes.refused++;
}

static bool is_served(void)
{
    if (!connection_open(&fixture.connection, &fixture.process)) return false;
    for (;;) {
        const char *reply = connection_ask(&fixture.connection, "EXISTS a0");
        if (fixture.connection.is_closed) return false;
        if (strncmp(reply, "-LOADING", 8) != 0) return true;
        usleep(1000);
    }
}

/* The keys that cannot be read are as expected. True: there is one. */
static bool pass_over_unreadable(struct model *found, const struct model *expected)
{
    static const char *const reads[ROWS] = { [FIRST_LIST] = "LRANGE a0 0 -1",
                                             [SECOND_LIST] = "LRANGE b0 0 -1",
                                             [STREAM] = "XRANGE c0 - +" };
    bool is_unreadable = false;

    for (unsigned row = 0; row < ROWS; row++) {
        const char *reply = connection_ask(&fixture.connection, reads[row]);

        if (*reply == '*') continue;
        if (*reply != '-' && !fixture.connection.is_closed) return false;
        is_unreadable = true;
        memcpy(found->lists[row], expected->lists[row], sizeof(found->lists[row]));
        found->lengths[row] = expected->lengths[row];
        if (row != STREAM) continue;
        found->last_entry = expected->last_entry;
        found->group = expected->group;
    }
    return is_unreadable;
}

static void expect_all_readable_is_right(const char *damage)
{
    static struct model found, expected;
    static struct text text;

    memset(&expected, 0, sizeof(expected));
    for (unsigned i = 0; i < COMMANDS; i++)
        (void)do_command(SEED, 0, i, &expected, &text);
    memset(&found, 0, sizeof(found));
    found.string = expected.string;
    (void)read_list(&fixture.connection, 0, FIRST_LIST, &found);
    (void)read_list(&fixture.connection, 0, SECOND_LIST, &found);
    (void)read_stream_and_group(&fixture.connection, 0, &found);
    if (!pass_over_unreadable(&found, &expected)) wrong(damage, "it holds what was never sent");
    if (!models_are_equal(&found, &expected)) wrong(damage, "a key is not what it was");
    fixture.outcomes.partly++;
}

static void expect_nothing_wrong(const char *damage)
{
    static struct model found;
    long count;

    process_start(&fixture.process, os_real(), fixture.image.path, "always");
    if (!is_served()) {
        expect_refusal(damage);
    } else if (!read_model(&fixture.connection, 0, &found)) {
        expect_all_readable_is_right(damage);
    } else {
        count = commands_for(SEED, 0, &found, fixture.saved, COMMANDS);
        if (count < 0) wrong(damage, "that is no prefix of what was done");
        if (count == COMMANDS)
            fixture.outcomes.whole++;
        else
            fixture.outcomes.shorter++;
    }
    if (process_has_ended(&fixture.process) && fixture.connection.fd < 0)
        wrong(damage, "it ended after it had started");
    connection_close(&fixture.connection);
    process_kill(&fixture.process);
    image_restore(&fixture.image);
}

static void say_outcomes(const char *what, const struct file *file, unsigned count)
{
    struct outcomes *outcomes = &fixture.outcomes;

    (void)printf("%s, %u times %s: refused %u, lists unreadable %u, shorter %u, as it was %u\n",
                 file->name, count, what, outcomes->refused, outcomes->partly, outcomes->shorter,
                 outcomes->whole);
    *outcomes = (struct outcomes){ 0 };
}

/* ---- damage -----------------------------------------------------------------------------------
 */

/* Of count things that are in file: about so many, or each. */
static size_t step_for(const struct store *store, const struct file *file, size_t count,
                       size_t wanted)
{
    const char *every = store->every_byte_of;

    if (soak_is_full() && strncmp(file->name, every, strlen(every)) == 0) return 1;
    return count <= wanted ? 1 : count / wanted | 1; /* odd: no field of records is passed over */
}

START_TEST(a_changed_byte_makes_no_wrong_data)
{
    make_store(&stores[_i]);
    for (unsigned i = 0; i < fixture.image.file_count; i++) {
        struct file *file = &fixture.image.files[i];
        size_t step = step_for(&stores[_i], file, file->used, 40);
        unsigned count = 0;

        for (size_t at = (size_t)i % step; at < file->used; at += step, count++) {
            char damage[120];
            uint8_t was = file->bytes[at];

            (void)snprintf(damage, sizeof(damage), "byte %zu of %s", at, file->name);
            file->bytes[at] ^= (uint8_t)(1u << (at / step + at) % 8);
            image_write(&fixture.image, file, file->bytes, file->size);
            file->bytes[at] = was;
            expect_nothing_wrong(damage);
        }
        if (count > 0) say_outcomes("a byte changed", file, count);
    }
}
END_TEST

START_TEST(a_zeroed_block_makes_no_wrong_data)
{
    make_store(&stores[_i]);
    for (unsigned i = 0; i < fixture.image.file_count; i++) {
        struct file *file = &fixture.image.files[i];
        size_t step = step_for(&stores[_i], file, file->used / BLOCK, 16) * BLOCK;
        unsigned count = 0;

        for (size_t at = 0; at < file->used; at += step, count++) {
            size_t size = file->size - at < BLOCK ? file->size - at : BLOCK;
            uint8_t was[BLOCK];
            char damage[120];

            (void)snprintf(damage, sizeof(damage), "block at %zu of %s", at, file->name);
            memcpy(was, file->bytes + at, size);
            memset(file->bytes + at, 0, size);
            image_write(&fixture.image, file, file->bytes, file->size);
            memcpy(file->bytes + at, was, size);
            expect_nothing_wrong(damage);
        }
        if (count > 0) say_outcomes("a block zeroed", file, count);
    }
}
END_TEST

/* Where frames begin in a segment of the log. */
static size_t find_edges(const struct file *file, size_t edges[EDGES_MAX])
{
    struct journal_reader *reader;
    struct journal_entry entry;
    char path[PATH_MAX];
    unsigned number;
    size_t count = 0;

    if (!strstr(file->name, ".log") || sscanf(file->name, "log/%u", &number) != 1) return 0;
    image_path(&fixture.image, "log", path);
    ck_assert_int_eq(journal_reader_open(os_real(), path, &reader), 0);
    while (journal_reader_next(reader, &entry) == 1) {
        if (journal_segment_of(entry.position) != number) continue;
        ck_assert_uint_lt(count, EDGES_MAX);
        edges[count++] = journal_offset_of(entry.position);
    }
    journal_reader_close(reader);
    return count;
}

static void cut(struct file *file, size_t size)
{
    char damage[120];

    (void)snprintf(damage, sizeof(damage), "%s cut to %zu bytes", file->name, size);
    image_write(&fixture.image, file, file->bytes, size);
    expect_nothing_wrong(damage);
}

START_TEST(a_file_that_was_cut_makes_no_wrong_data)
{
    make_store(&stores[_i]);
    for (unsigned i = 0; i < fixture.image.file_count; i++) {
        struct file *file = &fixture.image.files[i];
        size_t edges[EDGES_MAX], edge_count = find_edges(file, edges);
        size_t step = step_for(&stores[_i], file, file->used, 16),
               edge_step = step_for(&stores[_i], file, edge_count, 16);
        unsigned count = 0;

        for (size_t at = 0; at < file->size && at <= file->used; at += step, count++)
            cut(file, at);
        for (size_t at = 0; at < edge_count; at += edge_step, count++)
            cut(file, edges[at]);
        if (count > 0) say_outcomes("cut", file, count);
    }
}
END_TEST

START_TEST(a_file_that_is_gone_makes_no_wrong_data)
{
    make_store(&stores[_i]);
    for (unsigned i = 0; i < fixture.image.file_count; i++) {
        char path[PATH_MAX], damage[120];

        image_path(&fixture.image, fixture.image.files[i].name, path);
        (void)snprintf(damage, sizeof(damage), "%s is gone", fixture.image.files[i].name);
        ck_assert_int_eq(unlink(path), 0);
        expect_nothing_wrong(damage);
        say_outcomes("gone", &fixture.image.files[i], 1);
    }
}
END_TEST

static bool log_says(const char *words)
{
    static char text[1 << 16];
    FILE *file = fopen(fixture.process.log_path, "r");
    size_t size;

    ck_assert_ptr_nonnull(file);
    size = fread(text, 1, sizeof(text) - 1, file);
    text[size] = '\0';
    (void)fclose(file);
    return strstr(text, words) != NULL;
}

/* Whether it is older than any that is read, of which there are so many, or newer. */
static void expect_version_refused(struct file *file, size_t offset, int read_count)
{
    const int changes[] = { -read_count, 1 };

    for (unsigned i = 0; i < 2; i++) {
        int change = changes[i];
        char damage[120];

        (void)snprintf(damage, sizeof(damage), "version %+d of %s", change, file->name);
        file->bytes[offset] = (uint8_t)(file->bytes[offset] + change);
        image_write(&fixture.image, file, file->bytes, file->size);
        file->bytes[offset] = (uint8_t)(file->bytes[offset] - change);
        fixture.outcomes.refused = 0;
        ck_assert_int_eq(truncate(fixture.process.log_path, 0), 0);
        expect_nothing_wrong(damage);
        if (fixture.outcomes.refused != 1) wrong(damage, "it was not refused");
        if (!log_says("version")) wrong(damage, "the version is not told");
    }
}

START_TEST(another_version_of_any_file_is_refused_as_such)
{
    unsigned segments = 0, checkpoints = 0, metas = 0;

    make_store(&stores[0]);
    for (unsigned i = 0; i < fixture.image.file_count; i++) {
        struct file *file = &fixture.image.files[i];
        /* Those of a stream that its checkpoint names, too: test_stream_files_sync. This one's
         * names none. */
        bool is_segment = strncmp(file->name, "log/", 4) == 0 && strstr(file->name, ".log") &&
                          file->used > JOURNAL_SEGMENT_HEADER_BYTES;
        bool is_meta = strcmp(file->name, "log/meta") == 0;
        bool is_checkpoint = strncmp(file->name, "checkpoint-", 11) == 0;

        segments += is_segment;
        metas += is_meta;
        checkpoints += is_checkpoint;
        if (is_segment || is_meta) expect_version_refused(file, 4, 1);
        if (is_checkpoint) expect_version_refused(file, 8, CHECKPOINT_VERSION);
    }
    ck_assert(segments > 1 && metas == 1 && checkpoints == 1);
}
END_TEST

/* The stores have what the tests are to damage. */
START_TEST(all_kinds_of_files_are_there)
{
    static const char *const kinds[] = { "checkpoint-",  "log/meta",  ".log",
                                         "spill/spill-", "stream-1/", ".idx" };
    size_t kinds_end = sizeof(kinds) / sizeof(kinds[0]);

    /* A short stream has no file, a short segment no index. */
    if (stores[_i].value_divisor > 1) kinds_end -= 2;
    make_store(&stores[_i]);
    for (size_t kind = 0; kind < kinds_end; kind++) {
        unsigned count = 0;

        for (unsigned i = 0; i < fixture.image.file_count; i++)
            count +=
                strstr(fixture.image.files[i].name, kinds[kind]) && fixture.image.files[i].used > 0;
        ck_assert_msg(count > 0, "no %s", kinds[kind]);
    }
    expect_nothing_wrong("nothing");
    ck_assert_uint_eq(fixture.outcomes.whole, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("a server and damage");
    int stores_end = soak_is_full() ? ALL_STORES : LARGE_STORES;
    TCase *cases = test_suite_case(suite, "all", set_up, tear_down);

    tcase_set_timeout(cases, soak_is_full() ? 30000 : 300);
    tcase_add_test(cases, another_version_of_any_file_is_refused_as_such);
    tcase_add_loop_test(cases, all_kinds_of_files_are_there, 0, ALL_STORES);
    tcase_add_loop_test(cases, a_changed_byte_makes_no_wrong_data, 0, stores_end);
    tcase_add_loop_test(cases, a_zeroed_block_makes_no_wrong_data, 0, stores_end);
    tcase_add_loop_test(cases, a_file_that_was_cut_makes_no_wrong_data, 0, stores_end);
    tcase_add_loop_test(cases, a_file_that_is_gone_makes_no_wrong_data, 0, stores_end);
    return test_suite_run(suite);
}
