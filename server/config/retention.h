/* retention.h - how much of a stream is kept: the words for it, as stream-retention-for and
 * SL.STREAM CONFIG have them. Pure functions; any thread. */
#ifndef SERVER_CONFIG_RETENTION_H
#define SERVER_CONFIG_RETENTION_H
#include "modules/base/slice.h"

/* Of bytes, of ms and of entries. */
enum retention_limit { RETENTION_BYTES, RETENTION_AGE, RETENTION_LENGTH, RETENTION_LIMITS };

enum {
    RETENTION_RULE_WORDS = 3, /* of stream-retention-for: a prefix, a name, a value */
    RETENTION_RULES_MAX = 256,
};

/* "retention-bytes", "retention-age", "retention-length". */
const char *retention_name(enum retention_limit limit);
/* In any case. False: text is none of them. */
bool retention_find(struct slice text, enum retention_limit *out_limit);
/* NULL: *out_value has it, and 0 means no limit. Else what text must be, as a sentence goes on. */
const char *retention_parse(enum retention_limit limit, struct slice text, uint64_t *out_value);
#endif
