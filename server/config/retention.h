/* retention.h - how much of a stream is kept, and how small: the words for it, as
 * stream-retention-for and SL.STREAM CONFIG have them. Pure functions; any thread. */
#ifndef SERVER_CONFIG_RETENTION_H
#define SERVER_CONFIG_RETENTION_H
#include "modules/base/slice.h"

/* Limits of bytes, of ms and of entries, for which 0 says that there is none; and what segments on
 * disk are packed with, a number of enum journal_codec. */
enum retention_setting {
    RETENTION_BYTES,
    RETENTION_AGE,
    RETENTION_LENGTH,
    RETENTION_LIMITS,
    RETENTION_COMPRESS = RETENTION_LIMITS,
    RETENTION_SETTINGS,
};

enum {
    RETENTION_RULE_WORDS = 3, /* of stream-retention-for: a prefix, a name, a value */
    RETENTION_RULES_MAX = 256,
};

/* "retention-bytes", "retention-age", "retention-length", "compress". */
const char *retention_name(enum retention_setting setting);
/* In any case. False: text is none of them. */
bool retention_find(struct slice text, enum retention_setting *out_setting);
/* NULL: *out_value has it. Else what text must be, as a sentence goes on. */
const char *retention_parse(enum retention_setting setting, struct slice text, uint64_t *out_value);
/* "none", "lz4", "zstd". */
const char *retention_codec_name(uint64_t codec);
#endif
