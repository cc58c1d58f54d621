/* Reading a segment when memory is refused or a system call fails: it is told, nothing stays open
 * or allocated (LeakSanitizer looks at the latter), and the next attempt reads the same bytes.
 *
 * The program is linked with --wrap for malloc and calloc (see the Makefile). */
#include "modules/journal/source.h"
#include "modules/journal/test_journal_fixture.h"

enum {
    READ_BYTES = 20000, /* from the segment's header on */
    CODECS = JOURNAL_CODEC_ZSTD + 1,
};

static const int errors[] = { EIO, ENOMEM, EINTR };

static struct {
    struct journal_places places;
    uint8_t bytes[READ_BYTES];
} own;

/* ---- memory -----------------------------------------------------------------------------------
 */

static uint64_t allocations, refused_allocation; /* the latter by its number; 0: none */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_malloc(size_t size)
{
    return ++allocations == refused_allocation ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return ++allocations == refused_allocation ? NULL : __real_calloc(count, size);
}

/* ---- the fixture ------------------------------------------------------------------------------
 */

/* Segment 1 of a journal that packs with the codec; plain without one. */
static void make_segment(int codec)
{
    struct journal_settings none = { 0 };

    fixture.options.settings.codec = (enum journal_codec)codec;
    fixture.is_text = true;
    open_journal();
    fill_segments(1);
    ck_assert_int_eq(journal_places_init(&own.places, fixture.path, info_now().id, &none), 0);
    close_journal();
    ck_assert(file_exists(1, codec == JOURNAL_CODEC_NONE ? "log" : "pak"));
}

static void tear_down(void)
{
    journal_places_finish(&own.places);
    teardown();
}

/* In two parts, of which the second is another window. */
static int read_segment(uint8_t *bytes)
{
    struct journal_source *source;
    const uint8_t *view;
    int rc = journal_source_open(fault_os(fixture.fault), &own.places, 1, &source);

    if (rc < 0) return rc;
    for (size_t at = 0; at < READ_BYTES && rc == 0; at += READ_BYTES / 2) {
        rc = journal_source_view(source, at, READ_BYTES / 2, &view);
        if (rc == 0) memcpy(bytes + at, view, READ_BYTES / 2);
    }
    journal_source_close(source);
    return rc;
}

static void expect_same(void)
{
    static uint8_t bytes[READ_BYTES];

    memset(bytes, 0, sizeof(bytes));
    ck_assert_int_eq(read_segment(bytes), 0);
    ck_assert_mem_eq(bytes, own.bytes, READ_BYTES);
}

static int lowest_descriptor(void)
{
    int fd = open("/dev/null", O_RDONLY), number = fd;

    ck_assert_int_eq(close(fd), 0);
    return number;
}

/* ---- tests ------------------------------------------------------------------------------------
 */

START_TEST(each_allocation_may_be_refused)
{
    static uint8_t bytes[READ_BYTES];
    int descriptor;
    uint64_t nth;

    make_segment(_i);
    ck_assert_int_eq(read_segment(own.bytes), 0);
    descriptor = lowest_descriptor();
    for (nth = 1;; nth++) {
        int rc;

        allocations = 0;
        refused_allocation = nth;
        rc = read_segment(bytes);
        refused_allocation = 0;
        ck_assert_int_eq(rc, allocations >= nth ? -ENOMEM : 0);
        ck_assert_int_eq(lowest_descriptor(), descriptor);
        expect_same();
        if (rc == 0) break;
    }
    ck_assert_uint_gt(nth, 3); /* a path or two, the source, the segment */
}
END_TEST

START_TEST(each_system_call_may_fail)
{
    static uint8_t bytes[READ_BYTES];
    int codec = _i % CODECS, error = errors[_i / CODECS];
    bool has_fired = true;
    unsigned failures = 0;
    int descriptor;

    make_segment(codec);
    ck_assert_int_eq(read_segment(own.bytes), 0);
    descriptor = lowest_descriptor();
    for (uint64_t nth = 1; has_fired; nth++) {
        int rc;

        fault_fail(fixture.fault, FAULT_ANY, nth, error, FAULT_ONCE);
        rc = read_segment(bytes);
        has_fired = fault_fired(fixture.fault) > 0;
        fault_clear(fixture.fault);
        ck_assert(rc == 0 || (has_fired && rc == -error));
        failures += rc < 0;
        ck_assert_int_eq(lowest_descriptor(), descriptor);
        expect_same();
    }
    ck_assert_uint_gt(failures, 2); /* opened, its size, mapped or read; closing tells nothing */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sources of segments");
    TCase *cases = test_suite_case(suite, "all", setup_in_memory, tear_down);

    tcase_add_loop_test(cases, each_allocation_may_be_refused, 0, CODECS);
    tcase_add_loop_test(cases, each_system_call_may_fail, 0,
                        CODECS * (int)(sizeof(errors) / sizeof(*errors)));
    return test_suite_run(suite);
}
