/* test_image.h - the image that was written last. */
#ifndef MODULES_STREAM_TEST_IMAGE_H
#define MODULES_STREAM_TEST_IMAGE_H
#include "modules/stream/stream.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct {
    uint8_t *bytes; /* a block of just that size; who takes it leaves NULL */
    size_t size, capacity;
} image;

static inline void put_image(void *context, struct slice piece)
{
    (void)context;
    ck_assert_uint_le(image.size + piece.size, image.capacity);
    memcpy(image.bytes + image.size, piece.bytes, piece.size);
    image.size += piece.size;
}

/* What is put then is the image, of so many bytes. */
static inline void begin_image(uint64_t size)
{
    free(image.bytes);
    image.capacity = size;
    image.size = 0;
    image.bytes = malloc(image.capacity);
    ck_assert_ptr_nonnull(image.bytes);
}

static inline void write_image(const struct stream *from)
{
    begin_image(stream_image_size(from));
    stream_image_write(from, put_image, NULL);
    ck_assert_uint_eq(image.size, image.capacity);
}

static inline void drop_image(void)
{
    free(image.bytes);
    image.bytes = NULL;
}
#endif
