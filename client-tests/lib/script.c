#include "client-tests/lib/script.h"
#include "client-tests/lib/clock.h"
#include <check.h>
#include <ctype.h>
#include <hiredis/sds.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct line {
    int connection;
    char mark; /* '&', '!', '-', '?' or 0 */
    enum pair_compare compare;
    const char *command; /* the rest */
};

static const char *skip_spaces(const char *text)
{
    while (*text && isspace((unsigned char)*text))
        text++;
    return text;
}

static bool take_word(const char **text, const char *word)
{
    size_t length = strlen(word);

    if (strncmp(*text, word, length) != 0) return false;
    if ((*text)[length] != '\0' && !isspace((unsigned char)(*text)[length])) return false;
    *text = skip_spaces(*text + length);
    return true;
}

static void parse_marks(struct line *line, const char *text)
{
    static const struct {
        const char *word;
        enum pair_compare compare;
    } modes[] = { { "~type", PAIR_TYPE }, { "~near", PAIR_NEAR },     { "~idle", PAIR_IDLE },
                  { "~code", PAIR_CODE }, { "~sorted", PAIR_SORTED }, { "~any", PAIR_NOTHING } };

    *line = (struct line){ .compare = PAIR_BYTES };
    text = skip_spaces(text);
    if (*text == '@') {
        char *end;
        line->connection = (int)strtol(text + 1, &end, 10);
        if (*end && strchr("&!-?", *end)) line->mark = *end++;
        text = skip_spaces(end);
    }
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (take_word(&text, modes[i].word)) line->compare = modes[i].compare;
    }
    line->command = text;
}

static void fill(struct pair *pair, const char *arguments)
{
    struct text command = { 0 }, element = { 0 };
    char key[64];
    unsigned count, size;

    ck_assert_msg(sscanf(arguments, "%63s %u %u", key, &count, &size) == 3, "bad %%fill %s",
                  arguments);
    for (unsigned i = 0; i < count && !pair_is_hopeless(pair); i++) {
        text_clear(&element);
        text_format(&element, "%u:", i);
        while (element.size < size)
            text_add(&element, &"abcdefghij"[element.size % 10], 1);
        text_clear(&command);
        command_begin(&command, 3);
        command_add_string(&command, "RPUSH");
        command_add_string(&command, key);
        command_add(&command, element.bytes, element.size);
        (void)pair_ask(pair, 0, &command, PAIR_BYTES, NULL);
    }
    text_finish(&command);
    text_finish(&element);
}

static void wait_gone(struct pair *pair, const char *key)
{
    struct wire *controls[] = { pair->control_redis, pair->control_ours };
    int64_t deadline_ms = clock_ms() + WAIT_MS;

    for (int i = 0; i < 2; i++) {
        struct text reply = { 0 };
        do {
            text_clear(&reply);
            wire_command(controls[i], "EXISTS %s", key);
            ck_assert_int_eq(wire_read(controls[i], &reply), 1);
            if (strcmp(text_string(&reply), ":0\r\n") == 0) break;
        } while (clock_probe(deadline_ms));
        ck_assert_msg(strcmp(text_string(&reply), ":0\r\n") == 0, "%s does not expire", key);
        text_finish(&reply);
    }
}

/* The bytes between the quotes of a raw line. */
static void add_raw(struct text *out, const char *quoted)
{
    int count = 0;
    sds *items = sdssplitargs(quoted, &count);

    ck_assert_msg(items && count == 1, "raw bytes must be one quoted string: %s", quoted);
    text_add(out, items[0], sdslen(items[0]));
    sdsfreesplitres(items, count);
}

void script_line(struct pair *pair, const char *text)
{
    struct line line;
    struct text command = { 0 };
    bool reads = true;

    parse_marks(&line, text);
    if (take_word(&line.command, "%fill")) {
        fill(pair, line.command);
        return;
    }
    if (take_word(&line.command, "%gone")) {
        wait_gone(pair, line.command);
        return;
    }
    if (line.mark == '-') {
        pair_drop(pair, line.connection);
        return;
    }
    if (take_word(&line.command, "raw")) {
        add_raw(&command, line.command);
    } else if (take_word(&line.command, "send")) {
        add_raw(&command, line.command);
        reads = false;
    } else if (line.command[0] != '=' && line.command[0] != '\0') {
        ck_assert_msg(command_from_line(&command, line.command), "%s: bad line", pair->place);
    }
    if (command.size == 0) {
        if (line.mark == '!') {
            (void)pair_expect_end(pair, line.connection);
        } else {
            (void)pair_read(pair, line.connection, line.compare, NULL);
        }
    } else if (!reads) {
        pair_send(pair, line.connection, &command);
    } else if (line.mark == '?') {
        pair_send(pair, line.connection, &command);
        (void)pair_read(pair, line.connection, line.compare, NULL);
    } else if (line.mark == '&') {
        (void)pair_block(pair, line.connection, &command, line.compare);
    } else if (line.mark == '!') {
        (void)pair_ask(pair, line.connection, &command, line.compare, NULL);
        if (pair->connections[line.connection].ours) (void)pair_expect_end(pair, line.connection);
    } else {
        (void)pair_ask(pair, line.connection, &command, line.compare, NULL);
    }
    text_finish(&command);
}

int script_run(struct pair *pair, const char *path, int protocol)
{
    struct text script = { 0 };
    int rc = text_add_file(&script, path), number = 0;
    char *next = script.bytes;

    if (rc < 0) return rc;
    pair_reset(pair, protocol);
    pair->keeps_history = false; /* the line number says where to look */
    while (next && *next && !pair_is_hopeless(pair)) {
        char *start = next, *end = strchr(next, '\n');
        const char *text;
        next = end ? end + 1 : NULL;
        if (end) *end = '\0';
        text = skip_spaces(start);
        number++;
        (void)snprintf(pair->place, sizeof(pair->place), "%s:%d", path, number);
        if (*text && *text != '#') script_line(pair, text);
    }
    text_finish(&script);
    return 0;
}
