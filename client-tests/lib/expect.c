#include "client-tests/lib/expect.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_BYTES_MAX = 4000 };

/* Sends (unless format is empty) and adds the raw reply to out. */
static void ask(struct place place, struct wire *wire, struct text *out, const char *format,
                va_list arguments)
{
    if (*format) wire_command_list(wire, format, arguments);
    if (wire_read(wire, out) != 1)
        ck_abort_msg("%s:%d: %s: the server closed the connection", place.file, place.line, format);
}

static void render(struct text *raw)
{
    struct text shown = { 0 };

    resp_render(&shown, text_string(raw), raw->size);
    text_finish(raw);
    *raw = shown;
}

static void fail_differs(struct place place, const char *command, const char *expected,
                         const char *got)
{
    ck_abort_msg("%s:%d: %s\n expected: %.*s\n      got: %.*s", place.file, place.line,
                 *command ? command : "(next reply)", (int)SHOWN_BYTES_MAX, expected,
                 (int)SHOWN_BYTES_MAX, got);
}

void expect_text_at(struct place place, struct wire *wire, const char *text, const char *format,
                    ...)
{
    struct text reply = { 0 };
    va_list arguments;

    va_start(arguments, format);
    ask(place, wire, &reply, format, arguments);
    va_end(arguments);
    render(&reply);
    if (strcmp(text_string(&reply), text) != 0)
        fail_differs(place, format, text, text_string(&reply));
    text_finish(&reply);
}

void expect_integer_at(struct place place, struct wire *wire, long long value, const char *format,
                       ...)
{
    struct text reply = { 0 }, expected = { 0 };
    va_list arguments;

    va_start(arguments, format);
    ask(place, wire, &reply, format, arguments);
    va_end(arguments);
    text_format(&expected, "(integer) %lld", value);
    render(&reply);
    if (strcmp(text_string(&reply), text_string(&expected)) != 0)
        fail_differs(place, format, text_string(&expected), text_string(&reply));
    text_finish(&reply);
    text_finish(&expected);
}

void expect_string_at(struct place place, struct wire *wire, const char *text, const char *format,
                      ...)
{
    struct text reply = { 0 }, expected = { 0 };
    va_list arguments;

    va_start(arguments, format);
    ask(place, wire, &reply, format, arguments);
    va_end(arguments);
    text_add_quoted(&expected, text, strlen(text));
    render(&reply);
    if (strcmp(text_string(&reply), text_string(&expected)) != 0)
        fail_differs(place, format, text_string(&expected), text_string(&reply));
    text_finish(&reply);
    text_finish(&expected);
}

void expect_error_at(struct place place, struct wire *wire, const char *prefix, const char *format,
                     ...)
{
    struct text reply = { 0 };
    va_list arguments;

    va_start(arguments, format);
    ask(place, wire, &reply, format, arguments);
    va_end(arguments);
    if (reply.bytes[0] != '-' || strncmp(reply.bytes + 1, prefix, strlen(prefix)) != 0) {
        render(&reply);
        fail_differs(place, format, prefix, text_string(&reply));
    }
    text_finish(&reply);
}

long long ask_integer_at(struct place place, struct wire *wire, const char *format, ...)
{
    struct text reply = { 0 };
    va_list arguments;
    long long value;

    va_start(arguments, format);
    ask(place, wire, &reply, format, arguments);
    va_end(arguments);
    if (reply.bytes[0] != ':') {
        render(&reply);
        fail_differs(place, format, "(an integer)", text_string(&reply));
    }
    value = strtoll(reply.bytes + 1, NULL, 10);
    text_finish(&reply);
    return value;
}

static bool matches(const char *expected, const char *shown)
{
    static const char more[] = "…";
    size_t length = strlen(expected), mark = sizeof(more) - 1;

    if (length >= mark && strcmp(expected + length - mark, more) == 0)
        return strncmp(expected, shown, length - mark) == 0;
    return strcmp(expected, shown) == 0;
}

void expect_lines_at(struct place place, struct wire *wire, const char *const *lines)
{
    struct text reply = { 0 };

    for (; lines[0]; lines += 2) {
        text_clear(&reply);
        wire_command_line(wire, lines[0]);
        if (wire_read(wire, &reply) != 1)
            ck_abort_msg("%s:%d: %s: the server closed the connection", place.file, place.line,
                         lines[0]);
        render(&reply);
        if (!matches(lines[1], text_string(&reply)))
            fail_differs(place, lines[0], lines[1], text_string(&reply));
    }
    text_finish(&reply);
}

void expect_end_at(struct place place, struct wire *wire)
{
    (void)place;
    wire_wait_end(wire);
}

void expect_no_answer_at(struct place place, struct wire *wire)
{
    struct text reply = { 0 };

    if (wire_read(wire, &reply) == 1)
        ck_abort_msg("%s:%d: no answer should have come, but: %s", place.file, place.line,
                     text_string(&reply));
    text_finish(&reply);
}

void expect_silence_at(struct place place, struct wire *wire, struct wire *other)
{
    struct text reply = { 0 };

    expect_text_at(place, other, "PONG", "PING");
    if (wire_wait(wire, 0)) {
        if (wire_read(wire, &reply) == 1) render(&reply);
        ck_abort_msg("%s:%d: nothing should have come, but: %s", place.file, place.line,
                     reply.size ? text_string(&reply) : "(the end of the connection)");
    }
    text_finish(&reply);
}
