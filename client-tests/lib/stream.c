#include "client-tests/lib/stream.h"
#include "client-tests/lib/command.h"
#include <stdio.h>
#include <string.h>

enum { VALUES = 40, FILL_ELEMENTS_MAX = 64, ELEMENT_BYTES_MAX = 8192 };

void stream_init(struct stream *stream, uint64_t seed, long length_wanted)
{
    *stream = (struct stream){ .random = { seed }, .length_wanted = length_wanted };
}

static unsigned below(struct stream *stream, unsigned bound)
{
    return random_below(&stream->random, bound);
}

static bool percent(struct stream *stream, unsigned share)
{
    return random_percent(&stream->random, share);
}

/* ---- arguments ---------------------------------------------------------------------------------
 */

/* One of VALUES elements, each of a size that its number decides: 1 byte to several KB, so that
 * elements repeat (LREM, LPOS and LINSERT find some) and are of every size. */
static void add_value_numbered(struct text *command, unsigned value)
{
    static const unsigned small[] = {
        1, 2, 5, 9, 10, 11, 16, 31, 62, 63, 64, 65, 100, 127, 128, 129
    };
    unsigned size = small[value % 16];
    char bytes[ELEMENT_BYTES_MAX];
    struct random content = { value };

    if (value % 8 == 3) size = 200 + value * 11;
    if (value % 16 == 6) size = 500 + value;
    if (value == 38) size = 4090;
    if (value == 39) size = 7000;
    for (unsigned i = 0; i < size; i++)
        bytes[i] = (char)('a' + random_below(&content, 26));
    if (value % 5 == 0) bytes[size / 2] = '\r'; /* any byte may be in an element */
    if (value % 7 == 0) bytes[size - 1] = '\0';
    if (value < 10) { /* small integers may be stored in a form of their own */
        size = (unsigned)snprintf(bytes, sizeof(bytes), "%u", value * 1000);
    }
    command_add(command, bytes, size);
}

static void add_value(struct stream *stream, struct text *command)
{
    /* The largest rarely: they would be most of the bytes. */
    unsigned value = below(stream, percent(stream, 10) ? VALUES : VALUES - 2);

    add_value_numbered(command, value);
}

static void add_missing(struct text *command)
{
    command_add_string(command, "never pushed");
}

static void add_key_numbered(struct text *command, int key)
{
    char name[16];

    (void)snprintf(name, sizeof(name), "k%d", key);
    command_add_string(command, name);
}

static int add_key(struct stream *stream, struct text *command)
{
    int key = (int)below(stream, STREAM_KEYS);

    if (percent(stream, 2)) {
        command_add_string(command, percent(stream, 50) ? "a string" : "nothing");
    } else {
        add_key_numbered(command, key);
    }
    return key;
}

/* An index of the list, from either end, now and then outside. */
static void add_index(struct stream *stream, struct text *command, int key)
{
    long length = stream->lengths[key] > 0 ? stream->lengths[key] : 1;
    long index = (long)below(stream, (unsigned)length);

    if (percent(stream, 3)) index += length;
    command_add_number(command, percent(stream, 40) ? -index - 1 : index);
}

static void add_end(struct stream *stream, struct text *command)
{
    command_add_string(command, percent(stream, 50) ? "LEFT" : "RIGHT");
}

/* ---- families ----------------------------------------------------------------------------------
 */

static void make_push(struct stream *stream, struct text *command)
{
    static const char *const names[] = { "LPUSH", "RPUSH", "LPUSHX", "RPUSHX" };
    unsigned count = percent(stream, 20) ? 1 + below(stream, 12) : 1;

    command_begin(command, 2 + (int)count);
    command_add_string(command, names[below(stream, percent(stream, 20) ? 4 : 2)]);
    (void)add_key(stream, command);
    for (unsigned i = 0; i < count; i++)
        add_value(stream, command);
}

static void make_pop(struct stream *stream, struct text *command)
{
    bool counts = percent(stream, 50);

    command_begin(command, counts ? 3 : 2);
    command_add_string(command, percent(stream, 50) ? "LPOP" : "RPOP");
    (void)add_key(stream, command);
    if (counts) command_add_number(command, percent(stream, 5) ? -1L : (long)below(stream, 20));
}

static void make_mpop(struct stream *stream, struct text *command)
{
    int key_count = 1 + (int)below(stream, 3);
    bool counts = percent(stream, 60), blocking = percent(stream, 40);

    /* The blocking form finds something: the first key always has elements, or it is an error. */
    command_begin(command, 3 + key_count + (counts ? 2 : 0) + (blocking ? 1 : 0));
    command_add_string(command, blocking ? "BLMPOP" : "LMPOP");
    if (blocking) command_add_string(command, percent(stream, 5) ? "-1" : "0");
    command_add_number(command, percent(stream, 4) ? 0L : key_count);
    for (int i = 0; i < key_count; i++)
        add_key_numbered(command, (int)below(stream, STREAM_KEYS));
    add_end(stream, command);
    if (!counts) return;
    command_add_string(command, "COUNT");
    command_add_number(command, percent(stream, 4) ? 0L : 1 + (long)below(stream, 30));
}

static void make_move(struct stream *stream, struct text *command)
{
    int from = (int)below(stream, STREAM_KEYS), to = (int)below(stream, STREAM_KEYS);
    unsigned form = below(stream, 4);
    static const char *const names[] = { "LMOVE", "RPOPLPUSH", "BLMOVE", "BRPOPLPUSH" };

    command_begin(command, 3 + (form % 2 == 0 ? 2 : 0) + (form >= 2 ? 1 : 0));
    command_add_string(command, names[form]);
    add_key_numbered(command, from);
    add_key_numbered(command, to);
    if (form % 2 == 0) {
        add_end(stream, command);
        add_end(stream, command);
    }
    if (form >= 2) command_add_string(command, "0");
}

static void make_index(struct stream *stream, struct text *command)
{
    int key;

    command_begin(command, 3);
    command_add_string(command, "LINDEX");
    key = add_key(stream, command);
    add_index(stream, command, key);
}

static void make_set(struct stream *stream, struct text *command)
{
    int key;

    command_begin(command, 4);
    command_add_string(command, "LSET");
    key = add_key(stream, command);
    add_index(stream, command, key);
    add_value(stream, command);
}

static void make_range(struct stream *stream, struct text *command)
{
    int key;
    long length, start;

    command_begin(command, 4);
    command_add_string(command, "LRANGE");
    key = add_key(stream, command);
    if (percent(stream, 4)) {
        command_add_string(command, "0");
        command_add_string(command, "-1");
        return;
    }
    length = stream->lengths[key] > 0 ? stream->lengths[key] : 1;
    start = (long)below(stream, (unsigned)length);
    if (percent(stream, 40)) start -= length;
    command_add_number(command, start);
    command_add_number(command, start + (long)below(stream, 120) - 2);
}

static void make_insert(struct stream *stream, struct text *command)
{
    command_begin(command, 5);
    command_add_string(command, "LINSERT");
    (void)add_key(stream, command);
    command_add_string(command, percent(stream, 50) ? "BEFORE" : "AFTER");
    if (percent(stream, 15)) {
        add_missing(command);
    } else {
        add_value(stream, command);
    }
    add_value(stream, command);
}

static void make_remove(struct stream *stream, struct text *command)
{
    static const long counts[] = { 0, 1, -1, 2, -3, 10, -10 };

    command_begin(command, 4);
    command_add_string(command, "LREM");
    (void)add_key(stream, command);
    command_add_number(command, counts[below(stream, percent(stream, 20) ? 7 : 3)]);
    if (percent(stream, 15)) {
        add_missing(command);
    } else {
        add_value(stream, command);
    }
}

static void make_position(struct stream *stream, struct text *command)
{
    static const long ranks[] = { 1, -1, 2, -2, 5, -7, 100, 0 };
    static const long counts[] = { 0, 1, 2, 3, 1000, -1 };
    static const long lengths[] = { 0, 1, 10, 1000, 100000, -1 };
    unsigned options = below(stream, 8);
    int argument_count = 3;

    for (unsigned bit = 1; bit < 8; bit <<= 1)
        argument_count += options & bit ? 2 : 0;
    command_begin(command, argument_count);
    command_add_string(command, "LPOS");
    (void)add_key(stream, command);
    if (percent(stream, 20)) {
        add_missing(command);
    } else {
        add_value(stream, command);
    }
    if (options & 1) {
        command_add_string(command, "RANK");
        command_add_number(command, ranks[below(stream, percent(stream, 10) ? 8 : 7)]);
    }
    if (options & 2) {
        command_add_string(command, "COUNT");
        command_add_number(command, counts[below(stream, percent(stream, 10) ? 6 : 5)]);
    }
    if (options & 4) {
        command_add_string(command, "MAXLEN");
        command_add_number(command, lengths[below(stream, percent(stream, 10) ? 6 : 5)]);
    }
}

static void make_trim(struct stream *stream, struct text *command)
{
    int key = (int)below(stream, STREAM_KEYS);
    long length = stream->lengths[key], keep = stream->length_wanted;

    command_begin(command, 4);
    command_add_string(command, "LTRIM");
    add_key_numbered(command, key);
    if (length > keep + keep / 2) { /* grown too long: cut somewhere inside */
        long start = (long)below(stream, (unsigned)(length - keep));
        command_add_number(command, start);
        command_add_number(command, start + keep - 1);
    } else if (percent(stream, 3)) { /* and now and then all of it goes */
        command_add_number(command, 5);
        command_add_number(command, 4);
    } else {
        command_add_number(command, (long)below(stream, 10));
        command_add_number(command, -1 - (long)below(stream, 10));
    }
}

static void make_small(struct stream *stream, struct text *command)
{
    static const char *const names[] = { "LLEN", "TYPE", "EXISTS", "TTL", "TOUCH", "PERSIST" };

    command_begin(command, 2);
    command_add_string(command, names[below(stream, 6)]);
    (void)add_key(stream, command);
}

static void make_whole(struct stream *stream, struct text *command)
{
    int from = (int)below(stream, STREAM_KEYS), to = (int)below(stream, STREAM_KEYS);
    unsigned form = below(stream, 10);

    if (form == 0) {
        command_begin(command, 2);
        command_add_string(command, percent(stream, 50) ? "DEL" : "UNLINK");
        add_key_numbered(command, from);
    } else if (form < 5) {
        command_begin(command, 3);
        command_add_string(command, percent(stream, 50) ? "RENAME" : "RENAMENX");
        add_key_numbered(command, from);
        add_key_numbered(command, to);
    } else {
        command_begin(command, 4);
        command_add_string(command, "COPY");
        add_key_numbered(command, from);
        add_key_numbered(command, to);
        command_add_string(command, "REPLACE");
    }
}

/* ---- what the test asks for --------------------------------------------------------------------
 */

bool stream_fill(struct stream *stream, int key, struct text *command)
{
    long missing = stream->length_wanted - stream->lengths[key];
    int count = missing > FILL_ELEMENTS_MAX ? FILL_ELEMENTS_MAX : (int)missing;

    if (missing <= 0) return false;
    command_begin(command, 2 + count);
    command_add_string(command, "RPUSH");
    add_key_numbered(command, key);
    for (int i = 0; i < count; i++)
        add_value(stream, command);
    stream->lengths[key] += count;
    return true;
}

void stream_command(struct stream *stream, struct text *command)
{
    static const struct {
        unsigned weight;
        void (*make)(struct stream *stream, struct text *command);
    } families[] = {
        { 12, make_push },  { 8, make_pop },      { 5, make_mpop },   { 7, make_move },
        { 18, make_index }, { 12, make_set },     { 14, make_range }, { 8, make_insert },
        { 5, make_remove }, { 6, make_position }, { 2, make_trim },   { 2, make_small },
        { 1, make_whole },
    };
    unsigned choice = below(stream, 100);
    size_t i = 0;

    while (choice >= families[i].weight)
        choice -= families[i++].weight; /* the weights add up to 100 */
    families[i].make(stream, command);
}

static void add_wait_key(struct stream *stream, struct text *command)
{
    char name[16];

    (void)snprintf(name, sizeof(name), "w%u", below(stream, STREAM_WAIT_KEYS));
    command_add_string(command, name);
}

void stream_blocking(struct stream *stream, struct text *command)
{
    unsigned form = below(stream, 5);
    int key_count = 1 + (int)below(stream, 3);

    if (form < 2) {
        command_begin(command, 2 + key_count);
        command_add_string(command, form ? "BLPOP" : "BRPOP");
        for (int i = 0; i < key_count; i++)
            add_wait_key(stream, command);
        command_add_string(command, "0");
    } else if (form == 2) {
        command_begin(command, 6 + key_count);
        command_add_string(command, "BLMPOP");
        command_add_string(command, "0");
        command_add_number(command, key_count);
        for (int i = 0; i < key_count; i++)
            add_wait_key(stream, command);
        add_end(stream, command);
        command_add_string(command, "COUNT");
        command_add_number(command, 1 + (long)below(stream, 3));
    } else { /* to another wait key: a chain; or to a long list, whose end may be on disk */
        command_begin(command, 6);
        command_add_string(command, "BLMOVE");
        add_wait_key(stream, command);
        if (form == 3) {
            add_wait_key(stream, command);
        } else {
            add_key_numbered(command, (int)below(stream, STREAM_KEYS));
        }
        add_end(stream, command);
        add_end(stream, command);
        command_add_string(command, "0");
    }
}

void stream_serving(struct stream *stream, struct text *command)
{
    unsigned form = below(stream, 4);
    int count = 1 + (int)below(stream, 4);

    if (form < 3) {
        command_begin(command, 2 + count);
        command_add_string(command, form == 0 ? "LPUSH" : "RPUSH");
        add_wait_key(stream, command);
        for (int i = 0; i < count; i++)
            add_value(stream, command);
    } else { /* from a long list */
        command_begin(command, 5);
        command_add_string(command, "LMOVE");
        add_key_numbered(command, (int)below(stream, STREAM_KEYS));
        add_wait_key(stream, command);
        add_end(stream, command);
        add_end(stream, command);
    }
}

/* What changes nothing, whatever the order: a walk that finds nothing, a look, a refused change. */
static void make_harmless(struct stream *stream, int key, unsigned form, struct text *command)
{
    static const int argument_counts[] = { 4, 5, 3, 2, 3, 2, 4, 4 };
    static const char *const names[] = { "LREM",   "LINSERT", "LPOS",   "LLEN",
                                         "LINDEX", "EXISTS",  "LRANGE", "LSET" };

    command_begin(command, argument_counts[form]);
    command_add_string(command, names[form]);
    add_key_numbered(command, key);
    if (form == 0) command_add_string(command, "0");
    if (form == 1) command_add_string(command, "BEFORE");
    if (form <= 2) add_missing(command);
    if (form == 1) command_add_string(command, "x");
    if (form == 4) add_index(stream, command, key);
    if (form == 6) {
        long start = (long)below(stream, (unsigned)stream->length_wanted);
        command_add_number(command, start);
        command_add_number(command, start + 5);
    }
    if (form == 7) {
        command_add_number(command, 100000000);
        command_add_string(command, "x");
    }
}

void stream_burst(struct stream *stream, int key, int member, unsigned kind, struct text *command)
{
    if (kind % 2 == 0) {
        make_harmless(stream, key, member == 0 ? below(stream, 2) : below(stream, 8), command);
        return;
    }
    if (member % 2 == 0) { /* each removes its own element: their order does not show */
        command_begin(command, 4);
        command_add_string(command, "LREM");
        add_key_numbered(command, key);
        command_add_number(command, member % 4 == 0 ? 2 : -2);
        add_value_numbered(command, (kind + (unsigned)member) % (VALUES - 2));
        return;
    }
    make_harmless(stream, key, (unsigned)(member % 4 == 1 ? 1 : 5), command);
}
