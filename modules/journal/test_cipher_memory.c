/* Keys and ciphers that are refused memory: what OpenSSL allocates comes by here, and is refused in
 * turn. */
#include "modules/base/os.h"
#include "modules/base/test_suite.h"
#include "modules/journal/cipher.h"
#include "modules/journal/journal_reader.h"
#include "modules/journal/test_key_fixture.h"

#include <openssl/crypto.h>

/* ---- memory that is refused -------------------------------------------------------------------
 */

enum { ONCE = 1, MANY = 1 << 30 };

/* Allocations with a number of first or above, below end, are refused. One thread only. */
static struct {
    uint64_t count, refused, first, end;
} rule;

static bool is_refused(void)
{
    uint64_t number = ++rule.count;

    if (number < rule.first || number >= rule.end) return false;
    rule.refused++;
    return true;
}

static void *give(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return is_refused() ? NULL : malloc(size);
}

static void *give_again(void *block, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return is_refused() ? NULL : realloc(block, size);
}

static void take_back(void *block, const char *file, int line)
{
    (void)file;
    (void)line;
    free(block);
}

static void refuse(uint64_t nth, uint64_t in_a_row)
{
    rule.count = rule.refused = 0;
    rule.first = nth;
    rule.end = nth + in_a_row;
}

/* Whether one was refused since. */
static bool refuse_none(void)
{
    rule.first = rule.end = 0;
    return rule.refused > 0;
}

/* ---- a cipher ---------------------------------------------------------------------------------
 */

static const uint64_t rows[] = { ONCE, MANY };
static const struct slice beside = SLICE_LITERAL("beside"), plain = SLICE_LITERAL("some bytes");
static const uint8_t salt[JOURNAL_SALT_BYTES] = "salt";

enum { PLAIN_BYTES = 10 };

static struct {
    struct journal_key *key;
    uint8_t sealed[PLAIN_BYTES + JOURNAL_TAG_BYTES];
} secret;

/* Each step of a cipher's life; the first error. */
static int seal_and_open(bool *out_is_same)
{
    struct journal_cipher *cipher = NULL;
    uint8_t check[JOURNAL_KEY_CHECK_BYTES], out[PLAIN_BYTES];
    struct slice sealed = slice_of(secret.sealed, sizeof(secret.sealed));
    int rc = journal_key_check(secret.key, 7, check);

    *out_is_same = false;
    if (rc == 0) rc = journal_cipher_create(secret.key, 7, 1, salt, &cipher);
    if (rc == 0) rc = journal_cipher_seal(cipher, 3, beside, plain, secret.sealed);
    if (rc == 0) rc = journal_cipher_open(cipher, 3, beside, sealed, out);
    if (rc == 0) *out_is_same = slice_equal(slice_of(out, sizeof(out)), plain);
    journal_cipher_destroy(cipher);
    return rc;
}

/* The library's own beginning does not survive want of memory (3.0 uses a lock that it could not
 * make), and is a matter of the process's start. */
static void begin_openssl(void)
{
    bool is_same;

    ck_assert_int_eq(seal_and_open(&is_same), 0);
    ck_assert(is_same);
}

static void setup_secret(void)
{
    setup_in_memory();
    use_key(SOME_KEY);
    ck_assert_int_eq(journal_key_load(os_real(), key_path, &secret.key), 0);
    begin_openssl();
}

static void teardown_secret(void)
{
    (void)refuse_none();
    journal_key_destroy(secret.key);
    remove_key();
    teardown();
}

/* Want of memory is never taken for damage, or a wrong key. _i 1: and all behind it. */
START_TEST(each_allocation_of_a_cipher_may_be_refused)
{
    unsigned failures = 0;
    bool was_refused = true, is_same;

    for (uint64_t nth = 1; was_refused; nth++) {
        int rc;

        refuse(nth, rows[_i]);
        rc = seal_and_open(&is_same);
        was_refused = refuse_none();
        if (rc < 0) {
            ck_assert(was_refused);
            ck_assert_int_eq(rc, -ENOMEM);
            failures++;
        } else {
            ck_assert(is_same);
        }
        ck_assert_int_eq(seal_and_open(&is_same), 0); /* there is memory again */
        ck_assert(is_same);
    }
    ck_assert_uint_gt(failures, 3);
}
END_TEST

static struct journal_cipher *new_cipher(void)
{
    struct journal_cipher *cipher;

    ck_assert_int_eq(journal_cipher_create(secret.key, 7, 1, salt, &cipher), 0);
    return cipher;
}

static int seal(struct journal_cipher *cipher)
{
    memset(secret.sealed, 0, sizeof(secret.sealed));
    return journal_cipher_seal(cipher, 3, beside, plain, secret.sealed);
}

static int open_sealed(struct journal_cipher *cipher)
{
    struct slice sealed = slice_of(secret.sealed, sizeof(secret.sealed));
    uint8_t out[PLAIN_BYTES];
    int rc = journal_cipher_open(cipher, 3, beside, sealed, out);

    if (rc == 0) ck_assert(slice_equal(slice_of(out, sizeof(out)), plain));
    return rc;
}

static int (*const uses[])(struct journal_cipher *cipher) = { seal, open_sealed };

/* Its first use allocates. Bits of _i: seal or open; and all behind it. */
START_TEST(a_cipher_that_was_refused_memory_goes_on)
{
    int (*use)(struct journal_cipher *) = uses[_i % 2];
    unsigned failures = 0;
    bool was_refused = true;

    for (uint64_t nth = 1; was_refused; nth++) {
        struct journal_cipher *cipher = new_cipher();
        int rc;

        refuse(nth, rows[_i / 2]);
        rc = use(cipher);
        was_refused = refuse_none();
        if (rc < 0) {
            ck_assert(was_refused);
            ck_assert_int_eq(rc, -ENOMEM);
            ck_assert_int_eq(use(cipher), 0);
            failures++;
        }
        ck_assert_int_eq(open_sealed(cipher), 0);
        journal_cipher_destroy(cipher);
    }
    ck_assert_uint_gt(failures, 0);
}
END_TEST

/* ---- a journal --------------------------------------------------------------------------------
 */

START_TEST(each_allocation_of_opening_may_be_refused)
{
    unsigned failures = 0;
    bool was_refused = true;

    for (uint64_t nth = 1; was_refused; nth++) {
        int rc;

        refuse(nth, rows[_i]);
        rc = try_open();
        was_refused = refuse_none();
        if (rc < 0) {
            ck_assert_int_eq(rc, -ENOMEM);
            ck_assert_ptr_null(fixture.journal);
            failures++;
            open_journal();
        }
        append_many(1);
        close_journal();
        expect_all(1, fixture.next);
        if (nth % 2 == 1) continue;
        journal_reader_close(fixture.reader); /* the next one is made anew, or is there */
        fixture.reader = NULL;
        remove_files(fixture.path);
        fixture.next = 1;
    }
    ck_assert_uint_gt(failures, 3);
    open_journal(); /* the fixture removes one */
}
END_TEST

/* The segment stays plain, and is packed later. */
START_TEST(each_allocation_of_packing_may_be_refused)
{
    unsigned failures = 0;
    bool was_refused = true;

    open_journal();
    for (uint64_t nth = 1; was_refused; nth++) {
        uint64_t number = active_number();

        refuse(nth, rows[_i]);
        fill_segments(1);
        was_refused = refuse_none();
        ck_assert(file_exists(number, "log") || file_exists(number, "pak"));
        failures += file_exists(number, "log");
    }
    ck_assert_uint_gt(failures, 3);
    fill_segments(2);
    for (uint64_t number = 1; number < active_number(); number++)
        ck_assert(file_exists(number, "pak") && !file_exists(number, "log"));
    expect_all(1, fixture.next);
}
END_TEST

/* Reading tells of it, and goes on from there. */
START_TEST(each_allocation_of_reading_may_be_refused)
{
    struct journal_entry entry = { 0 };
    unsigned failures = 0;
    bool was_refused = true;

    open_journal();
    fill_segments(1);
    ck_assert(file_exists(1, "pak"));
    for (uint64_t nth = 1; was_refused; nth++) {
        int rc;

        refuse(nth, rows[_i]);
        journal_reader_close(fixture.reader);
        fixture.reader = NULL;
        rc = journal_reader_open(os_real(), fixture.path, &fixture.reader);
        if (rc == 0) rc = journal_reader_next(fixture.reader, &entry);
        was_refused = refuse_none();
        if (rc == 1) {
            expect_frame(&entry, 1);
        } else {
            ck_assert_int_eq(rc, -ENOMEM);
            failures++;
            if (fixture.reader) expect_frames(1, 3);
        }
        expect_all(1, fixture.next);
    }
    ck_assert_uint_gt(failures, 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ciphers without memory");
    TCase *cases = test_suite_case(suite, "all", setup_secret, teardown_secret);

    /* Before OpenSSL has allocated anything. */
    if (CRYPTO_set_mem_functions(give, give_again, take_back) != 1) return EXIT_FAILURE;
    tcase_add_loop_test(cases, each_allocation_of_a_cipher_may_be_refused, 0, 2);
    tcase_add_loop_test(cases, a_cipher_that_was_refused_memory_goes_on, 0, 4);
    tcase_add_loop_test(cases, each_allocation_of_opening_may_be_refused, 0, 2);
    tcase_add_loop_test(cases, each_allocation_of_packing_may_be_refused, 0, 2);
    tcase_add_loop_test(cases, each_allocation_of_reading_may_be_refused, 0, 2);
    return test_suite_run(suite);
}
