/* Requests cut at every byte, in buffers that move at every call, beside a parser that is too
 * simple to be wrong. Every buffer has exactly the size it is said to have, so that ASan sees a
 * byte too far. */
#include "server/resp/framer.h"
#include "modules/base/words.h"
#include "modules/base/number.h"
#include "modules/base/test_suite.h"
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const struct framer_limits trusted = { .bulk_bytes_max = 64 << 20,
                                              .argument_count_max = 1024 * 1024,
                                              .request_bytes_max = 128 << 20,
                                              .is_trusted = true };

/* What was found, as text: "[a|b]" a request, "!text" an error, "#" too large, "..." more is
 * needed. */
struct transcript {
    char *text;
    size_t size;
    FILE *file;
};

/* Stays where it is until closed: the stream writes through pointers to it. */
static void transcript_open(struct transcript *transcript)
{
    transcript->file = open_memstream(&transcript->text, &transcript->size);
    ck_assert_ptr_nonnull(transcript->file);
}

static char *transcript_close(struct transcript *transcript)
{
    ck_assert_int_eq(fclose(transcript->file), 0);
    return transcript->text;
}

static void write_slice(FILE *file, struct slice slice)
{
    if (slice.size > 0) (void)fwrite(slice.bytes, 1, slice.size, file);
}

static void write_request(FILE *file, const struct slice *arguments, uint32_t count)
{
    (void)fputc('[', file);
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0) (void)fputc('|', file);
        write_slice(file, arguments[i]);
    }
    (void)fputc(']', file);
}

/* ---- the framer, fed piece by piece ---- */

struct feeding {
    struct framer framer;
    const struct framer_limits *limits;
    uint8_t *bytes; /* what was fed and not consumed, in a block of exactly its size */
    size_t size, wanted;
    bool has_failed;
    struct transcript transcript;
};

static void feeding_start(struct feeding *feeding, const struct framer_limits *limits)
{
    *feeding = (struct feeding){ .limits = limits };
    transcript_open(&feeding->transcript);
    framer_init(&feeding->framer);
}

static void move_buffer(struct feeding *feeding, size_t dropped, const uint8_t *more, size_t size)
{
    size_t kept = feeding->size - dropped;
    uint8_t *bytes = malloc(kept + size);

    ck_assert(bytes || kept + size == 0);
    if (kept > 0) memcpy(bytes, feeding->bytes + dropped, kept);
    if (size > 0) memcpy(bytes + kept, more, size);
    free(feeding->bytes);
    feeding->bytes = bytes;
    feeding->size = kept + size;
}

static void feed(struct feeding *feeding, const void *more, size_t size)
{
    size_t consumed = 0;
    const char *error = NULL;

    if (feeding->has_failed) return;
    move_buffer(feeding, 0, more, size);
    for (;;) {
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): feeding_end frees what feeding holds */
        enum framer_result result = framer_next(&feeding->framer, feeding->limits, feeding->bytes,
                                                feeding->size, &consumed, &feeding->wanted, &error);
        if (result == FRAMER_INCOMPLETE) {
            ck_assert_uint_gt(feeding->wanted, feeding->size);
            ck_assert_uint_eq(consumed, 0);
            return;
        }
        if (result == FRAMER_REQUEST) {
            ck_assert_uint_gt(consumed, 0);
            write_request(feeding->transcript.file, feeding->framer.arguments,
                          feeding->framer.argument_count);
            move_buffer(feeding, consumed, NULL, 0);
            continue;
        }
        feeding->has_failed = true;
        (void)fprintf(feeding->transcript.file, result == FRAMER_ERROR ? "!%s" : "#", error);
        return;
    }
}

static char *feeding_end(struct feeding *feeding)
{
    if (!feeding->has_failed && feeding->size > 0) (void)fputs("...", feeding->transcript.file);
    framer_finish(&feeding->framer);
    ck_assert_uint_eq(framer_heap_bytes(&feeding->framer), 0);
    free(feeding->bytes);
    return transcript_close(&feeding->transcript);
}

static char *frame_cut_at(const struct framer_limits *limits, struct slice input, size_t first,
                          size_t second)
{
    struct feeding feeding;

    feeding_start(&feeding, limits);
    feed(&feeding, input.bytes, first);
    feed(&feeding, input.bytes + first, second - first);
    feed(&feeding, input.bytes + second, input.size - second);
    return feeding_end(&feeding);
}

static char *frame_bytewise(const struct framer_limits *limits, struct slice input)
{
    struct feeding feeding;

    feeding_start(&feeding, limits);
    for (size_t i = 0; i < input.size; i++)
        feed(&feeding, input.bytes + i, 1);
    return feeding_end(&feeding);
}

static void expect_framed_slice(const struct framer_limits *limits, struct slice input,
                                const char *expected)
{
    char *found = frame_bytewise(limits, input);

    ck_assert_str_eq(found, expected);
    free(found);
    for (size_t cut = 0; cut <= input.size; cut++) {
        found = frame_cut_at(limits, input, cut, input.size);
        ck_assert_str_eq(found, expected);
        free(found);
    }
}

static void expect_framed(const char *input, const char *expected)
{
    expect_framed_slice(&trusted, slice_of_string(input), expected);
}

/* ---- a parser that looks at whole inputs only ---- */

/* The line at *at up to its CR. False: it is not whole. */
static bool naive_line(struct slice input, size_t *at, struct slice *out_line)
{
    for (size_t i = *at; i + 1 < input.size; i++) {
        if (input.bytes[i] != '\r') continue;
        *out_line = slice_of(input.bytes + *at, i - *at);
        *at = i + 2;
        return true;
    }
    return false;
}

/* 1: a request is written, 0: more is needed, -1: an error is written. */
static int naive_array(struct slice input, size_t *at, FILE *out)
{
    struct slice line, arguments[64];
    int64_t count, size;

    if (!naive_line(input, at, &line)) return 0;
    if (!number_parse_int64(slice_of(line.bytes + 1, line.size - 1), &count) ||
        count > (int64_t)trusted.argument_count_max) {
        (void)fputs("!invalid multibulk length", out);
        return -1;
    }
    for (int64_t i = 0; i < count; i++) {
        if (!naive_line(input, at, &line)) return 0;
        if (line.size == 0 || line.bytes[0] != '$') {
            (void)fprintf(out, "!expected '$', got '%c'", line.size ? line.bytes[0] : '\r');
            return -1;
        }
        if (!number_parse_int64(slice_of(line.bytes + 1, line.size - 1), &size) || size < 0 ||
            size > (int64_t)trusted.bulk_bytes_max) {
            (void)fputs("!invalid bulk length", out);
            return -1;
        }
        if (input.size - *at < (uint64_t)size + 2) return 0;
        if (i < 64) arguments[i] = slice_of(input.bytes + *at, (size_t)size);
        *at += (size_t)size + 2;
    }
    ck_assert_int_le(count, 64);
    write_request(out, arguments, count > 0 ? (uint32_t)count : 0);
    return 1;
}

static int naive_inline(struct slice input, size_t *at, FILE *out)
{
    const uint8_t *end = memchr(input.bytes + *at, '\n', input.size - *at);
    struct slice arguments[64], line;
    uint8_t scratch[4096];
    int count;

    if (!end) return 0;
    line = slice_of(input.bytes + *at, (size_t)(end - input.bytes) - *at);
    *at += line.size + 1;
    if (line.size > 0 && line.bytes[line.size - 1] == '\r') line.size--;
    ck_assert_uint_lt(line.size, sizeof(scratch));
    count = words_split(line, scratch, arguments, 64);
    if (count < 0) {
        (void)fputs("!unbalanced quotes in request", out);
        return -1;
    }
    write_request(out, arguments, (uint32_t)count);
    return 1;
}

static char *naive(struct slice input)
{
    struct transcript transcript;
    int state = 1;

    transcript_open(&transcript);
    for (size_t at = 0, next; state == 1 && at < input.size; at = next) {
        next = at;
        state = input.bytes[at] == '*' ? naive_array(input, &next, transcript.file)
                                       : naive_inline(input, &next, transcript.file);
        if (state == 0) (void)fputs("...", transcript.file);
    }
    return transcript_close(&transcript);
}

/* ---- arrays ---- */

START_TEST(an_array_of_bulks_is_a_request)
{
    expect_framed("*1\r\n$4\r\nPING\r\n", "[PING]");
    expect_framed("*3\r\n$5\r\nRPUSH\r\n$1\r\nk\r\n$10\r\n0123456789\r\n", "[RPUSH|k|0123456789]");
    expect_framed("*2\r\n$0\r\n\r\n$0\r\n\r\n", "[|]");
    expect_framed("*12\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n$1\r\nf\r\n"
                  "$1\r\ng\r\n$1\r\nh\r\n$1\r\ni\r\n$1\r\nj\r\n$1\r\nk\r\n$1\r\nl\r\n",
                  "[a|b|c|d|e|f|g|h|i|j|k|l]");
}
END_TEST

START_TEST(pipelined_requests_come_out_one_by_one)
{
    expect_framed("*1\r\n$4\r\nPING\r\nECHO a\r\n*2\r\n$4\r\nLLEN\r\n$1\r\nk\r\n*1\r\n$4\r\nPI",
                  "[PING][ECHO|a][LLEN|k]...");
}
END_TEST

START_TEST(bulks_may_hold_any_bytes)
{
    static const uint8_t input[] = "*2\r\n$4\r\n\r\n*1\r\n$3\r\n$\r\xff\r\n";

    expect_framed_slice(&trusted, slice_of(input, sizeof(input) - 1), "[\r\n*1|$\r\xff]");
}
END_TEST

START_TEST(empty_arrays_are_requests_without_arguments)
{
    expect_framed("*0\r\n", "[]");
    expect_framed("*-1\r\n*1\r\n$4\r\nPING\r\n", "[][PING]");
    expect_framed("*-9\r\n*0\r\nPING\r\n", "[][][PING]");
}
END_TEST

/* As measured on redis-server 7.0.15: lines end at CR, and the byte behind it is not looked at. */
START_TEST(bytes_behind_a_carriage_return_are_skipped_unseen)
{
    expect_framed("*1\rx$4\r\nPING\r\n", "[PING]");
    expect_framed("*1\r\n$4\rxPINGxx*1\r\n$4\r\nPING\r\n", "[PING][PING]");
}
END_TEST

START_TEST(bad_counts_are_refused_in_redis_words)
{
    static const char *const counts[] = {
        "*x\r\n",
        "*\r\n",
        "*-0\r\n",
        "*00\r\n",
        "*01\r\n",
        "*+1\r\n",
        "* 1\r\n",
        "*1 \r\n",
        "*2147483648\r\n",
        "*9223372036854775808\r\n",
        "*99999999999999999999\r\n",
        "*1\n$4\r\n",
        "*1048577\r\n",
        "*x\rPING\r\n",
    };

    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        expect_framed(counts[i], "!invalid multibulk length");
    }
}
END_TEST

START_TEST(bad_bulk_sizes_are_refused_in_redis_words)
{
    static const char *const sizes[] = {
        "$x\r\n",
        "$\r\n",
        "$-1\r\n",
        "$-0\r\n",
        "$04\r\nPING\r\n",
        "$00\r\n",
        "$+4\r\n",
        "$67108865\r\n",
        "$9223372036854775807\r\n",
        "$9223372036854775808\r\n",
        "$1234567890\r\n",
        "$4\nPING\r\n",
        "$4x\r\nPING\r\n",
    };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        char input[64];
        (void)snprintf(input, sizeof(input), "*1\r\n%s", sizes[i]);
        expect_framed(input, "!invalid bulk length");
        (void)snprintf(input, sizeof(input), "*2\r\n$1\r\na\r\n%s", sizes[i]);
        expect_framed(input, "!invalid bulk length");
    }
}
END_TEST

START_TEST(a_missing_dollar_is_quoted)
{
    expect_framed("*1\r\nPING\r\n", "!expected '$', got 'P'");
    expect_framed("*1\r\n:4\r\nPING\r\n", "!expected '$', got ':'");
    expect_framed("*1\r\n\r\n", "!expected '$', got '\r'");
    expect_framed("PING\r\n*2\r\n$1\r\na\r\nx\r\n", "[PING]!expected '$', got 'x'");
    expect_framed("*1\r\nx", "..."); /* Redis waits for the end of the line, too */
}
END_TEST

START_TEST(the_largest_bulk_is_awaited_and_one_more_refused)
{
    struct framer_limits limits = trusted;

    limits.bulk_bytes_max = 5;
    expect_framed_slice(&limits, SLICE_LITERAL("*1\r\n$5\r\nabcde\r\n"), "[abcde]");
    expect_framed_slice(&limits, SLICE_LITERAL("*1\r\n$6\r\nabcdef\r\n"), "!invalid bulk length");
    limits.argument_count_max = 2;
    expect_framed_slice(&limits, SLICE_LITERAL("*2\r\n$1\r\na\r\n$1\r\nb\r\n"), "[a|b]");
    expect_framed_slice(&limits, SLICE_LITERAL("*3\r\n"), "!invalid multibulk length");
}
END_TEST

START_TEST(strangers_get_ten_arguments_and_16_kib)
{
    struct framer_limits limits = trusted;

    limits.is_trusted = false;
    expect_framed_slice(&limits, SLICE_LITERAL("*10\r\n"), "...");
    expect_framed_slice(&limits, SLICE_LITERAL("*11\r\n"), "!unauthenticated multibulk length");
    expect_framed_slice(&limits, SLICE_LITERAL("*1\r\n$16384\r\n"), "...");
    expect_framed_slice(&limits, SLICE_LITERAL("*1\r\n$16385\r\n"), "!unauthenticated bulk length");
    expect_framed_slice(&limits, SLICE_LITERAL("*1\r\n$67108865\r\n"), "!invalid bulk length");
    expect_framed_slice(&limits, SLICE_LITERAL("*2147483648\r\n"), "!invalid multibulk length");
}
END_TEST

START_TEST(a_request_above_the_query_buffer_limit_is_refused_before_its_bytes)
{
    struct framer_limits limits = trusted;

    limits.request_bytes_max = 30; /* 4 + 7 + 5 + 12 + 2 */
    expect_framed_slice(&limits, SLICE_LITERAL("*2\r\n$1\r\na\r\n$12\r\nabcdefghijkl\r\n"),
                        "[a|abcdefghijkl]");
    expect_framed_slice(&limits, SLICE_LITERAL("*2\r\n$1\r\na\r\n$13\r\n"), "#");
    expect_framed_slice(&limits, SLICE_LITERAL("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), "#");
}
END_TEST

START_TEST(a_bulk_says_how_much_room_its_request_needs)
{
    static const char input[] = "*2\r\n$4\r\nLPOP\r\n$1000000\r\n";
    struct feeding feeding;

    feeding_start(&feeding, &trusted);
    feed(&feeding, input, sizeof(input) - 1);
    ck_assert_uint_eq(feeding.wanted, sizeof(input) - 1 + 1000000 + 2);
    feed(&feeding, "x", 1);
    ck_assert_uint_eq(feeding.wanted, sizeof(input) - 1 + 1000000 + 2);
    free(feeding_end(&feeding));
}
END_TEST

START_TEST(announcing_many_arguments_costs_no_memory)
{
    struct feeding feeding;

    feeding_start(&feeding, &trusted);
    feed(&feeding, "*1048576\r\n$1\r\na\r\n", 17);
    ck_assert_uint_le(framer_heap_bytes(&feeding.framer), 1024);
    ck_assert_uint_le(feeding.wanted, 64);
    free(feeding_end(&feeding));
}
END_TEST

/* "*COUNT" and arguments 0, 1, 2 …; freed by the caller. */
static char *long_request(int count, size_t *out_size)
{
    struct transcript input;
    char *bytes;

    transcript_open(&input);
    (void)fprintf(input.file, "*%d\r\n", count);
    for (int i = 0; i < count; i++)
        (void)fprintf(input.file, "$%d\r\n%d\r\n", i < 10 ? 1 : i < 100 ? 2 : i < 1000 ? 3 : 4, i);
    bytes = transcript_close(&input);
    *out_size = input.size;
    return bytes;
}

START_TEST(arguments_of_a_long_request_are_not_kept_until_it_is_whole)
{
    enum { ARGUMENTS = 4000, KEPT_BYTES = 1024 * sizeof(struct slice) };
    static const size_t pieces[] = { 61, 1000, 16384 };
    struct feeding feeding;
    size_t size, piece = pieces[_i];
    char *bytes = long_request(ARGUMENTS, &size), number[16];

    feeding_start(&feeding, &trusted);
    for (size_t at = 0; at < size; at += piece) {
        bool is_last = size - at <= piece;

        feed(&feeding, bytes + at, is_last ? size - at : piece);
        if (!is_last) ck_assert_uint_le(framer_heap_bytes(&feeding.framer), KEPT_BYTES);
    }
    ck_assert_uint_eq(feeding.framer.argument_count, ARGUMENTS);
    framer_rest(&feeding.framer);
    ck_assert_uint_eq(framer_heap_bytes(&feeding.framer), 0);
    free(bytes);
    bytes = feeding_end(&feeding);
    for (int i = 0, at = 1; i < ARGUMENTS; i++) {
        int digits = snprintf(number, sizeof(number), "%s%d", i > 0 ? "|" : "", i);

        ck_assert_int_eq(strncmp(bytes + at, number, (size_t)digits), 0);
        at += digits;
    }
    free(bytes);
}
END_TEST

/* Limits are set live. */
START_TEST(a_limit_that_is_lowered_while_a_long_request_comes_in_holds_for_all_of_it)
{
    struct framer_limits limits = trusted;
    struct feeding feeding;
    size_t size;
    char *bytes = long_request(3000, &size), *found;

    feeding_start(&feeding, &limits);
    feed(&feeding, bytes, size - 4);
    limits.bulk_bytes_max = 3;
    feed(&feeding, bytes + size - 4, 4);
    found = feeding_end(&feeding);
    ck_assert_str_eq(found, "!invalid bulk length");
    free(found);
    free(bytes);
}
END_TEST

START_TEST(a_request_of_many_arguments_is_framed_and_its_memory_given_back)
{
    enum { ARGUMENTS = 100000 };
    struct transcript input;
    struct feeding feeding;
    char *bytes, *found;

    transcript_open(&input);
    (void)fprintf(input.file, "*%d\r\n", ARGUMENTS);
    for (int i = 0; i < ARGUMENTS; i++)
        (void)fputs("$1\r\nx\r\n", input.file);
    bytes = transcript_close(&input);
    feeding_start(&feeding, &trusted);
    for (size_t at = 0; at < input.size; at += 65536) {
        feed(&feeding, bytes + at, input.size - at < 65536 ? input.size - at : 65536);
    }
    ck_assert_uint_eq(feeding.framer.argument_count, ARGUMENTS);
    ck_assert_uint_ge(framer_heap_bytes(&feeding.framer), ARGUMENTS * sizeof(struct slice));
    feed(&feeding, "PING\r\n", 6);
    ck_assert_uint_le(framer_heap_bytes(&feeding.framer), 1024);
    found = feeding_end(&feeding);
    ck_assert_uint_eq(strlen(found), 2 * ARGUMENTS + 1 + strlen("[PING]"));
    free(found);
    free(bytes);
}
END_TEST

/* head, then ones without end: 64 KiB from where the line begins are awaited, one more is refused.
 */
static void expect_endless(struct slice head, size_t line_begin, const char *expected)
{
    size_t size = line_begin + FRAMER_LINE_BYTES_MAX;
    uint8_t *input = malloc(size + 1);
    char *found;

    ck_assert_ptr_nonnull(input);
    memset(input, '1', size + 1);
    memcpy(input, head.bytes, head.size);
    found = frame_cut_at(&trusted, slice_of(input, size), 100, 60000);
    ck_assert_str_eq(found, "...");
    free(found);
    found = frame_cut_at(&trusted, slice_of(input, size + 1), 100, 60000);
    ck_assert_str_eq(found, expected);
    free(found);
    free(input);
}

START_TEST(lines_without_end_are_refused_above_64_kib)
{
    expect_endless(SLICE_LITERAL("a"), 0, "!too big inline request");
    expect_endless(SLICE_LITERAL("*"), 0, "!too big mbulk count string");
    expect_endless(SLICE_LITERAL("*1\r\n$"), 4, "!too big bulk count string");
}
END_TEST

/* ---- inline requests ---- */

START_TEST(a_line_of_words_is_a_request)
{
    expect_framed("PING\r\n", "[PING]");
    expect_framed("PING\n", "[PING]");
    expect_framed("  SET \t a  b \r\n", "[SET|a|b]");
    expect_framed("\x0b\x0cPING a\x0b"
                  "b\r\n",
                  "[PING|a\x0b"
                  "b]");
    expect_framed("\r\n", "[]");
    expect_framed("\n   \r\nPING\r\n", "[][][PING]");
    expect_framed("$4\r\n", "[$4]");
    expect_framed("PING", "...");
}
END_TEST

START_TEST(quotes_are_decoded)
{
    expect_framed("ECHO \"a b\" 'c d'\r\n", "[ECHO|a b|c d]");
    expect_framed("ECHO \"\" ''\r\n", "[ECHO||]");
    expect_framed("ECHO \"\\x41\\n\\r\\t\\b\\a\\\\\\\"\\q\\xZ1\"\r\n",
                  "[ECHO|A\n\r\t\b\a\\\"qxZ1]");
    expect_framed("ECHO 'a\\'b\\n'\r\n", "[ECHO|a'b\\n]");
    expect_framed("ECHO a\"b c\" a'b'\r\n", "[ECHO|ab c|ab]");
}
END_TEST

START_TEST(unbalanced_quotes_are_refused)
{
    static const char *const lines[] = { "ECHO \"a\r\n",     "ECHO 'a\r\n",    "ECHO \"a\"b\r\n",
                                         "ECHO 'a'b\r\n",    "ECHO \"a\\\r\n", "ECHO 'a\\\r\n",
                                         "ECHO \"a\\\"\r\n", "\"\r\n" };

    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        expect_framed(lines[i], "!unbalanced quotes in request");
    }
}
END_TEST

START_TEST(a_line_of_a_thousand_words_is_framed)
{
    char line[2003];
    struct feeding feeding;

    memset(line, 'a', sizeof(line));
    for (size_t i = 1; i < sizeof(line); i += 2)
        line[i] = ' ';
    line[sizeof(line) - 1] = '\n';
    feeding_start(&feeding, &trusted);
    feed(&feeding, line, sizeof(line));
    ck_assert_uint_eq(feeding.framer.argument_count, 1001);
    free(feeding_end(&feeding));
}
END_TEST

/* ---- random inputs ---- */

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

/* Requests as clients send them, then a few bytes of some of them changed, removed or doubled. */
static size_t random_input(uint64_t *seed, uint8_t *bytes, size_t capacity)
{
    static const char letters[] = "*$\r\n -01234569\"'\\xa";
    size_t size = 0;

    for (uint32_t requests = 1 + next_random(seed) % 4; requests > 0; requests--) {
        uint32_t count = next_random(seed) % 12;
        if (next_random(seed) % 4 == 0) {
            size += (size_t)snprintf((char *)bytes + size, capacity - size, "PING 'a b' c\r\n");
            continue;
        }
        size += (size_t)snprintf((char *)bytes + size, capacity - size, "*%u\r\n", count);
        for (; count > 0; count--) {
            uint32_t bulk = next_random(seed) % 14;
            size += (size_t)snprintf((char *)bytes + size, capacity - size, "$%u\r\n%.*s\r\n", bulk,
                                     (int)bulk, "abcdefghijklmno");
        }
    }
    ck_assert(size > 0 && size < capacity);
    for (uint32_t changes = next_random(seed) % 3; changes > 0; changes--) {
        bytes[next_random(seed) % size] =
            (uint8_t)letters[next_random(seed) % (sizeof(letters) - 1)];
    }
    if (next_random(seed) % 4 == 0) size -= next_random(seed) % size;
    return size;
}

START_TEST(however_cut_the_requests_are_those_of_the_naive_parser)
{
    uint64_t seed = (uint64_t)_i + 1;

    for (int round = 0; round < 200; round++) {
        uint8_t bytes[4096];
        struct slice input = slice_of(bytes, random_input(&seed, bytes, sizeof(bytes)));
        size_t first = next_random(&seed) % (input.size + 1);
        size_t second = first + next_random(&seed) % (input.size - first + 1);
        char *expected = naive(input);
        char *whole = frame_cut_at(&trusted, input, input.size, input.size);
        char *cut = frame_cut_at(&trusted, input, first, second);
        char *bytewise = frame_bytewise(&trusted, input);

        ck_assert_str_eq(whole, expected);
        ck_assert_str_eq(cut, expected);
        ck_assert_str_eq(bytewise, expected);
        free(expected);
        free(whole);
        free(cut);
        free(bytewise);
    }
}
END_TEST

static Suite *framer_suite(void)
{
    Suite *suite = suite_create("framer");
    TCase *arrays = test_suite_case(suite, "arrays", NULL, NULL);
    TCase *lines = test_suite_case(suite, "lines", NULL, NULL);
    TCase *random = test_suite_case(suite, "random", NULL, NULL);

    tcase_add_test(arrays, an_array_of_bulks_is_a_request);
    tcase_add_test(arrays, pipelined_requests_come_out_one_by_one);
    tcase_add_test(arrays, bulks_may_hold_any_bytes);
    tcase_add_test(arrays, empty_arrays_are_requests_without_arguments);
    tcase_add_test(arrays, bytes_behind_a_carriage_return_are_skipped_unseen);
    tcase_add_test(arrays, bad_counts_are_refused_in_redis_words);
    tcase_add_test(arrays, bad_bulk_sizes_are_refused_in_redis_words);
    tcase_add_test(arrays, a_missing_dollar_is_quoted);
    tcase_add_test(arrays, the_largest_bulk_is_awaited_and_one_more_refused);
    tcase_add_test(arrays, strangers_get_ten_arguments_and_16_kib);
    tcase_add_test(arrays, a_request_above_the_query_buffer_limit_is_refused_before_its_bytes);
    tcase_add_test(arrays, a_bulk_says_how_much_room_its_request_needs);
    tcase_add_test(arrays, announcing_many_arguments_costs_no_memory);
    tcase_add_loop_test(arrays, arguments_of_a_long_request_are_not_kept_until_it_is_whole, 0, 3);
    tcase_add_test(arrays,
                   a_limit_that_is_lowered_while_a_long_request_comes_in_holds_for_all_of_it);
    tcase_add_test(arrays, a_request_of_many_arguments_is_framed_and_its_memory_given_back);
    tcase_add_test(lines, lines_without_end_are_refused_above_64_kib);
    tcase_add_test(lines, a_line_of_words_is_a_request);
    tcase_add_test(lines, quotes_are_decoded);
    tcase_add_test(lines, unbalanced_quotes_are_refused);
    tcase_add_test(lines, a_line_of_a_thousand_words_is_framed);
    tcase_add_loop_test(random, however_cut_the_requests_are_those_of_the_naive_parser, 0, 10);
    return suite;
}

int main(void)
{
    return test_suite_run(framer_suite());
}
