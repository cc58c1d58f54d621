#include "client-tests/lib/contents.h"
#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { DATABASES = 16, SHOWN_BYTES = 300 };

struct names {
    struct text *items;
    size_t count;
};

static void read_reply(struct wire *wire, struct text *reply)
{
    text_clear(reply);
    if (wire_read(wire, reply) != 1) ck_abort_msg("the server closed the connection");
}

/* The next "$SIZE" of a raw reply. */
static const char *take_bulk(const char *at, struct text *out)
{
    char *end;
    size_t size = strtoul(at + 1, &end, 10);

    text_add(out, end + 2, size);
    return end + 2 + size + 2;
}

static int compare(const void *a, const void *b)
{
    const struct text *left = a, *right = b;
    size_t size = left->size < right->size ? left->size : right->size;
    int order = size > 0 ? memcmp(left->bytes, right->bytes, size) : 0;

    if (order != 0) return order;
    return left->size < right->size ? -1 : left->size > right->size;
}

static void read_names(struct wire *wire, struct names *names)
{
    struct text reply = { 0 };
    const char *at;

    wire_command(wire, "KEYS *");
    read_reply(wire, &reply);
    at = text_string(&reply);
    names->count = strtoul(at + 1, NULL, 10);
    names->items = calloc(names->count + 1, sizeof(*names->items));
    ck_assert_ptr_nonnull(names->items);
    at = strstr(at, "\r\n") + 2;
    for (size_t i = 0; i < names->count; i++)
        at = take_bulk(at, &names->items[i]);
    qsort(names->items, names->count, sizeof(*names->items), compare);
    text_finish(&reply);
}

static void ask_of(struct wire *wire, const struct text *name, const char *command,
                   struct text *reply)
{
    wire_command(wire, command, name->bytes, name->size);
    read_reply(wire, reply);
}

/* Behind the numbers with which a rendered line of an array begins. */
static const char *pass_numbers(const char *line)
{
    for (;;) {
        size_t spaces = strspn(line, " "), digits = strspn(line + spaces, "0123456789");

        if (digits == 0 || line[spaces + digits] != ')') return line + spaces;
        line += spaces + digits + 1;
    }
}

/* What one server alone knows: how a stream is kept, and when somebody was there. */
static bool is_its_own(const char *line)
{
    static const char *const names[] = { "\"radix-tree-keys\"\n",
                                         "\"radix-tree-nodes\"\n",
                                         "\"seen-time\"\n",
                                         "\"active-time\"\n",
                                         "\"lag\"\n",
                                         "\"nacked-count\"\n" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strncmp(line, names[i], strlen(names[i])) == 0) return true;
    return false;
}

/* A line for each thing that a stream has, but what is its server's own, a name and its value. */
static void add_stream(struct text *out, struct wire *wire, const struct text *name)
{
    struct text reply = { 0 }, lines = { 0 };
    unsigned skipped = 0;

    ask_of(wire, name, "XINFO STREAM %b FULL COUNT 0", &reply);
    resp_render(&lines, reply.bytes, reply.size);
    text_add_string(&lines, "\n");
    for (const char *at = text_string(&lines); *at; at = strchr(at, '\n') + 1) {
        const char *line = pass_numbers(at);

        if (is_its_own(line)) skipped = 2;
        if (skipped > 0)
            skipped--;
        else
            text_add(out, line, strcspn(line, "\n") + 1);
    }
    text_finish(&reply);
    text_finish(&lines);
}

static void add_key(struct text *out, struct wire *wire, const struct text *name)
{
    struct text reply = { 0 };

    text_add_quoted(out, name->bytes, name->size);
    ask_of(wire, name, "PEXPIRETIME %b", &reply);
    text_format(out, " %.*s ", (int)strcspn(reply.bytes, "\r"), reply.bytes);
    ask_of(wire, name, "TYPE %b", &reply);
    if (strncmp(reply.bytes, "+stream", 7) == 0) {
        add_stream(out, wire, name);
        text_finish(&reply);
        return;
    }
    if (strncmp(reply.bytes, "+list", 5) == 0)
        ask_of(wire, name, "LRANGE %b 0 -1", &reply);
    else if (strncmp(reply.bytes, "+stream", 7) == 0)
        ask_of(wire, name, "XINFO STREAM %b FULL COUNT 0", &reply);
    else
        ask_of(wire, name, "GET %b", &reply);
    text_add_quoted(out, reply.bytes, reply.size);
    text_add_string(out, "\n");
    text_finish(&reply);
}

void contents_add(struct text *out, struct wire *wire)
{
    struct text reply = { 0 };

    for (int database = 0; database < DATABASES; database++) {
        struct names names;

        wire_command(wire, "SELECT %d", database);
        read_reply(wire, &reply);
        read_names(wire, &names);
        if (names.count > 0) text_format(out, "database %d\n", database);
        for (size_t i = 0; i < names.count; i++) {
            add_key(out, wire, &names.items[i]);
            text_finish(&names.items[i]);
        }
        free(names.items);
    }
    wire_command(wire, "SELECT 0");
    read_reply(wire, &reply);
    text_finish(&reply);
}

void contents_expect(struct wire *wire, const struct text *expected, const char *when)
{
    struct text found = { 0 };
    const char *a = text_string(expected), *b;
    size_t same = 0;

    contents_add(&found, wire);
    b = text_string(&found);
    while (a[same] && a[same] == b[same])
        same++;
    while (same > 0 && a[same - 1] != '\n')
        same--; /* the whole line */
    if (strcmp(a, b) != 0)
        ck_abort_msg("%s\nbefore: %.*s\n after: %.*s", when, (int)SHOWN_BYTES, a + same,
                     (int)SHOWN_BYTES, b + same);
    text_finish(&found);
}
