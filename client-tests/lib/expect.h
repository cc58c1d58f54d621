/* expect.h - send a command, and the reply must be this. What differs fails the test, with the
 * place in the test, the command, what was expected and what came.
 *
 * The command is in hiredis's format: expect_integer(wire, 3, "RPUSH %s %s %s %s", key, "a", "b",
 * "c"). A format that starts with a zero-length string ("") sends nothing: the next reply is
 * judged. */
#ifndef CLIENT_TESTS_LIB_EXPECT_H
#define CLIENT_TESTS_LIB_EXPECT_H
#include "client-tests/lib/server.h"
#include "client-tests/lib/wire.h"
#include <stddef.h>

struct place {
    const char *file;
    int line;
};
#define EXPECT_HERE ((struct place){ __FILE__, __LINE__ })

/* The reply rendered as redis-cli shows it: "1) \"a\"\n2) \"b\"", "(integer) 3", "(nil)", "OK". */
#define expect_text(wire, text, ...) expect_text_at(EXPECT_HERE, wire, text, __VA_ARGS__)
#define expect_integer(wire, n, ...) expect_integer_at(EXPECT_HERE, wire, n, __VA_ARGS__)
/* A bulk string of exactly these bytes. */
#define expect_string(wire, text, ...) expect_string_at(EXPECT_HERE, wire, text, __VA_ARGS__)
#define expect_ok(wire, ...)           expect_text_at(EXPECT_HERE, wire, "OK", __VA_ARGS__)
#define expect_nil(wire, ...)          expect_text_at(EXPECT_HERE, wire, "(nil)", __VA_ARGS__)
/* An error that begins with prefix ("WRONGTYPE ", "ERR value is not"). */
#define expect_error(wire, prefix, ...) expect_error_at(EXPECT_HERE, wire, prefix, __VA_ARGS__)
/* Any integer, which is returned. */
#define ask_integer(wire, ...) ask_integer_at(EXPECT_HERE, wire, __VA_ARGS__)
/* Commands as typed into redis-cli and what it shows, in pairs, ended by NULL. An expectation that
 * ends in "…" is a prefix. */
#define expect_lines(wire, lines) expect_lines_at(EXPECT_HERE, wire, lines)
/* The server closes the connection; replies before that are dropped. */
#define expect_end(wire) expect_end_at(EXPECT_HERE, wire)
/* The server closes the connection, and no reply came before that. */
#define expect_no_answer(wire) expect_no_answer_at(EXPECT_HERE, wire)
/* No reply is there, after the server has answered on another connection what was sent later. */
#define expect_silence(wire, other) expect_silence_at(EXPECT_HERE, wire, other)

void expect_text_at(struct place place, struct wire *wire, const char *text, const char *format,
                    ...);
void expect_integer_at(struct place place, struct wire *wire, long long value, const char *format,
                       ...);
void expect_string_at(struct place place, struct wire *wire, const char *text, const char *format,
                      ...);
void expect_error_at(struct place place, struct wire *wire, const char *prefix, const char *format,
                     ...);
long long ask_integer_at(struct place place, struct wire *wire, const char *format, ...);
void expect_lines_at(struct place place, struct wire *wire, const char *const *lines);
void expect_end_at(struct place place, struct wire *wire);
void expect_no_answer_at(struct place place, struct wire *wire);
void expect_silence_at(struct place place, struct wire *wire, struct wire *other);
#endif
