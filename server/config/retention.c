#include "server/config/retention.h"

#include "modules/base/number.h"

static const struct {
    const char *name;
    bool (*parse)(struct slice text, uint64_t *out_value);
    const char *what;
} limits[RETENTION_LIMITS] = {
    [RETENTION_BYTES] = { "retention-bytes", number_parse_memory, "must be a memory value" },
    [RETENTION_AGE] = { "retention-age", number_parse_span,
                        "must be a time: a number with ms, s, m, h or d" },
    [RETENTION_LENGTH] = { "retention-length", number_parse_uint64, "must be a number of entries" },
};

const char *retention_name(enum retention_limit limit)
{
    return limits[limit].name;
}

bool retention_find(struct slice text, enum retention_limit *out_limit)
{
    for (unsigned i = 0; i < RETENTION_LIMITS; i++) {
        if (!slice_equal_nocase(text, slice_of_string(limits[i].name))) continue;
        *out_limit = (enum retention_limit)i;
        return true;
    }
    return false;
}

/* Above that, answers could not tell it: they have signed numbers. */
const char *retention_parse(enum retention_limit limit, struct slice text, uint64_t *out_value)
{
    uint64_t value;

    if (!limits[limit].parse(text, &value) || value > INT64_MAX) return limits[limit].what;
    *out_value = value;
    return NULL;
}
