/* A small journal with each byte flipped, each block zeroed, each file of each length: opening it
 * is refused, or shows all that was synced and no wrong data. */
#include "modules/journal/test_journal_fixture.h"

enum {
    SMALL_LARGE = 4,
    SMALL_SYNCED = 9,
    SMALL_NEXT = 13,
    COPY_BYTES = 128 << 10,
    LARGE_BYTES = 64600
};

struct copy {
    char file[400];
    uint8_t *bytes;
    size_t size;
};

static struct copy copies[8];
static unsigned copy_count;

static void keep_copies(void)
{
    struct dirent *entry;
    DIR *dir = opendir(fixture.path);

    copy_count = 0;
    while ((entry = readdir(dir)) != NULL) {
        struct copy *copy = &copies[copy_count];
        int fd;
        if (entry->d_name[0] == '.') continue;
        ck_assert_uint_lt(copy_count++, 8);
        (void)snprintf(copy->file, sizeof(copy->file), "%s/%s", fixture.path, entry->d_name);
        fd = open(copy->file, O_RDONLY);
        copy->bytes = malloc(COPY_BYTES);
        copy->size = (size_t)read(fd, copy->bytes, COPY_BYTES);
        ck_assert_uint_lt(copy->size, COPY_BYTES);
        close(fd);
    }
    closedir(dir);
}

static void free_copies(void)
{
    for (unsigned i = 0; i < copy_count; i++)
        free(copies[i].bytes);
}

static void put_back(const struct copy *copy, size_t size)
{
    int fd = open(copy->file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, copy->bytes, size), (ssize_t)size);
    close(fd);
}

static void put_all_back(void)
{
    remove_files(fixture.path);
    ck_assert_int_eq(mkdir(fixture.path, 0700), 0);
    for (unsigned i = 0; i < copy_count; i++)
        put_back(&copies[i], copies[i].size);
}

/* Two segments: a large frame and some small ones, an end, some small ones; half of them synced. */
static void make_small_store(void)
{
    uint8_t *large = calloc(1, LARGE_BYTES);
    struct slice part = slice_of(large, LARGE_BYTES);

    open_journal();
    append_many(SMALL_LARGE - 1);
    ck_assert_int_eq(append_slices(fixture.next++, &part, 1), 0);
    append_many(SMALL_SYNCED - fixture.next);
    sync_all();
    append_many(SMALL_NEXT - fixture.next);
    ck_assert_uint_eq(info_now().roll_count, 1);
    close_journal();
    free(large);
    forget_boot();
    keep_copies();
}

/* What a reader sees, if anything, is frames from the first on; the number of the one that is not
 * there. */
static uint64_t expect_prefix(void)
{
    struct journal_entry entry;
    uint64_t number = 1;
    int rc;

    for (; (rc = journal_reader_next(fixture.reader, &entry)) == 1; number++) {
        ck_assert_uint_lt(number, SMALL_NEXT);
        ck_assert_uint_eq(entry.time_ms, number);
        if (number != SMALL_LARGE) expect_frame(&entry, number);
    }
    ck_assert_msg(rc == 0 || rc == -EBADMSG || rc == -EPROTONOSUPPORT, "%d", rc);
    return number;
}

/* Opens what was damaged: refusal, or all that was synced and no wrong data. */
static void expect_refusal_or_prefix(unsigned *refused)
{
    uint64_t end;
    int rc = journal_reader_open(os_real(), fixture.path, &fixture.reader);

    if (rc == 0) (void)expect_prefix();
    journal_reader_close(fixture.reader);
    fixture.reader = NULL;
    rc = try_open();
    if (rc < 0) {
        ck_assert_msg(rc == -EBADMSG || rc == -EPROTONOSUPPORT, "%d", rc);
        ++*refused;
        return;
    }
    open_reader();
    end = expect_prefix();
    ck_assert_uint_ge(end, SMALL_SYNCED);
    fixture.next = SMALL_NEXT; /* it goes on */
    append_many(1);
    close_journal();
    journal_reader_close(fixture.reader);
    fixture.reader = NULL;
}

/* The next place to try: each byte, but long zeros and the large payload in strides. */
static size_t next_place(const struct copy *copy, size_t at, size_t stride)
{
    static const uint8_t zeros[64];

    if (at + stride + sizeof(zeros) > copy->size) return at + 1;
    for (size_t i = at; i < at + stride; i += sizeof(zeros)) {
        if (memcmp(copy->bytes + i, zeros, sizeof(zeros)) != 0) return at + 1;
    }
    return at + stride;
}

START_TEST(no_flipped_byte_makes_wrong_data)
{
    unsigned refused = 0, tries = 0;

    fixture.options.verifies_all = true;
    make_small_store();
    for (unsigned i = 0; i < copy_count; i++) {
        for (size_t at = 0; at < copies[i].size; at = next_place(&copies[i], at, 960)) {
            put_all_back();
            copies[i].bytes[at] ^= (uint8_t)(1u << (at % 8));
            put_back(&copies[i], copies[i].size);
            expect_refusal_or_prefix(&refused);
            copies[i].bytes[at] ^= (uint8_t)(1u << (at % 8));
            tries++;
        }
    }
    ck_assert_uint_gt(tries, 1000);
    ck_assert_uint_gt(refused, 500);
    ck_assert_uint_lt(refused, tries);
    free_copies();
}
END_TEST

START_TEST(no_zeroed_block_makes_wrong_data)
{
    enum { BLOCK = 512 };
    unsigned refused = 0;

    fixture.options.verifies_all = true;
    make_small_store();
    for (unsigned i = 0; i < copy_count; i++) {
        for (size_t at = 0; at < copies[i].size; at += BLOCK) {
            uint8_t kept[BLOCK];
            size_t size = copies[i].size - at < BLOCK ? copies[i].size - at : BLOCK;
            put_all_back();
            memcpy(kept, copies[i].bytes + at, size);
            memset(copies[i].bytes + at, 0, size);
            put_back(&copies[i], copies[i].size);
            expect_refusal_or_prefix(&refused);
            memcpy(copies[i].bytes + at, kept, size);
        }
    }
    ck_assert_uint_gt(refused, 0);
    free_copies();
}
END_TEST

START_TEST(no_length_of_a_file_makes_wrong_data)
{
    unsigned refused = 0;

    fixture.options.verifies_all = true;
    make_small_store();
    for (unsigned i = 0; i < copy_count; i++) {
        for (size_t size = 0; size < copies[i].size; size = next_place(&copies[i], size, 960) + 3) {
            put_all_back();
            put_back(&copies[i], size);
            expect_refusal_or_prefix(&refused);
        }
    }
    ck_assert_uint_gt(refused, 0);
    free_copies();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("damaged bytes of journals");
    TCase *cases = test_suite_case(suite, "all", setup_in_memory, teardown);

    tcase_add_test(cases, no_flipped_byte_makes_wrong_data);
    tcase_add_test(cases, no_zeroed_block_makes_wrong_data);
    tcase_add_test(cases, no_length_of_a_file_makes_wrong_data);
    return test_suite_run(suite);
}
