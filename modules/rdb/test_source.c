/* What a path leads to, both passes over it, and every system call of them failed once. */
#include "modules/base/fault.h"
#include "modules/base/os.h"
#include "modules/base/test_directory.h"
#include "modules/base/test_suite.h"
#include "modules/rdb/source.h"
#include "modules/rdb/test_rdb_fixture.h"

#include <sys/stat.h>
#include <unistd.h>

static struct {
    char directory[64], path[128];
    struct rdb_source source;
    uint64_t progress;
} fixture;

static void setup(void)
{
    memset(&fixture, 0, sizeof(fixture));
    test_directory_make(fixture.directory, sizeof(fixture.directory), "/tmp", "source");
}

static void teardown(void)
{
    rdb_source_finish(&fixture.source);
    test_directory_remove(fixture.directory);
}

static const char *path_of(const char *name)
{
    (void)snprintf(fixture.path, sizeof(fixture.path), "%s%s%s", fixture.directory,
                   name[0] ? "/" : "", name);
    return fixture.path;
}

static void write_file(const char *name, const void *bytes, size_t size)
{
    FILE *file = fopen(path_of(name), "w");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

static void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text));
}

/* An RDB file of one string. */
static void write_rdb(const char *name, const char *value)
{
    begin_file("0010");
    put_key(TYPE_STRING, "k");
    put_string(value);
    end_file();
    write_file(name, made.bytes, made.size);
}

static int tell_arguments(void *context, struct slice *arguments, uint32_t argument_count)
{
    (void)context;
    for (uint32_t i = 0; i < argument_count; i++)
        tell("[%.*s]", (int)arguments[i].size, (const char *)arguments[i].bytes);
    tell("\n");
    return 0;
}

static int count_progress(void *context, uint64_t bytes)
{
    (void)context;
    ck_assert_uint_gt(bytes, fixture.progress);
    fixture.progress = bytes;
    return 0;
}

/* Finds, checks and reads; what was read is in told.text. */
static int read_path(struct os *os, const char *name)
{
    const struct rdb_source_visitor visitor = { .rdb = telling,
                                                .aof = { .command = tell_arguments },
                                                .progress = count_progress };
    int rc;

    told.size = 0;
    told.text[0] = '\0';
    fixture.progress = 0;
    rdb_source_finish(&fixture.source);
    rc = rdb_source_find(os, path_of(name), &fixture.source);
    if (rc == 0) rc = rdb_source_check(&fixture.source, count_progress, NULL);
    fixture.progress = 0;
    if (rc == 0) rc = rdb_source_read(&fixture.source, &visitor, NULL);
    ck_assert((rc < 0) == (fixture.source.error[0] != '\0'));
    return rc;
}

static void expect_read(const char *name, const char *text)
{
    int rc = read_path(os_real(), name);

    ck_assert_msg(rc == 0, "%d %s", rc, fixture.source.error);
    ck_assert_str_eq(told.text, text);
}

static void expect_error(const char *name, int rc, const char *words)
{
    ck_assert_int_eq(read_path(os_real(), name), rc);
    ck_assert_str_eq(told.text, ""); /* nothing of it was handed over */
    if (!strstr(fixture.source.error, words))
        ck_abort_msg("'%s' is not in '%s'", words, fixture.source.error);
}

#define SET_B "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nb\r\n"
#define MANIFEST                                                                                   \
    "file a.aof.1.base.rdb seq 1 type b\nfile a.aof.1.incr.aof seq 1 type i\n"                     \
    "file a.aof.2.incr.aof seq 2 type i\n"

static void write_parts(const char *directory)
{
    char name[100];

    (void)snprintf(name, sizeof(name), "%s/a.aof.manifest", directory);
    write_text(name, MANIFEST);
    (void)snprintf(name, sizeof(name), "%s/a.aof.1.base.rdb", directory);
    write_rdb(name, "a");
    (void)snprintf(name, sizeof(name), "%s/a.aof.1.incr.aof", directory);
    write_text(name, SET_B);
    (void)snprintf(name, sizeof(name), "%s/a.aof.2.incr.aof", directory);
    write_text(name, SET_B "*1\r\n$4\r\nPING\r\n");
}

static const char parts_text[] = "0 k string \"a\"\n[SET][k][b]\n[SET][k][b]\n[PING]\n";

START_TEST(a_file_is_what_it_begins_as)
{
    write_rdb("any.name", "a");
    expect_read("any.name", "0 k string \"a\"\n");
    write_text("commands", SET_B);
    expect_read("commands", "[SET][k][b]\n");
    ck_assert_uint_eq(fixture.source.size_bytes, strlen(SET_B));
    write_text("empty", "");
    expect_read("empty", "");
}
END_TEST

START_TEST(commands_may_follow_an_rdb_file)
{
    write_rdb("x", "a");
    put(SET_B, strlen(SET_B));
    write_file("both", made.bytes, made.size);
    expect_read("both", "0 k string \"a\"\n[SET][k][b]\n");
    write_rdb("x", "a");
    put("\0\0\0", 3); /* as Redis, which looks no further */
    write_file("followed", made.bytes, made.size);
    expect_read("followed", "0 k string \"a\"\n");
}
END_TEST

START_TEST(a_manifest_or_its_directory_or_the_one_above_lead_to_the_parts)
{
    ck_assert_int_eq(mkdir(path_of("data"), 0700), 0);
    ck_assert_int_eq(mkdir(path_of("data/appendonlydir"), 0700), 0);
    write_parts("data/appendonlydir");
    expect_read("data/appendonlydir/a.aof.manifest", parts_text);
    expect_read("data/appendonlydir", parts_text);
    expect_read("data", parts_text);
    ck_assert_uint_eq(fixture.source.file_count, 3);
}
END_TEST

START_TEST(a_manifest_without_a_directory_is_in_this_one)
{
    char here[512];

    ck_assert_ptr_nonnull(getcwd(here, sizeof(here)));
    write_parts(".");
    ck_assert_int_eq(chdir(fixture.directory), 0);
    ck_assert_int_eq(rdb_source_find(os_real(), "a.aof.manifest", &fixture.source), 0);
    ck_assert_int_eq(rdb_source_check(&fixture.source, NULL, NULL), 0);
    ck_assert_int_eq(chdir(here), 0);
}
END_TEST

START_TEST(a_directory_must_not_leave_it_open)
{
    expect_error("", -ENOENT, "holds neither");
    write_rdb("dump.rdb", "a");
    expect_read("", "0 k string \"a\"\n");
    write_text("appendonly.aof", SET_B);
    expect_error("", -EEXIST, "name the one that counts");
    ck_assert_int_eq(unlink(path_of("dump.rdb")), 0);
    expect_read("", "[SET][k][b]\n");
    ck_assert_int_eq(mkdir(path_of("appendonlydir"), 0700), 0);
    expect_error("", -EEXIST, "name the one that counts");
    ck_assert_int_eq(unlink(path_of("appendonly.aof")), 0);
    expect_error("", -ENOENT, "holds neither");
    write_parts("appendonlydir");
    expect_read("", parts_text);
    write_text("appendonlydir/b.manifest", MANIFEST);
    expect_error("", -EEXIST, "name the one that counts");
}
END_TEST

static int refuse_key(void *context, const struct rdb_key *key)
{
    (void)context;
    (void)key;
    return -ENODATA;
}

/* Also when the error is one that reading has a use for itself. */
START_TEST(what_a_visitor_answers_is_the_result)
{
    const struct rdb_source_visitor visitor = { .rdb = { .key = refuse_key } };

    write_rdb("dump.rdb", "1");
    ck_assert_int_eq(rdb_source_find(os_real(), path_of("dump.rdb"), &fixture.source), 0);
    ck_assert_int_eq(rdb_source_check(&fixture.source, NULL, NULL), 0);
    ck_assert_int_eq(rdb_source_read(&fixture.source, &visitor, NULL), -ENODATA);
}
END_TEST

START_TEST(what_is_not_there_is_told_by_its_path)
{
    expect_error("nothing", -ENOENT, "/nothing: No such file");
    write_parts(".");
    ck_assert_int_eq(unlink(path_of("a.aof.1.incr.aof")), 0);
    ck_assert_int_eq(rdb_source_find(os_real(), path_of(""), &fixture.source), 0);
    expect_error("", -ENOENT, "a.aof.1.incr.aof: No such file");
}
END_TEST

/* Opening a pipe would wait for a writer who may never come. */
START_TEST(what_is_no_regular_file_is_refused_at_once)
{
    ck_assert_int_eq(mkfifo(path_of("pipe"), 0600), 0);
    expect_error("pipe", -ESPIPE, "/pipe: it is no regular file");
    ck_assert_int_eq(mkfifo(path_of("b.manifest"), 0600), 0);
    expect_error("b.manifest", -ESPIPE, "/b.manifest: it is no regular file");
    ck_assert_int_eq(symlink("/dev/zero", path_of("device")), 0);
    expect_error("device", -ESPIPE, "/device: it is no regular file");
}
END_TEST

START_TEST(only_the_last_end_may_be_torn)
{
    write_parts(".");
    write_text("a.aof.2.incr.aof", SET_B "*1\r\n$4\r\nPI");
    expect_read("", "0 k string \"a\"\n[SET][k][b]\n[SET][k][b]\n");
    ck_assert_uint_eq(fixture.source.torn_bytes, strlen("*1\r\n$4\r\nPI"));
    write_text("a.aof.1.incr.aof", SET_B "*1\r\n$4\r\nPI");
    expect_error("", -EBADMSG, "only the last file's may be");
}
END_TEST

/* The first pass finds it, so nothing was handed over. */
START_TEST(damage_anywhere_refuses_all)
{
    write_parts(".");
    write_text("a.aof.2.incr.aof", SET_B "PING\r\n");
    expect_error("", -EBADMSG, "a.aof.2.incr.aof: at byte 27: no command begins here");
    write_parts(".");
    write_rdb("a.aof.1.base.rdb", "a");
    made.bytes[15] ^= 1;
    write_file("a.aof.1.base.rdb", made.bytes, made.size);
    expect_error("", -EBADMSG, "a.aof.1.base.rdb: at byte");
}
END_TEST

START_TEST(a_file_that_shrinks_between_the_passes_is_refused)
{
    const struct rdb_source_visitor visitor = { .rdb = telling,
                                                .aof = { .command = tell_arguments } };

    write_text("commands", SET_B SET_B);
    ck_assert_int_eq(rdb_source_find(os_real(), path_of("commands"), &fixture.source), 0);
    ck_assert_int_eq(rdb_source_check(&fixture.source, NULL, NULL), 0);
    write_text("commands", SET_B);
    ck_assert_int_eq(rdb_source_read(&fixture.source, &visitor, NULL), -EBADMSG);
    ck_assert_ptr_nonnull(strstr(fixture.source.error, "became shorter"));
}
END_TEST

START_TEST(progress_is_told_about_once_a_mebibyte)
{
    enum { VALUES = 100, VALUE_BYTES = 100000 };
    static char value[VALUE_BYTES + 1];
    FILE *file;

    memset(value, 'x', VALUE_BYTES);
    file = fopen(path_of("commands"), "w");
    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < VALUES; i++)
        (void)fprintf(file, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%s\r\n", VALUE_BYTES, value);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(read_path(os_real(), "commands"), 0);
    ck_assert_uint_ge(fixture.progress, (uint64_t)(VALUES - 12) * VALUE_BYTES);
}
END_TEST

START_TEST(each_system_call_that_fails_is_told)
{
    struct fault *fault;
    uint64_t nth;
    bool has_fired = true;

    ck_assert_int_eq(fault_create(os_real(), &fault), 0);
    write_parts(".");
    for (nth = 1; has_fired; nth++) {
        int rc;
        fault_fail(fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        rc = read_path(fault_os(fault), "");
        has_fired = fault_fired(fault) > 0;
        fault_clear(fault);
        /* A close fails after all was read. */
        if (has_fired && rc == 0) ck_assert_str_eq(told.text, parts_text);
        if (has_fired && rc != 0) ck_assert_int_eq(rc, -EIO);
        if (!has_fired) ck_assert_int_eq(rc, 0);
    }
    ck_assert_uint_gt(nth, 20);
    fault_limit_transfer(fault, 3); /* short reads are no failure */
    ck_assert_int_eq(read_path(fault_os(fault), ""), 0);
    ck_assert_str_eq(told.text, parts_text);
    fault_destroy(fault);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("source");
    TCase *cases = test_suite_case(suite, "all", setup, teardown);

    tcase_add_test(cases, a_file_is_what_it_begins_as);
    tcase_add_test(cases, commands_may_follow_an_rdb_file);
    tcase_add_test(cases, a_manifest_or_its_directory_or_the_one_above_lead_to_the_parts);
    tcase_add_test(cases, a_manifest_without_a_directory_is_in_this_one);
    tcase_add_test(cases, a_directory_must_not_leave_it_open);
    tcase_add_test(cases, what_a_visitor_answers_is_the_result);
    tcase_add_test(cases, what_is_not_there_is_told_by_its_path);
    tcase_add_test(cases, what_is_no_regular_file_is_refused_at_once);
    tcase_add_test(cases, only_the_last_end_may_be_torn);
    tcase_add_test(cases, damage_anywhere_refuses_all);
    tcase_add_test(cases, a_file_that_shrinks_between_the_passes_is_refused);
    tcase_add_test(cases, progress_is_told_about_once_a_mebibyte);
    tcase_add_test(cases, each_system_call_that_fails_is_told);
    return test_suite_run(suite);
}
