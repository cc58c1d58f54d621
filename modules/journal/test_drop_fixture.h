/* test_drop_fixture.h - a journal of frames that tell their numbers, so that most can be dropped.
 */
#ifndef MODULES_JOURNAL_TEST_DROP_FIXTURE_H
#define MODULES_JOURNAL_TEST_DROP_FIXTURE_H
#include "modules/journal/test_journal_fixture.h"

enum { KEPT_EVERY = 7, NOTE = 4711 };

/* Of the frames below limit those stay whose numbers can be divided by kept_every. */
static struct {
    uint64_t limit, kept_every;
    struct journal_packed_segment told[64]; /* by number */
} drop;

static inline void note_packed(void *context, const struct journal_packed_segment *segment)
{
    (void)context;
    ck_assert_uint_lt(segment->number, 64);
    drop.told[segment->number] = *segment;
}

/* Payloads begin with the frame's number. */
static inline bool is_dropped(const void *context, uint64_t head)
{
    (void)context;
    return head > 0 && head < drop.limit && head % drop.kept_every != 0;
}

static inline int append_numbered(uint64_t size)
{
    uint8_t number[8];
    static uint8_t rest[100000];
    struct slice parts[2] = { slice_of(number, sizeof(number)), slice_of(rest, size) };
    int rc;

    for (unsigned i = 0; i < sizeof(number); i++)
        number[i] = (uint8_t)(fixture.next >> 8 * i);
    memset(rest, (int)('a' + fixture.next % 26), size);
    rc = append_slices(fixture.next, parts, 2);
    if (rc == 0) fixture.next++;
    return rc;
}

static inline uint64_t size_of(uint64_t number)
{
    return number % 97 == 0 ? 70000 : number * 31 % 300;
}

/* Appends until so many segments have ended, and brings all to the device. */
static inline void fill(unsigned count)
{
    uint64_t stop = active_number() + count;

    while (active_number() < stop)
        ck_assert_int_eq(append_numbered(size_of(fixture.next)), 0);
    sync_all();
}

static inline void open_with(enum journal_codec codec)
{
    memset(&drop, 0, sizeof(drop));
    drop.kept_every = KEPT_EVERY;
    fixture.options.settings.codec = codec;
    fixture.options.on_packed = note_packed;
    open_journal();
}

static inline int try_drop(uint64_t number, uint64_t limit)
{
    struct journal_dropping dropping = {
        .number = number, .codec = JOURNAL_CODEC_LZ4, .note = NOTE, .is_dropped = is_dropped
    };

    drop.limit = limit;
    return journal_drop_frames(fixture.journal, &dropping);
}

static inline void drop_below(uint64_t limit)
{
    for (uint64_t number = 1; number < active_number(); number++) {
        ck_assert_int_eq(try_drop(number, limit), 0);
        ck_assert(journal_is_dropping(fixture.journal));
        settle();
        ck_assert(!journal_is_dropping(fixture.journal));
        ck_assert_uint_eq(drop.told[number].note, NOTE);
    }
}

static inline uint64_t next_kept(uint64_t number, uint64_t limit)
{
    while (number < limit && number % drop.kept_every != 0)
        number++;
    return number;
}

static inline void expect_numbered(const struct journal_entry *entry, uint64_t number)
{
    ck_assert_uint_eq(entry->time_ms, number);
    ck_assert_uint_eq(entry->payload.size, 8 + size_of(number));
    for (size_t i = 8; i < entry->payload.size; i += 61)
        ck_assert_uint_eq(entry->payload.bytes[i], 'a' + number % 26);
}

/* A reader of its own sees what is kept, both ways. */
static inline void expect_kept(uint64_t limit)
{
    struct journal_entry entry;
    uint64_t last = 0, number;

    open_reader();
    for (number = next_kept(1, limit); number < fixture.next;
         number = next_kept(number + 1, limit)) {
        ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), 1);
        expect_numbered(&entry, number);
        last = number;
    }
    ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), 0);
    for (number = last; number > 0; number--) {
        if (next_kept(number, limit) != number) continue;
        ck_assert_int_eq(journal_reader_previous(fixture.reader, &entry), 1);
        expect_numbered(&entry, number);
    }
    ck_assert_int_eq(journal_reader_previous(fixture.reader, &entry), 0);
    journal_reader_close(fixture.reader);
    fixture.reader = NULL;
}
#endif
