/* CONFIG REWRITE waits until its file is written: alone, in the middle of a transaction, and
 * without the client that asked for it. */
#include "client-tests/lib/clock.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <stdio.h>
#include <string.h>

static const struct server_options options = { .configuration = "# kept\nhz 20\n" };
static struct server server;
static struct wire *wire;

static void start_server(void)
{
    server_start(&server, &options);
    wire = wire_open(&server);
}

static void stop_server(void)
{
    wire_close(wire);
    server_stop(&server);
}

static bool is_in_file(const char *line)
{
    char path[sizeof(server.directory) + 16], text[4096];
    FILE *file;
    size_t size;

    (void)snprintf(path, sizeof(path), "%s/server.conf", server.directory);
    file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    size = fread(text, 1, sizeof(text) - 1, file);
    text[size] = '\0';
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_msg(strncmp(text, "# kept\n", 7) == 0, "%s", text);
    return strstr(text, line) != NULL;
}

START_TEST(the_file_has_what_is_in_force)
{
    expect_ok(wire, "CONFIG SET hz 30");
    expect_ok(wire, "CONFIG REWRITE");
    ck_assert(is_in_file("\nhz 30\n"));
}
END_TEST

START_TEST(a_transaction_waits_for_it)
{
    expect_ok(wire, "MULTI");
    expect_text(wire, "QUEUED", "CONFIG SET hz 40");
    expect_text(wire, "QUEUED", "CONFIG REWRITE");
    expect_text(wire, "QUEUED", "INCR after");
    expect_text(wire, "1) OK\n2) OK\n3) (integer) 1", "EXEC");
    ck_assert(is_in_file("\nhz 40\n"));
}
END_TEST

START_TEST(it_is_written_without_its_client)
{
    struct wire *other = wire_open(&server);
    int64_t deadline_ms = clock_ms() + WAIT_MS;

    expect_ok(wire, "CONFIG SET hz 50");
    wire_command(other, "CONFIG REWRITE");
    wire_close(other);
    while (!is_in_file("\nhz 50\n"))
        ck_assert(clock_probe(deadline_ms));
    info_wait(wire, "connected_clients", 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("CONFIG REWRITE");
    TCase *waits = tcase_create("waits");

    tcase_add_unchecked_fixture(waits, start_server, stop_server);
    tcase_add_test(waits, the_file_has_what_is_in_force);
    tcase_add_test(waits, a_transaction_waits_for_it);
    tcase_add_test(waits, it_is_written_without_its_client);
    suite_add_tcase(suite, waits);
    return suite_run(suite);
}
