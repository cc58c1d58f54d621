/* The framer on any bytes: whole, and cut into pieces in buffers that move, must tell the same. The
 * first byte says how long the pieces are, the second whether the client is trusted. */
#include "server/resp/framer.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was found, folded into a number. */
struct outcome {
    uint64_t digest, requests;
    enum framer_result last;
};

static void fold(struct outcome *outcome, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        outcome->digest = (outcome->digest ^ bytes[i]) * 1099511628211u;
    }
    outcome->digest = (outcome->digest ^ size) * 1099511628211u;
}

static uint8_t *exact_copy(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size);

    if (!copy && size > 0) abort();
    if (size > 0) memcpy(copy, bytes, size);
    return copy;
}

static struct outcome frame(const struct framer_limits *limits, const uint8_t *data, size_t size,
                            size_t piece)
{
    struct outcome outcome = { 0 };
    struct framer framer;
    size_t begin = 0, end = 0;

    framer_init(&framer);
    while (outcome.last == FRAMER_INCOMPLETE && end < size) {
        end = size - end < piece ? size : end + piece;
        do {
            uint8_t *bytes = exact_copy(data + begin, end - begin);
            size_t consumed, wanted;
            const char *error = "";

            outcome.last =
                framer_next(&framer, limits, bytes, end - begin, &consumed, &wanted, &error);
            if (outcome.last == FRAMER_REQUEST) {
                for (uint32_t i = 0; i < framer.argument_count; i++) {
                    fold(&outcome, framer.arguments[i].bytes, framer.arguments[i].size);
                }
                if (consumed == 0 || consumed > end - begin) abort();
                outcome.requests++;
                begin += consumed;
            } else if (outcome.last == FRAMER_ERROR) {
                fold(&outcome, (const uint8_t *)error, strlen(error));
            } else if (outcome.last == FRAMER_INCOMPLETE && wanted <= end - begin) {
                abort();
            }
            free(bytes);
        } while (outcome.last == FRAMER_REQUEST);
    }
    /* Slices and scratch, each doubled at most, never what somebody announced. */
    if (framer_heap_bytes(&framer) > 1024 * sizeof(struct slice) + 32 * size) abort();
    framer_finish(&framer);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct framer_limits limits = { .bulk_bytes_max = 1 << 20,
                                    .argument_count_max = 1024 * 1024,
                                    .request_bytes_max = 2 << 20 };
    struct outcome whole, cut;

    if (size < 2 || size > FRAMER_LINE_BYTES_MAX)
        return 0; /* longer lines: what Redis says depends on cuts */
    limits.is_trusted = data[1] % 2 == 0;
    whole = frame(&limits, data + 2, size - 2, size);
    cut = frame(&limits, data + 2, size - 2, (size_t)data[0] + 1);
    if (whole.digest != cut.digest || whole.requests != cut.requests || whole.last != cut.last) {
        abort();
    }
    return 0;
}
