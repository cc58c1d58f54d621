/* Bytes that are no request: the error that Redis gives, the end of the connection, and a server
 * that lives on; in one piece and cut at every byte. */
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/random.h"
#include "client-tests/lib/suite.h"
#include <stdio.h>
#include <string.h>

static struct server server;
static struct wire *control;

static void start_server(void)
{
    static const char *const arguments[] = { "--proto-max-bulk-len", "1mb", NULL };

    server_start_with(&server, arguments);
}

static void stop_server(void)
{
    server_stop(&server);
}

static void open_control(void)
{
    control = wire_open(&server);
}

static void close_control(void)
{
    wire_close(control);
    server_must_live(&server);
}

static const struct {
    const char *bytes, *error;
} refused[] = {
    { "*x\r\n", "(error) ERR Protocol error: invalid multibulk length" },
    { "*99999999999\r\n", "(error) ERR Protocol error: invalid multibulk length" },
    { "*2147483648\r\n", "(error) ERR Protocol error: invalid multibulk length" },
    { "*9223372036854775807\r\n", "(error) ERR Protocol error: invalid multibulk length" },
    { "*9223372036854775808\r\n", "(error) ERR Protocol error: invalid multibulk length" },
    { "*18446744073709551617\r\n", "(error) ERR Protocol error: invalid multibulk length" },
    { "*99999999999999999999999\r\n", "(error) ERR Protocol error: invalid multibulk length" },
    { "*1\r\n$-1\r\n", "(error) ERR Protocol error: invalid bulk length" },
    { "*1\r\n$-9223372036854775808\r\n", "(error) ERR Protocol error: invalid bulk length" },
    { "*1\r\n$1048577\r\n", "(error) ERR Protocol error: invalid bulk length" },
    { "*1\r\n$4294967297\r\n", "(error) ERR Protocol error: invalid bulk length" },
    { "*1\r\n$9223372036854775807\r\n", "(error) ERR Protocol error: invalid bulk length" },
    { "*1\r\n$18446744073709551615\r\n", "(error) ERR Protocol error: invalid bulk length" },
    { "*1\r\n$18446744073709551620\r\n", "(error) ERR Protocol error: invalid bulk length" },
    { "*1\r\n$x\r\n", "(error) ERR Protocol error: invalid bulk length" },
    { "*1\r\nPING\r\n", "(error) ERR Protocol error: expected '$', got 'P'" },
    { "*2\r\n$4\r\nECHO\r\n:1\r\n", "(error) ERR Protocol error: expected '$', got ':'" },
    { "ECHO \"open\r\n", "(error) ERR Protocol error: unbalanced quotes in request" },
};
enum { REFUSED = sizeof(refused) / sizeof(refused[0]) };

START_TEST(bad_lengths_are_refused_wherever_they_are_cut)
{
    const char *bytes = refused[_i].bytes;
    size_t size = strlen(bytes);

    for (size_t cut = 0; cut < size; cut++) {
        struct wire *wire = wire_open(&server);
        if (cut > 0) {
            (void)wire_send(wire, bytes, cut);
            expect_text(control, "PONG", "PING"); /* so that the first part is read alone */
        }
        (void)wire_send(wire, bytes + cut, size - cut);
        expect_text(wire, refused[_i].error, "");
        expect_end(wire);
        wire_close(wire);
    }
}
END_TEST

START_TEST(a_length_alone_takes_no_memory)
{
    enum { CLIENTS = 200 };
    static struct wire *wires[CLIENTS];
    int64_t before_kib = server_memory_kib(&server);

    /* The largest array there is, and in it the largest element, of which nothing follows. */
    for (int i = 0; i < CLIENTS; i++) {
        static const char promise[] = "*1048576\r\n$1048576\r\n";
        wires[i] = wire_open(&server);
        (void)wire_send(wires[i], promise, sizeof(promise) - 1);
    }
    expect_text(control, "PONG", "PING");
    info_wait(control, "connected_clients", CLIENTS + 1);
    ck_assert_int_le(server_memory_kib(&server) - before_kib, 64 * 1024);
    for (int i = 0; i < CLIENTS; i++)
        wire_close(wires[i]);
    info_wait(control, "connected_clients", 1);
}
END_TEST

START_TEST(a_valid_pipeline_may_be_cut_anywhere)
{
    static const char pipeline[] = "*3\r\n$5\r\nRPUSH\r\n$1\r\nk\r\n$3\r\na\r\n\r\nPING\r\n\r\n"
                                   "*0\r\n*2\r\n$4\r\nLLEN\r\n$1\r\nk\r\nECHO \"x y\"\r\n"
                                   "*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n";

    for (size_t cut = 1; cut < sizeof(pipeline) - 1; cut++) {
        struct wire *wire = wire_open(&server);
        (void)wire_send(wire, pipeline, cut);
        expect_text(control, "PONG", "PING");
        (void)wire_send(wire, pipeline + cut, sizeof(pipeline) - 1 - cut);
        expect_integer(wire, 1, "");
        expect_text(wire, "PONG", "");
        expect_integer(wire, 1, "");
        expect_text(wire, "\"x y\"", "");
        expect_integer(wire, 1, "");
        wire_close(wire);
    }
}
END_TEST

START_TEST(a_request_may_come_byte_by_byte)
{
    static const char request[] = "*3\r\n$4\r\nECHO\r\n$1\r\nx\r\n$3\r\nend\r\n"
                                  "*2\r\n$4\r\nECHO\r\n$12\r\nhello\r\nworld\r\n";
    struct wire *wire = wire_open(&server);

    for (size_t i = 0; i < sizeof(request) - 1; i++) {
        (void)wire_send(wire, request + i, 1);
        if (i % 8 == 0) expect_text(control, "PONG", "PING");
    }
    expect_error(wire, "ERR wrong number of arguments", "");
    expect_text(wire, "\"hello\\r\\nworld\"", "");
    wire_close(wire);
}
END_TEST

/* Whatever comes, the server answers or closes, and then still serves others. */
START_TEST(random_bytes_do_no_harm)
{
    static const char *const pieces[] = {
        "*",         "$",        "\r\n", "-1",      "3",      "PING",    "RPUSH",
        "*2\r\n",    "$3\r\n",   "key",  "\n",      "\"",     "$0\r\n",  "*1000\r\n",
        "MULTI\r\n", "EXEC\r\n", "\x00", "+OK\r\n", ":5\r\n", "*-1\r\n", "99999999999"
    };
    enum { PIECES = sizeof(pieces) / sizeof(pieces[0]) };
    struct random random = { 7 };

    for (unsigned round = 0; round < suite_scaled(600); round++) {
        struct wire *wire = wire_open(&server);
        struct text bytes = { 0 };
        for (uint32_t i = 0; i < 1 + random_below(&random, 60); i++) {
            if (random_percent(&random, 10)) {
                uint8_t byte = (uint8_t)random_next(&random);
                text_add(&bytes, &byte, 1);
            } else {
                text_add_string(&bytes, pieces[random_below(&random, PIECES)]);
            }
        }
        (void)wire_send(wire, text_string(&bytes), bytes.size);
        if (random_percent(&random, 50)) {
            wire_reset(wire);
        } else {
            wire_half_close(wire);
            wire_wait_end(wire);
            wire_close(wire);
        }
        text_finish(&bytes);
    }
    expect_text(control, "PONG", "PING");
    info_wait(control, "connected_clients", 1);
}
END_TEST

START_TEST(a_web_page_cannot_send_commands)
{
    static const char *const requests[] = {
        "POST / HTTP/1.1\r\nHost: localhost\r\n\r\nSET k v\r\n",
        "post / HTTP/1.1\r\n\r\nSET k v\r\n",
        "HOST: localhost\r\n\r\nSET k v\r\n",
        "*1\r\n$5\r\nhost:\r\nSET k v\r\n",
    };
    static const char get[] = "GET / HTTP/1.1\r\nHost: localhost\r\nSET k v\r\n";
    struct wire *wire = wire_open(&server);

    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        (void)wire_send(wire, "PING\r\n", 6);
        (void)wire_send(wire, requests[i], strlen(requests[i]));
        expect_text(wire, "PONG", ""); /* what came before is answered */
        expect_end(wire);
        wire_close(wire);
        wire = wire_open(&server);
    }
    /* Other requests fail at their first header: whoever sends one sends Host. */
    (void)wire_send(wire, get, sizeof(get) - 1);
    expect_text(wire, "(error) ERR wrong number of arguments for 'get' command", "");
    expect_end(wire);
    expect_integer(control, 0, "EXISTS k");
    wire_close(wire);
}
END_TEST

START_TEST(an_error_never_breaks_the_line)
{
    struct wire *wire = wire_open(&server);
    static const char evil[] = "*2\r\n$11\r\nNO\r\nSUCH\nXX\r\n$6\r\n+OK\r\n\n\r\n";

    (void)wire_send(wire, evil, sizeof(evil) - 1);
    expect_error(wire, "ERR unknown command", "");
    expect_text(wire, "PONG", "PING");
    wire_close(wire);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostile bytes");
    TCase *tcase = suite_case(suite, "bytes");

    tcase_add_unchecked_fixture(tcase, start_server, stop_server);
    tcase_add_checked_fixture(tcase, open_control, close_control);
    tcase_add_loop_test(tcase, bad_lengths_are_refused_wherever_they_are_cut, 0, REFUSED);
    tcase_add_test(tcase, a_length_alone_takes_no_memory);
    tcase_add_test(tcase, a_valid_pipeline_may_be_cut_anywhere);
    tcase_add_test(tcase, a_request_may_come_byte_by_byte);
    tcase_add_test(tcase, random_bytes_do_no_harm);
    tcase_add_test(tcase, a_web_page_cannot_send_commands);
    tcase_add_test(tcase, an_error_never_breaks_the_line);
    return suite_run(suite);
}
