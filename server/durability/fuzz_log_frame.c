/* Any bytes as a frame of the operation log: commands within them, or a refusal; and what a frame
 * is made of comes out of it again. */
#include "server/durability/log_frame.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The commands as one frame: what comes out of that must be the same as went in. */
static void expect_same(const struct log_frame *frame, uint32_t count)
{
    struct log_frame_reader *reader;
    uint8_t *payload = malloc(LOG_FRAME_HEADER_BYTES + frame->size);
    struct slice *arguments;
    uint32_t argument_count, found = 0;
    unsigned database;
    int rc;

    assert(payload);
    log_frame_header(payload, frame->database, frame->count);
    if (frame->size > 0) memcpy(payload + LOG_FRAME_HEADER_BYTES, frame->bytes, frame->size);
    rc = log_frame_reader_create(&reader);
    assert(rc == 0);
    rc = log_frame_reader_begin(reader, slice_of(payload, LOG_FRAME_HEADER_BYTES + frame->size));
    assert(rc == 0);
    while ((rc = log_frame_reader_next(reader, &database, &arguments, &argument_count)) == 1)
        found++;
    assert(rc == 0 && found == count);
    log_frame_reader_destroy(reader);
    free(payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct log_frame_reader *reader;
    struct log_frame frame = { 0 };
    struct slice *arguments;
    uint32_t argument_count, count = 0;
    unsigned database;
    int rc = log_frame_reader_create(&reader);

    assert(rc == 0);
    if (log_frame_reader_begin(reader, slice_of(data, size)) == 0) {
        while (log_frame_reader_next(reader, &database, &arguments, &argument_count) == 1) {
            rc = log_frame_add(&frame, database, arguments, argument_count); /* reads all of them */
            assert(rc == 0);
            count++;
        }
        expect_same(&frame, count);
    }
    log_frame_finish(&frame);
    log_frame_reader_destroy(reader);
    return 0;
}
