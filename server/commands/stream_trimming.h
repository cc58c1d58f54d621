/* stream_trimming.h - what XADD and XTRIM have in common: MAXLEN and MINID, and what they do. */
#ifndef SERVER_COMMANDS_STREAM_TRIMMING_H
#define SERVER_COMMANDS_STREAM_TRIMMING_H
#include "modules/stream/stream.h"
#include "server/commands/command.h"

/* What becomes of entries that groups still refer to, when they are removed. */
enum stream_references {
    STREAM_KEEP_REFERENCES,   /* KEEPREF: what is pending stays pending */
    STREAM_DELETE_REFERENCES, /* DELREF: it is no longer pending anywhere */
    STREAM_ONLY_ACKNOWLEDGED, /* ACKED: what is referred to is not removed */
};

/* True: text is one of these words. */
bool stream_references_parse(struct slice text, enum stream_references *out_references);

struct stream_trimming {
    bool is_asked;
    struct stream_trim trim;
    bool has_limit;
    enum stream_references references;
    bool has_references;
};

/* Parses the option at *index, when it is one of these: 1, and *index is at its last argument. 0:
 * it is none. -1: an error was answered. */
int stream_trimming_parse(struct call *call, uint32_t *index, struct stream_trimming *trimming);
/* After the last option. must_trim: it is XTRIM, which does nothing else. False: an error was
 * answered. */
bool stream_trimming_settle(struct call *call, struct stream_trimming *trimming, bool must_trim);
#endif
