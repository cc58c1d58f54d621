/* stream_trimmed.h - what XADD and XTRIM trim, and what becomes of what groups refer to. */
#ifndef SERVER_COMMANDS_STREAM_TRIMMED_H
#define SERVER_COMMANDS_STREAM_TRIMMED_H
#include "server/commands/stream_key.h"
#include "server/commands/stream_trimming.h"
#include "server/commands/stream_words.h"

struct stream_trimmed {
    uint64_t count; /* entries that have gone */
    /* Done again, these words trim the same: [DELREF] MAXLEN length, or ACKED MINID id. */
    struct slice words[3];
    uint32_t word_count;
    char text[STREAM_ID_TEXT_BYTES];
};

/* What would have to be read for it is fetched: 0, or a negative errno. Nothing is changed. */
int stream_trimmed_prepare(struct call *call, const struct stream_key *key,
                           const struct stream_trimming *trimming);
/* 0, or a negative errno: nothing was trimmed. */
int stream_trimmed_do(struct call *call, const struct stream_key *key,
                      const struct stream_trimming *trimming, struct stream_trimmed *out_trimmed);
#endif
