#include "server/commands/stream_ids.h"

#include <errno.h>
#include <stdlib.h>

#include "modules/base/number.h"
#include "server/commands/effect.h"
#include "server/commands/parking.h"
#include "server/commands/stream_words.h"

enum {
    AT_ONCE_IDS = 1024, /* more than these are worked on in a fiber */
    BREATH_IDS = 256
};

int stream_ids_take(struct call *call, uint32_t first, uint32_t count, struct stream_ids *out_ids)
{
    *out_ids = (struct stream_ids){ .count = count };
    out_ids->ids = out_ids->few;
    if (count > AT_ONCE_IDS && !call_can_suspend(call)) return -EAGAIN;
    if (count > STREAM_IDS_INLINE) out_ids->ids = malloc(count * sizeof(*out_ids->ids));
    if (!out_ids->ids) return -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        int rc = stream_ids_breathe(call, i, false);

        if (rc < 0) return rc;
        if (!stream_word_id(call, first + i, &out_ids->ids[i])) return 0;
    }
    return 1;
}

int stream_ids_breathe(struct call *call, uint32_t done_count, bool has_changed)
{
    if (done_count == 0 || done_count % BREATH_IDS != 0) return 0;
    if (!has_changed) return parking_breathe(call->server);
    parking_must_finish(call->server);
    (void)parking_breathe(call->server); /* fails when the server stops, and nobody waits then */
    return 0;
}

void stream_ids_finish(struct stream_ids *ids)
{
    if (ids->ids != ids->few) free(ids->ids);
    ids->ids = NULL;
}

int stream_ids_parse(struct call *call, uint32_t index, const struct stream_ids_errors *errors,
                     struct stream_ids *out_ids, uint32_t *out_next)
{
    int64_t count;

    *out_ids = (struct stream_ids){ .ids = NULL };
    if (index + 2 >= call->argument_count) return call_syntax_error(call);
    if (!call_integer_between(call, index + 1, 1, INT64_MAX, errors->not_positive, &count))
        return 0;
    if (count > (int64_t)call->argument_count - index - 2)
        return call_error(call, errors->too_many);
    *out_next = index + 2 + (uint32_t)count;
    return stream_ids_take(call, index + 2, (uint32_t)count, out_ids);
}

int stream_id_options_parse(struct call *call, uint32_t first, struct stream_id_options *options)
{
    static const struct stream_ids_errors errors = {
        "ERR Number of IDs must be a positive integer",
        "ERR The `numids` parameter must match the number of arguments",
    };
    bool has_references = false;
    int rc = 0;

    *options = (struct stream_id_options){ .references = STREAM_KEEP_REFERENCES };
    for (uint32_t i = first; i < call->argument_count;) {
        if (slice_is(call->arguments[i], "IDS") && options->numids_index == 0) {
            options->numids_index = i + 1;
            rc = stream_ids_parse(call, i, &errors, &options->ids, &i);
            if (rc != 1) return rc;
        } else if (!has_references &&
                   stream_references_parse(call->arguments[i], &options->references)) {
            has_references = true;
            i++;
        } else {
            return call_syntax_error(call);
        }
    }
    return rc == 1 ? 1 : call_syntax_error(call);
}

/* ---- what was done ---- */

static void reverse(struct slice *slices, uint32_t count)
{
    for (uint32_t i = 0; i < count / 2; i++) {
        struct slice slice = slices[i];
        slices[i] = slices[count - 1 - i];
        slices[count - 1 - i] = slice;
    }
}

/* The first so many go behind the others. */
static void rotate(struct slice *slices, uint32_t count, uint32_t first_count)
{
    reverse(slices, first_count);
    reverse(slices + first_count, count - first_count);
    reverse(slices, count);
}

void stream_ids_say_first(struct call *call, uint32_t numids_index, uint32_t id_count,
                          uint32_t done_count)
{
    uint32_t left_count = id_count - done_count, at = numids_index + 1 + done_count;
    uint32_t count = call->argument_count - at;
    struct slice numids = call->arguments[numids_index];
    char digits[NUMBER_INT64_BYTES_MAX];

    rotate(call->arguments + at, count, left_count);
    call->arguments[numids_index] = slice_of(digits, number_format_uint64(digits, done_count));
    effect_say(call, call->arguments, call->argument_count - left_count);
    call->arguments[numids_index] = numids;
    rotate(call->arguments + at, count, count - left_count);
}
