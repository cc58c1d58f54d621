#include "server/config/retention.h"

#include <assert.h>

#include "modules/base/number.h"
#include "modules/journal/journal.h"

static const char *const codecs[] = {
    [JOURNAL_CODEC_NONE] = "none",
    [JOURNAL_CODEC_LZ4] = "lz4",
    [JOURNAL_CODEC_ZSTD] = "zstd",
};
enum { CODECS = sizeof(codecs) / sizeof(codecs[0]) };

static bool parse_codec(struct slice text, uint64_t *out_codec)
{
    for (unsigned i = 0; i < CODECS; i++) {
        if (!slice_equal_nocase(text, slice_of_string(codecs[i]))) continue;
        *out_codec = i;
        return true;
    }
    return false;
}

static const struct {
    const char *name;
    bool (*parse)(struct slice text, uint64_t *out_value);
    const char *what;
} settings[RETENTION_SETTINGS] = {
    [RETENTION_BYTES] = { "retention-bytes", number_parse_memory, "must be a memory value" },
    [RETENTION_AGE] = { "retention-age", number_parse_span,
                        "must be a time: a number with ms, s, m, h or d" },
    [RETENTION_LENGTH] = { "retention-length", number_parse_uint64, "must be a number of entries" },
    [RETENTION_COMPRESS] = { "compress", parse_codec, "must be none, lz4 or zstd" },
};

const char *retention_name(enum retention_setting setting)
{
    return settings[setting].name;
}

bool retention_find(struct slice text, enum retention_setting *out_setting)
{
    for (unsigned i = 0; i < RETENTION_SETTINGS; i++) {
        if (!slice_equal_nocase(text, slice_of_string(settings[i].name))) continue;
        *out_setting = (enum retention_setting)i;
        return true;
    }
    return false;
}

/* Above that, answers could not tell it: they have signed numbers. */
const char *retention_parse(enum retention_setting setting, struct slice text, uint64_t *out_value)
{
    uint64_t value;

    if (!settings[setting].parse(text, &value) || value > INT64_MAX) return settings[setting].what;
    *out_value = value;
    return NULL;
}

const char *retention_codec_name(uint64_t codec)
{
    assert(codec < CODECS);
    return codecs[codec];
}
