/* stream_reading.h - what XREAD and XREADGROUP both can be asked. */
#ifndef SERVER_COMMANDS_STREAM_READING_H
#define SERVER_COMMANDS_STREAM_READING_H
#include "server/commands/command.h"

/* Of entries, for one who has waited and did not say how many. */
enum { READING_BLOCKED_COUNT = 1000 };

struct reading {
    uint32_t key_first, key_count; /* arguments; the ids stand behind them */
    int64_t count;                 /* of each stream; 0: all */
    int64_t max_count, max_bytes;  /* of all streams together; 0: no limit */
    bool may_block;
    int64_t deadline_us; /* -1: it waits for as long as it takes */
};

void reading_begin(struct reading *reading);
/* The option at *index, which moves on to its last argument: BLOCK, COUNT, MAXCOUNT, MAXSIZE, or
 * STREAMS, which is the last one: reading->key_first is set then. 1; 0: it is none of these; -1: an
 * error was answered, unbalanced for as many ids as keys. */
int reading_parse_option(struct call *call, uint32_t *index, const char *unbalanced,
                         struct reading *reading);
/* All options have been parsed. False: MAXCOUNT and COUNT do not fit, and an error was answered. */
bool reading_is_whole(struct call *call, const struct reading *reading);
/* Entries of each stream. */
uint64_t reading_count_wanted(const struct call *call, const struct reading *reading);
/* The keys that are looked at are [*out_first, *out_end) of reading's. One who is served after it
 * has waited looks at the key that it is served for alone, where that is named first: the others
 * had nothing when it began to wait. */
void reading_keys(const struct call *call, const struct reading *reading, uint32_t *out_first,
                  uint32_t *out_end);
#endif
