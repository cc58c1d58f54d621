#include "modules/base/test_suite.h"
#include "server/types/stream_settings.h"

#include "modules/journal/journal.h"
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct stream_settings some = {
    .has = { [RETENTION_AGE] = true, [RETENTION_LENGTH] = true, [RETENTION_COMPRESS] = true },
    .values = { [RETENTION_AGE] = 604800000, [RETENTION_COMPRESS] = JOURNAL_CODEC_LZ4 },
};

static int load(const uint8_t *image, size_t size, struct stream_settings *out_settings)
{
    uint8_t *exact = malloc(size ? size : 1);
    int rc;

    ck_assert_ptr_nonnull(exact);
    memcpy(exact, image, size);
    rc = stream_settings_image_load(slice_of(exact, size), out_settings);
    free(exact);
    return rc;
}

START_TEST(what_is_written_is_read)
{
    uint8_t image[STREAM_SETTINGS_IMAGE_BYTES];
    struct stream_settings settings = { .has = { true } };

    ck_assert(!stream_settings_are_default(&some));
    stream_settings_image_write(&some, image);
    ck_assert_int_eq(load(image, sizeof(image), &settings), 0);
    for (unsigned i = 0; i < RETENTION_SETTINGS; i++) {
        ck_assert(settings.has[i] == some.has[i]);
        ck_assert_uint_eq(settings.values[i], some.values[i]);
    }
    stream_settings_image_write(&(struct stream_settings){ .values = { 0 } }, image);
    ck_assert_int_eq(load(image, sizeof(image), &settings), 0);
    ck_assert(stream_settings_are_default(&settings));
}
END_TEST

START_TEST(a_cut_image_is_refused)
{
    uint8_t image[STREAM_SETTINGS_IMAGE_BYTES];
    struct stream_settings settings;

    stream_settings_image_write(&some, image);
    for (size_t size = 0; size < sizeof(image); size++)
        ck_assert_int_eq(load(image, size, &settings), -EBADMSG);
}
END_TEST

START_TEST(an_image_that_says_what_cannot_be_is_refused)
{
    uint8_t image[STREAM_SETTINGS_IMAGE_BYTES];
    struct stream_settings settings;

    stream_settings_image_write(&some, image);
    image[0] ^= 4;
    ck_assert_int_eq(load(image, sizeof(image), &settings), -EPROTONOSUPPORT);
    image[0] ^= 4;
    image[2] |= 16; /* a setting that there is not */
    ck_assert_int_eq(load(image, sizeof(image), &settings), -EBADMSG);
    image[2] ^= 16;
    image[4] = 1;
    ck_assert_int_eq(load(image, sizeof(image), &settings), -EBADMSG);
    image[4] = 0;
    image[8] = 1; /* of bytes, which it has not */
    ck_assert_int_eq(load(image, sizeof(image), &settings), -EBADMSG);
    image[8] = 0;
    image[23] = 0x80; /* an age that no answer could tell */
    ck_assert_int_eq(load(image, sizeof(image), &settings), -EBADMSG);
    image[23] = 0;
    image[32] = 3; /* a codec that there is not */
    ck_assert_int_eq(load(image, sizeof(image), &settings), -EBADMSG);
    image[32] = 2;
    ck_assert_int_eq(load(image, sizeof(image), &settings), 0);
}
END_TEST

START_TEST(an_image_from_before_there_were_codecs_is_read)
{
    enum { BYTES = 32 };
    static const struct stream_settings limits = {
        .has = { [RETENTION_AGE] = true, [RETENTION_LENGTH] = true },
        .values = { [RETENTION_AGE] = 604800000 },
    };
    uint8_t image[STREAM_SETTINGS_IMAGE_BYTES];
    struct stream_settings settings;

    stream_settings_image_write(&limits, image);
    image[0] = 1;
    ck_assert_int_eq(load(image, BYTES, &settings), 0);
    ck_assert(!settings.has[RETENTION_COMPRESS] && settings.has[RETENTION_LENGTH]);
    ck_assert_uint_eq(settings.values[RETENTION_AGE], 604800000);
    ck_assert_int_eq(load(image, sizeof(image), &settings), -EBADMSG);
    image[2] |= 8;
    ck_assert_int_eq(load(image, BYTES, &settings), -EBADMSG);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("settings of streams");
    TCase *cases = test_suite_case(suite, "image", NULL, NULL);

    tcase_add_test(cases, what_is_written_is_read);
    tcase_add_test(cases, a_cut_image_is_refused);
    tcase_add_test(cases, an_image_that_says_what_cannot_be_is_refused);
    tcase_add_test(cases, an_image_from_before_there_were_codecs_is_read);
    return test_suite_run(suite);
}
