/* What the log says does what the commands did: everything is there after a restart, whatever they
 * were, and nothing else. DEBUG LOADAOF is the restart, and now and then a killed server. */
#include "client-tests/lib/contents.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <stdlib.h>
#include <string.h>

enum { ELEMENT_BYTES = 100 };

static const char *const durable[] = {
    "--appendonly", "yes", "--enable-debug-command", "yes", "--maxmemory", "128mb", NULL
};
static const char *const tiny[] = { "--appendonly",
                                    "yes",
                                    "--enable-debug-command",
                                    "yes",
                                    "--list-chunk-bytes",
                                    "512",
                                    "--list-memory-max",
                                    "256kb",
                                    "--maxmemory",
                                    "128mb",
                                    NULL };

/* Whatever takes time lets others go first. */
static const char *const short_slices[] = { "--appendonly",
                                            "yes",
                                            "--list-chunk-bytes",
                                            "512",
                                            "--list-memory-max",
                                            "256kb",
                                            "--maxmemory",
                                            "128mb",
                                            "--slice-us",
                                            "10",
                                            NULL };

static struct server server;
static struct wire *wire;

static void start(const char *const *arguments)
{
    struct server_options options = { .own_arguments = arguments };

    server_start(&server, &options);
    wire = wire_open(&server);
}

static void start_durable(void)
{
    start(durable);
}

static void start_tiny(void)
{
    start(tiny);
}

static void start_with_short_slices(void)
{
    start(short_slices);
}

static void stop(void)
{
    wire_close(wire);
    server_stop(&server);
}

/* Twice: what is replayed is logged no second time. */
static void expect_same_after_reload(const char *when)
{
    struct text before = { 0 };
    int64_t frames = info_number(wire, "log_frames");

    contents_add(&before, wire);
    for (int i = 0; i < 2; i++) {
        expect_ok(wire, "DEBUG LOADAOF");
        contents_expect(wire, &before, when);
    }
    ck_assert_int_eq(info_number(wire, "log_frames"), frames);
    text_finish(&before);
}

static void expect_same_after_kill(const char *when)
{
    struct text before = { 0 };

    contents_add(&before, wire);
    server_kill(&server);
    wire_close(wire);
    server_restart(&server);
    wire = wire_open(&server);
    contents_expect(wire, &before, when);
    text_finish(&before);
}

/* ---- every command ----------------------------------------------------------------------------
 */

/* Each line takes effect, so that each writing command is seen to. */
static const char *const every[] = {
    "RPUSH l a b c d e f g h i j k l m n",
    "LPUSH l z y",
    "RPUSHX l o",
    "LPUSHX l x",
    "LPOP l",
    "RPOP l",
    "LPOP l 2",
    "RPOP l 3",
    "LSET l 0 first",
    "LINSERT l BEFORE c bc",
    "LINSERT l AFTER c cd",
    "LREM l 1 d",
    "LTRIM l 1 -1",
    "LMOVE l m LEFT RIGHT",
    "RPOPLPUSH l m",
    "LMOVEM l m LEFT RIGHT COUNT 2 BULK",
    "LMPOP 2 nothing l LEFT COUNT 1",
    "RPUSH l 1 2 3 4 5 6 7 8 9",
    "BLPOP nothing l 1",
    "BRPOP l nothing 1",
    "BLMOVE l m RIGHT LEFT 1",
    "BRPOPLPUSH l m 1",
    "BLMPOP 1 2 nothing l RIGHT COUNT 2",
    "BLMOVEM l m LEFT RIGHT 1 COUNT 2 OBO",
    "SET s 1",
    "SET t 2 EX 1000",
    "SET t 3 KEEPTTL",
    "SET u 4 PX 1000000 NX",
    "SET u 5 XX GET",
    "SET u 6 EXAT 4000000000 GET",
    "SETNX v new",
    "SETEX w 1000 value",
    "PSETEX x 1000000 value",
    "GETSET s other",
    "GETEX s EX 1000",
    "GETEX s PERSIST",
    "GETEX x PXAT 4000000000000",
    "GETEX x EXAT 1",
    "SET gone 1",
    "GETDEL gone",
    "MSET a 1 b 2 c 3",
    "MSETNX d 4 e 5",
    "APPEND a 23",
    "SETRANGE a 5 far",
    "INCR b",
    "DECR c",
    "INCRBY b 10",
    "DECRBY c 10",
    "INCRBYFLOAT b 0.25",
    "EXPIRE a 1000",
    "PEXPIRE b 1000000",
    "EXPIREAT c 4000000000",
    "PEXPIREAT d 4000000000000",
    "PERSIST c",
    "SET past 1",
    "EXPIRE past -1",
    "RENAME d f",
    "RENAMENX e g",
    "COPY m n",
    "COPY m n DB 3 REPLACE",
    "MOVE f 2",
    "SET h 1",
    "DEL h nothing",
    "SET h 1",
    "UNLINK h",
    "XADD x 1-1 f a",
    "XADD x 1-* g b h c",
    "XADD x MAXLEN = 2 1-7 f d",
    "XADD x IDMP p i * f e",
    "XADD x IDMPAUTO p * f f",
    "XCFGSET x IDMP-DURATION 1000 IDMP-MAXSIZE 50",
    "XADD x 9000000000000-0 f k",
    "XIDMPRECORD x q i 9000000000000-0",
    "XGROUP CREATE x g 0",
    "XGROUP CREATE x h $ ENTRIESREAD 2",
    "XGROUP CREATE z g 0 MKSTREAM",
    "XGROUP SETID x h 1-2",
    "XGROUP CREATECONSUMER x g one",
    "XREADGROUP GROUP g one COUNT 2 STREAMS x >",
    "XREADGROUP GROUP h two COUNT 1 NOACK STREAMS x >",
    "XREADGROUP GROUP h two STREAMS x >",
    "XCLAIM x g three 0 1-7 IDLE 5000",
    "XAUTOCLAIM x g four 0 0 COUNT 1",
    "XNACK x g FAIL IDS 1 1-7",
    "XACK x g 1-7",
    "XADD x 9999999999999-1 f g",
    "XADD x 9999999999999-2 f h",
    "XADD x 9999999999999-3 f i",
    "XREADGROUP GROUP g one COUNT 1 CLAIM 0 STREAMS x >",
    "XREADGROUP GROUP g one COUNT 8 STREAMS x >",
    "XACKDEL x g DELREF IDS 1 9999999999999-3",
    "XDEL x 1-7",
    "XDELEX x KEEPREF IDS 1 9000000000000-0",
    "XADD x 9999999999999-4 f j",
    "XTRIM x MAXLEN 2",
    "XSETID x 9999999999999-9 ENTRIESADDED 100 MAXDELETEDID 9999999999999-8",
    "SL.STREAM CONFIG SET x retention-length 1000",
    "XGROUP DELCONSUMER x g one",
    "XGROUP DESTROY x h",
    "SWAPDB 2 5",
    "SELECT 4",
    "SET here 1",
    "FLUSHDB",
    "SET here 2",
    "SELECT 0",
    "set 'in line' \"two words\"",
};

static void run_every(void)
{
    int64_t frames = info_number(wire, "log_frames"), before = frames;

    for (size_t i = 0; i < sizeof(every) / sizeof(every[0]); i++, before = frames) {
        struct text reply = { 0 };

        wire_command_line(wire, every[i]);
        ck_assert_int_eq(wire_read(wire, &reply), 1);
        ck_assert_msg(text_string(&reply)[0] != '-', "%s: %s", every[i], reply.bytes);
        frames = info_number(wire, "log_frames");
        ck_assert_msg(frames > before || strncmp(every[i], "SELECT ", 7) == 0, "%s: has no effect",
                      every[i]);
        text_finish(&reply);
    }
}

START_TEST(each_command_does_the_same_again)
{
    run_every();
    expect_same_after_reload("every command");
    expect_same_after_kill("every command, killed");
    expect_ok(wire, "FLUSHALL");
    expect_same_after_reload("FLUSHALL");
}
END_TEST

START_TEST(each_command_does_the_same_again_in_a_transaction)
{
    expect_ok(wire, "MULTI");
    for (size_t i = 0; i < sizeof(every) / sizeof(every[0]); i++) {
        wire_command_line(wire, every[i]);
        wire_skip(wire, 1);
    }
    wire_command(wire, "EXEC");
    wire_skip(wire, 1);
    ck_assert_int_eq(info_number(wire, "log_frames"), 1);
    expect_same_after_reload("every command in EXEC");
    expect_same_after_kill("every command in EXEC, killed");
}
END_TEST

START_TEST(each_command_that_writes_is_tried)
{
    struct text reply = { 0 }, name = { 0 };
    const char *at;

    wire_command(wire, "COMMAND LIST FILTERBY ACLCAT write");
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    for (at = strstr(text_string(&reply), "$"); at; at = strstr(at, "\r\n$")) {
        bool is_tried = false;

        at = strstr(at, "\r\n$") == at ? at + 2 : at;
        at = strchr(at, '\n') + 1;
        text_clear(&name);
        text_add(&name, at, strcspn(at, "\r"));
        for (size_t i = 0; i < name.size; i++) /* of a subcommand */
            if (name.bytes[i] == '|') name.bytes[i] = ' ';
        for (size_t i = 0; i < sizeof(every) / sizeof(every[0]); i++)
            is_tried |= strncasecmp(every[i], name.bytes, name.size) == 0 &&
                        (every[i][name.size] == ' ' || every[i][name.size] == '\0');
        is_tried |= strcmp(name.bytes, "flushall") == 0;
        ck_assert_msg(is_tried, "%s writes: add a line that does", name.bytes);
    }
    text_finish(&reply);
    text_finish(&name);
}
END_TEST

START_TEST(what_had_no_effect_is_not_logged)
{
    static const char *const nothing[] = {
        "LPOP none",
        "RPOP none 3",
        "LPUSHX none a",
        "LMPOP 1 none LEFT",
        "LMOVE none x LEFT LEFT",
        "DEL none",
        "SET k 2 NX",
        "SET none 2 XX",
        "SETNX k 3",
        "MSETNX k 1 none 2",
        "EXPIRE none 10",
        "EXPIRE k 10 XX",
        "PERSIST k",
        "GETDEL none",
        "GETEX k",
        "GETEX k PERSIST",
        "LREM l 0 none",
        "LINSERT l BEFORE none x",
        "RENAMENX k l",
        "COPY k l",
        "MOVE none 1",
        "BLPOP none 0.001",
        "LPOP k",
        "INCR l",
        "LPOP l 0",
        "SETRANGE none 3 ''",
        "GET k",
        "LRANGE l 0 -1",
        "XDEL x 9-0",
        "XDELEX x IDS 2 9-0 8-0",
        "XDELEX x DELREF IDS 1 9-0",
        "XDELEX x ACKED IDS 1 1-0",
        "XACK x g 9-0",
        "XACKDEL x g DELREF IDS 1 9-0",
        "XNACK x g FAIL IDS 1 9-0",
        "XCLAIM x g d 0 9-0",
        "XTRIM x MAXLEN 5",
        "XGROUP DELCONSUMER x g none",
    };
    int64_t frames;

    expect_ok(wire, "SET k 1");
    expect_integer(wire, 2, "RPUSH l a b");
    expect_string(wire, "1-0", "XADD x 1-0 f v");
    expect_ok(wire, "XGROUP CREATE x g 0");
    wire_command(wire, "XREADGROUP GROUP g c STREAMS x >");
    wire_skip(wire, 1);
    frames = info_number(wire, "log_frames");
    for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
        wire_command_line(wire, nothing[i]);
        wire_skip(wire, 1);
        ck_assert_msg(info_number(wire, "log_frames") == frames, "%s", nothing[i]);
    }
    expect_ok(wire, "MULTI");
    expect_text(wire, "QUEUED", "LPOP none");
    expect_text(wire, "QUEUED", "GET k");
    wire_command(wire, "EXEC");
    wire_skip(wire, 1);
    ck_assert_int_eq(info_number(wire, "log_frames"), frames);
}
END_TEST

/* Only what is pending changes: that is logged, and no change to who watches the stream. */
START_TEST(who_watches_minds_what_changes)
{
    expect_string(wire, "1-0", "XADD x 1-0 f v");
    expect_string(wire, "2-0", "XADD x 2-0 f v");
    expect_ok(wire, "XGROUP CREATE x g 0");
    wire_command(wire, "XREADGROUP GROUP g c STREAMS x >");
    wire_skip(wire, 1);
    expect_integer(wire, 1, "XDEL x 1-0");
    expect_ok(wire, "WATCH x");
    expect_text(wire, "1) (integer) -1", "XDELEX x IDS 1 9-0");
    expect_text(wire, "1) (integer) -1", "XDELEX x DELREF IDS 1 1-0");
    expect_ok(wire, "MULTI");
    expect_text(wire, "QUEUED", "XLEN x");
    expect_text(wire, "1) (integer) 1", "EXEC");
    expect_ok(wire, "WATCH x");
    expect_text(wire, "1) (integer) 1", "XDELEX x IDS 1 2-0");
    expect_ok(wire, "MULTI");
    expect_text(wire, "QUEUED", "XLEN x");
    expect_nil(wire, "EXEC");
    expect_same_after_reload("what was pending");
}
END_TEST

/* An element that long is answered as the socket drains, or not at all when nobody is there. */
START_TEST(long_elements_are_taken_once)
{
    enum { LONG_BYTES = 100 * 1024, NAME_BYTES = 200 };
    static const char *const lines[] = {
        "LPOP l",
        "RPOP l",
        "BLPOP nothing l 1",
        "BRPOP l 1",
        "LMPOP 1 l LEFT",
        "BLMPOP 1 1 l RIGHT",
        "LMOVE l m LEFT RIGHT",
        "BLMOVE l m RIGHT LEFT 1",
        "RPOPLPUSH l m",
        "LPOP l 2",
    };
    char *element = calloc(1, LONG_BYTES), name[NAME_BYTES + 1] = "";

    ck_assert(element);
    for (unsigned i = 0; i < 20; i++) {
        memset(element, 'a' + (int)i, LONG_BYTES);
        wire_command(wire, "RPUSH l %b", element, (size_t)LONG_BYTES);
        wire_skip(wire, 1);
    }
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        wire_command_line(wire, lines[i]);
        wire_skip(wire, 1);
        expect_same_after_reload(lines[i]);
    }
    memset(name, 'n', NAME_BYTES); /* too long a name for pops that are done together */
    expect_integer(wire, 2, "RPUSH %s %b %b", name, element, (size_t)LONG_BYTES, element,
                   (size_t)LONG_BYTES);
    wire_command(wire, "LPOP %s", name);
    wire_skip(wire, 1);
    expect_same_after_reload("a long name");
    free(element);
}
END_TEST

/* ---- bounds of what producers are known for ---- */

static const char *const produced[] = {
    "XADD emptied MAXLEN = 0 IDMP p i * f v",
    "XADD plain 1-1 f v",
    "XADD plain MAXLEN = 1 IDMPAUTO p * f v",
    "XADD recorded 5-5 f v",
    "XIDMPRECORD recorded p i 5-5",
    "XADD partly 1-1 f v",
    "XCFGSET partly IDMP-MAXSIZE 7",
    "XADD partly IDMP p i * f v",
    "XADD usual 1-1 f v",
    "XCFGSET usual IDMP-DURATION 100 IDMP-MAXSIZE 100",
    "XADD usual IDMP p i * f v",
    "COPY s copied",
    "XADD copied IDMP p j * f v",
    "RENAME plain renamed",
    "XADD renamed IDMP p i * f v",
    "XADD over 18446744073709551615-18446744073709551615 f v",
    "XADD over IDMP p i * f v", /* is refused, and leaves nothing */
    "MULTI",
    "XADD inside IDMP p i * f v",
    "XADD inside IDMPAUTO p * f v",
    "XADD changed IDMP p i * f v",
    "XCFGSET changed IDMP-DURATION 9",
    "SELECT 3",
    "XADD here IDMP p i * f v",
    "EXEC",
    "SELECT 0",
};

static void expect_known(const char *iid, const struct text *id)
{
    struct text reply = { 0 };

    wire_command(wire, "XADD s IDMP p %s * f v", iid);
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    ck_assert_str_eq(text_string(&reply), text_string(id));
    text_finish(&reply);
}

/* A replay takes nothing from a configuration that may be another one by then. */
START_TEST(bounds_of_producers_are_those_that_they_began_with)
{
    enum { IIDS = 150 };
    struct text first = { 0 };

    wire_command(wire, "XADD old IDMP p i * f v");
    wire_skip(wire, 1);
    expect_ok(wire, "CONFIG SET stream-idmp-duration 5000 stream-idmp-maxsize 1000");
    wire_command(wire, "XADD s IDMP p i0 * f v");
    ck_assert_int_eq(wire_read(wire, &first), 1);
    for (int i = 1; i < IIDS; i++)
        wire_command(wire, "XADD s IDMP p i%d * f v", i);
    wire_skip(wire, IIDS - 1);
    for (size_t i = 0; i < sizeof(produced) / sizeof(produced[0]); i++) {
        wire_command_line(wire, produced[i]);
        wire_skip(wire, 1);
    }
    expect_ok(wire, "CONFIG SET stream-idmp-duration 7 stream-idmp-maxsize 9");
    wire_command(wire, "XADD old IDMP p j * f v");
    wire_skip(wire, 1);
    expect_same_after_reload("bounds of producers");
    expect_same_after_kill("bounds of producers, killed");
    expect_known("i0", &first);
    expect_ok(wire, "SAVE");
    wire_command(wire, "XADD s IDMP p after * f v");
    wire_skip(wire, 1);
    expect_same_after_kill("bounds of producers, behind a checkpoint");
    expect_known("i0", &first);
    expect_integer(wire, IIDS + 1, "XLEN s");
    text_finish(&first);
}
END_TEST

/* They are not copied on their way to the log. */
START_TEST(long_arguments_of_a_transaction)
{
    enum { LONG_BYTES = 20 * 1024 };
    char *value = calloc(1, LONG_BYTES);

    ck_assert(value);
    memset(value, 'v', LONG_BYTES);
    expect_ok(wire, "MULTI");
    wire_command(wire, "SET a %b PX 1000000", value, (size_t)LONG_BYTES);
    wire_command(wire, "SET a x KEEPTTL");
    wire_command(wire, "RPUSH l 1 %b 2 %b", value, (size_t)LONG_BYTES, value, (size_t)LONG_BYTES);
    wire_command(wire, "SET %b y PXAT 1", value, (size_t)LONG_BYTES);
    wire_command(wire, "GET %b", value, (size_t)LONG_BYTES); /* finds it expired */
    wire_command(wire, "SELECT 1");
    wire_command(wire, "MSET b %b c 3", value, (size_t)LONG_BYTES);
    wire_command(wire, "GETSET b %b", value, (size_t)LONG_BYTES / 2);
    wire_command(wire, "SELECT 0");
    wire_skip(wire, 9);
    wire_command(wire, "EXEC");
    wire_skip(wire, 1);
    expect_same_after_reload("long arguments");
    expect_same_after_kill("long arguments, killed");
    free(value);
}
END_TEST

/* Pops that are done together are counted together. */
START_TEST(pops_of_as_many_as_there_can_be)
{
    expect_integer(wire, 3, "RPUSH l a b c");
    wire_command(wire, "LPOP l 1");
    wire_command(wire, "LPOP l 9223372036854775807");
    wire_skip(wire, 2);
    expect_integer(wire, 1, "RPUSH l d");
    expect_same_after_reload("pops of all");
    expect_text(wire, "1) \"d\"", "LRANGE l 0 -1");
}
END_TEST

/* ---- time -------------------------------------------------------------------------------------
 */

START_TEST(what_expired_stays_away)
{
    expect_ok(wire, "SET k 1 PX 20");
    expect_integer(wire, 1, "RPUSH l a");
    expect_integer(wire, 1, "PEXPIRE l 20");
    info_wait(wire, "expired_keys", 2);
    expect_integer(wire, 1, "RPUSH l b");
    expect_same_after_reload("expired");
    expect_text(wire, "1) \"b\"", "LRANGE l 0 -1");
}
END_TEST

/* Found by a command, before the server would look for it. */
START_TEST(what_a_transaction_finds_expired_goes_in_its_place)
{
    expect_ok(wire, "DEBUG SET-ACTIVE-EXPIRE 0");
    expect_ok(wire, "SET k 1 PXAT 1");
    expect_integer(wire, 1, "RPUSH l a");
    expect_integer(wire, 1, "EXISTS l");
    expect_ok(wire, "MULTI");
    wire_command_line(wire, "SET j 1 PXAT 1");
    wire_command_line(wire, "RPUSH j x");
    wire_command_line(wire, "RPUSH k y");
    wire_command_line(wire, "SET l 1 PXAT 1");
    wire_command_line(wire, "GET l");
    wire_command_line(wire, "EXEC");
    wire_skip(wire, 6);
    expect_same_after_reload("expired in EXEC");
    expect_text(wire, "1) \"x\"", "LRANGE j 0 -1");
    expect_text(wire, "1) \"y\"", "LRANGE k 0 -1");
    expect_integer(wire, 0, "EXISTS l");
}
END_TEST

/* ---- who waits --------------------------------------------------------------------------------
 */

START_TEST(who_was_served_took_it_away)
{
    struct wire *first = wire_open(&server), *second = wire_open(&server);

    wire_command(first, "BLPOP a b 0");
    info_wait(wire, "blocked_clients", 1);
    wire_command(second, "BLMOVE b c LEFT RIGHT 0");
    info_wait(wire, "blocked_clients", 2);
    expect_ok(wire, "MULTI");
    expect_text(wire, "QUEUED", "RPUSH b 1 2 3");
    expect_text(wire, "QUEUED", "RPUSH a 4");
    wire_command(wire, "EXEC");
    wire_skip(wire, 1);
    wire_skip(first, 1);
    wire_skip(second, 1);
    expect_same_after_reload("served");
    expect_integer(wire, 1, "LLEN c");
    wire_close(first);
    wire_close(second);
}
END_TEST

START_TEST(who_waits_goes_on_waiting_across_a_reload)
{
    struct wire *waiting = wire_open(&server);

    wire_command(waiting, "BLPOP later 0");
    info_wait(wire, "blocked_clients", 1);
    expect_integer(wire, 1, "RPUSH other 1");
    expect_ok(wire, "DEBUG LOADAOF");
    expect_integer(wire, 1, "RPUSH later 2");
    expect_text(waiting, "1) \"later\"\n2) \"2\"", "");
    expect_integer(wire, 0, "EXISTS later");
    expect_same_after_reload("served later");
    wire_close(waiting);
}
END_TEST

/* ---- what is on disk --------------------------------------------------------------------------
 */

static void push_many(const char *key, unsigned count)
{
    char element[ELEMENT_BYTES + 1];

    memset(element, 'e', ELEMENT_BYTES);
    element[ELEMENT_BYTES] = '\0';
    for (unsigned i = 0; i < count; i++)
        wire_command(wire, "RPUSH %s %u-%s", key, i, element);
    wire_skip(wire, count);
}

START_TEST(long_operations_on_what_is_on_disk)
{
    static const char *const lines[] = {
        "LPOP l 3000",
        "RPOP l 20",
        "LREM l 0 none",
        "LINSERT l AFTER none x",
        "LSET l 5000 changed",
        "COPY l copied",
        "LMOVEM l moved LEFT RIGHT COUNT 500 BULK",
        "LTRIM l 100 -100",
        "LMPOP 1 copied RIGHT COUNT 2000",
        "LPOP copied",
        "LMOVE copied l RIGHT LEFT",
    };

    push_many("l", 12000);
    info_wait_least(wire, "spill_evicted_chunks", 1);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct text reply = { 0 };

        wire_command_line(wire, lines[i]);
        ck_assert_int_eq(wire_read(wire, &reply), 1);
        ck_assert_msg(text_string(&reply)[0] != '-', "%s: %s", lines[i], reply.bytes);
        text_finish(&reply);
    }
    expect_same_after_reload("on disk");
    expect_same_after_kill("on disk, killed");
}
END_TEST

/* All else is in the checkpoint, so whenever the replay has let clients go first, it was in the
 * middle of that one command. */
START_TEST(clients_are_answered_in_the_middle_of_one_command)
{
    static const char *const lines[] = { "LREM l -1 first", "LINSERT l AFTER last x", "COPY l m",
                                         "LMOVEM l m LEFT RIGHT COUNT 11000 BULK" };
    struct text before = { 0 };

    expect_integer(wire, 1, "RPUSH l first");
    push_many("l", 12000);
    expect_integer(wire, 12002, "RPUSH l last");
    info_wait_least(wire, "spill_evicted_chunks", 1);
    expect_ok(wire, "SAVE");
    wire_command_line(wire, lines[_i]);
    wire_skip(wire, 1);
    contents_add(&before, wire);
    server_kill(&server);
    wire_close(wire);
    server_restart(&server);
    wire = wire_open(&server);
    info_wait(wire, "loading", 0);
    ck_assert_int_ge(info_number(wire, "slices"), 5);
    contents_expect(wire, &before, lines[_i]);
    text_finish(&before);
}
END_TEST

START_TEST(a_server_stops_in_the_middle_of_one_command)
{
    struct text before = { 0 };

    expect_integer(wire, 1, "RPUSH l first");
    push_many("l", suite_scaled(60) * 1000);
    expect_ok(wire, "SAVE");
    expect_integer(wire, 1, "LREM l -1 first");
    contents_add(&before, wire);
    server_kill(&server);
    wire_close(wire);
    for (int i = 0; i < 5; i++) {
        server_restart_unready(&server);
        server_stop(&server); /* a leak or a crash is a failure */
    }
    server_restart(&server);
    wire = wire_open(&server);
    contents_expect(wire, &before, "stopped while it was loading");
    text_finish(&before);
}
END_TEST

START_TEST(a_transaction_over_what_is_on_disk)
{
    struct wire *other = wire_open(&server);

    push_many("l", 12000);
    push_many("m", 12000);
    info_wait_least(wire, "spill_evicted_chunks", 1);
    expect_ok(wire, "MULTI");
    for (unsigned i = 0; i < 50; i++) {
        wire_command(wire, "LINDEX l %u", i * 200);
        wire_command(wire, "LSET m %u here", i * 200);
        wire_command(wire, "LMOVE l m LEFT RIGHT");
    }
    wire_skip(wire, 150);
    wire_command(wire, "EXEC");
    for (unsigned i = 0; i < 200; i++)
        wire_command(other, "RPUSH k%u %u", i % 7, i);
    wire_skip(other, 200);
    wire_skip(wire, 1);
    expect_same_after_reload("EXEC on disk");
    wire_close(other);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("replay");
    TCase *all = suite_case(suite, "commands"), *disk = suite_case(suite, "disk");
    TCase *slices = suite_case(suite, "slices");

    tcase_add_checked_fixture(all, start_durable, stop);
    tcase_add_test(all, each_command_does_the_same_again);
    tcase_add_test(all, each_command_does_the_same_again_in_a_transaction);
    tcase_add_test(all, each_command_that_writes_is_tried);
    tcase_add_test(all, what_had_no_effect_is_not_logged);
    tcase_add_test(all, who_watches_minds_what_changes);
    tcase_add_test(all, long_elements_are_taken_once);
    tcase_add_test(all, bounds_of_producers_are_those_that_they_began_with);
    tcase_add_test(all, long_arguments_of_a_transaction);
    tcase_add_test(all, pops_of_as_many_as_there_can_be);
    tcase_add_test(all, what_expired_stays_away);
    tcase_add_test(all, what_a_transaction_finds_expired_goes_in_its_place);
    tcase_add_test(all, who_was_served_took_it_away);
    tcase_add_test(all, who_waits_goes_on_waiting_across_a_reload);
    tcase_add_checked_fixture(disk, start_tiny, stop);
    tcase_add_test(disk, long_operations_on_what_is_on_disk);
    tcase_add_test(disk, a_transaction_over_what_is_on_disk);
    tcase_add_checked_fixture(slices, start_with_short_slices, stop);
    tcase_add_loop_test(slices, clients_are_answered_in_the_middle_of_one_command, 0, 4);
    tcase_add_test(slices, a_server_stops_in_the_middle_of_one_command);
    return suite_run(suite);
}
