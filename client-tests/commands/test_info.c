/* INFO and CLIENT INFO have what programs that watch a redis-server read from them. */
#include "client-tests/commands/beside_redis.h"
#include "client-tests/lib/clock.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The fields of redis-server 7.0 that are not told, and design.md says why. */
static const char *const absent[] = { "expire_cycle_cpu_milliseconds", "lazyfreed_objects" };

/* ---- lines of a text ------------------------------------------------------------------------ */

/* The next line without its end; false: there is none. */
static bool next_line(const char **at, struct text *out_line)
{
    size_t size = strcspn(*at, "\r\n");

    if (**at == '\0') return false;
    text_clear(out_line);
    text_add(out_line, *at, size);
    *at += size;
    *at += strspn(*at, "\r\n");
    return true;
}

/* The value of a field in a section; NULL: it is not there. The text is good until the next call.
 */
static const char *value_in(const char *info, const char *section, const char *field)
{
    static struct text line;
    bool is_inside = false;

    while (next_line(&info, &line)) {
        size_t size = strcspn(text_string(&line), ":");

        if (line.bytes[0] == '#') is_inside = strcmp(line.bytes, section) == 0;
        if (is_inside && size == strlen(field) && memcmp(line.bytes, field, size) == 0)
            return line.bytes + size + 1;
    }
    return NULL;
}

static bool is_absent(const char *field)
{
    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
        if (strcmp(absent[i], field) == 0) return true;
    }
    return false;
}

/* What a value looks like, without what it tells: "calls=1,usec=2" is "calls,usec,", a number "0"
 * or "0.0", any other text "". */
static void add_shape(struct text *out, const char *value)
{
    while (strchr(value, '=')) {
        const char *comma = strchr(value, ',');

        text_add(out, value, strcspn(value, "="));
        text_add_string(out, ",");
        if (!comma) return;
        value = comma + 1;
    }
    if (value[0] == '-') value++;
    if (value[0] == '\0' || strspn(value, "0123456789.") != strlen(value)) return;
    text_add_string(out, strchr(value, '.') ? "0.0" : "0");
}

static bool have_one_shape(const char *value, const char *other)
{
    struct text shape = { 0 }, other_shape = { 0 };
    bool are_same;

    add_shape(&shape, value);
    add_shape(&other_shape, other);
    are_same = strcmp(text_string(&shape), text_string(&other_shape)) == 0;
    text_finish(&shape);
    text_finish(&other_shape);
    return are_same;
}

/* ---- INFO ----------------------------------------------------------------------------------- */

/* So that there are keys, errors and calls to tell of. */
static void work(struct wire *to)
{
    wire_command(to, "CONFIG RESETSTAT");
    wire_command(to, "FLUSHALL");
    wire_command(to, "SET string a EX 1000");
    wire_command(to, "LPUSH string a");
    wire_command(to, "GET string");
    wire_command(to, "NOSUCH");
    wire_skip(to, 6);
}

static void ask_info(struct wire *to, struct text *out)
{
    wire_command(to, "INFO everything");
    ck_assert_int_eq(wire_read(to, out), 1);
}

/* "field:value" of redis-server, in section; a difference is added to report. */
static void compare_field(const char *ours, const char *section, char *field, struct text *report)
{
    char *value = strchr(field, ':');
    const char *our_value;

    ck_assert_ptr_nonnull(value);
    *value++ = '\0';
    our_value = value_in(ours, section, field);
    if (is_absent(field)) {
        if (our_value) text_format(report, "%s is there, contrary to what is said\n", field);
    } else if (!our_value) {
        text_format(report, "%s: no %s\n", section, field);
    } else if (strcmp(field, "redis_build_id") != 0 && /* a checksum in hexadecimal */
               !have_one_shape(value, our_value)) {
        text_format(report, "%s is \"%s\", but \"%s\" in redis-server\n", field, our_value, value);
    }
}

START_TEST(info_has_every_field_of_redis)
{
    struct text ours = { 0 }, theirs = { 0 }, line = { 0 }, report = { 0 };
    char section[64] = "";
    const char *at;
    int count = 0;

    work(wire);
    work(redis_wire);
    ask_info(wire, &ours);
    ask_info(redis_wire, &theirs);
    at = strchr(text_string(&theirs), '#'); /* behind the size of the reply */
    while (at && next_line(&at, &line)) {
        if (line.bytes[0] == '#') {
            (void)snprintf(section, sizeof(section), "%s", line.bytes);
        } else {
            compare_field(text_string(&ours), section, line.bytes, &report);
            count++;
        }
    }
    ck_assert_int_gt(count, 150);
    ck_assert_msg(report.size == 0, "%s", text_string(&report));
    text_finish(&ours);
    text_finish(&theirs);
    text_finish(&line);
    text_finish(&report);
}
END_TEST

static double kilobytes_a_second(const char *field)
{
    struct text value = { 0 };
    double number;

    ck_assert(info_text(wire, field, &value));
    number = strtod(text_string(&value), NULL);
    text_finish(&value);
    return number;
}

START_TEST(info_tells_how_much_a_second)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;

    do {
        for (int i = 0; i < 1000; i++)
            wire_command(wire, "ECHO 0123456789");
        wire_skip(wire, 1000);
        if (!clock_probe(deadline_ms)) ck_abort_msg("no operations in a second");
    } while (info_number(wire, "instantaneous_ops_per_sec") < 100);
    ck_assert_double_ge(kilobytes_a_second("instantaneous_input_kbps"), 1);
    ck_assert_double_ge(kilobytes_a_second("instantaneous_output_kbps"), 1);
    expect_ok(wire, "CONFIG RESETSTAT");
    ck_assert_int_eq(info_number(wire, "instantaneous_ops_per_sec"), 0);
}
END_TEST

/* ---- CLIENT INFO ---------------------------------------------------------------------------- */

/* " id= addr= …" */
static void add_client_fields(struct wire *to, struct text *out)
{
    struct text reply = { 0 };
    const char *at;

    wire_command(to, "CLIENT INFO");
    ck_assert_int_eq(wire_read(to, &reply), 1);
    at = strchr(text_string(&reply), '\n'); /* behind the size of the reply */
    ck_assert_ptr_nonnull(at);
    for (at++; *at && *at != '\r' && *at != '\n'; at += strspn(at, " ")) {
        text_add_string(out, " ");
        text_add(out, at, strcspn(at, "=") + 1);
        at += strcspn(at, " \r\n");
    }
    text_finish(&reply);
}

START_TEST(client_info_has_the_fields_of_redis_in_its_order)
{
    struct text ours = { 0 }, theirs = { 0 };

    add_client_fields(wire, &ours);
    add_client_fields(redis_wire, &theirs);
    text_add_string(&theirs, " lib-name= lib-ver="); /* since 7.2 */
    ck_assert_str_eq(text_string(&ours), text_string(&theirs));
    text_finish(&ours);
    text_finish(&theirs);
}
END_TEST

static void start_servers(void)
{
    start_both(NULL);
}

int main(void)
{
    Suite *suite = suite_create("INFO");
    TCase *tcase = suite_case(suite, "INFO");

    tcase_add_unchecked_fixture(tcase, start_servers, stop_both);
    tcase_add_checked_fixture(tcase, open_clients, close_clients);
    tcase_add_test(tcase, info_has_every_field_of_redis);
    tcase_add_test(tcase, info_tells_how_much_a_second);
    tcase_add_test(tcase, client_info_has_the_fields_of_redis_in_its_order);
    return suite_run(suite);
}
