/* stream_retention.h - streams are kept within their limits: as they grow, and as time passes. How
 * their segments on disk are packed is said in the same way, and holds from the next XADD on.
 *
 * What holds for a stream is what it was told itself (SL.STREAM CONFIG SET); else what the longest
 * fitting prefix of stream-retention-for says; else what stream-retention-bytes, -age and -length
 * (and stream-compress) say. Bytes and length are looked at after each XADD. All three are looked
 * at by a walk over the keys about once a second, in slices: time passes, and limits are lowered.
 *
 * A trim is exact and stands in the operation log as XTRIM key MAXLEN length: replay trims nothing
 * by itself. Loop thread only. */
#ifndef SERVER_COMMANDS_STREAM_RETENTION_H
#define SERVER_COMMANDS_STREAM_RETENTION_H
#include "server/commands/command.h"
#include "server/config/retention.h"

struct config;
struct config_error;
struct stream_key;

struct retention_rule {
    struct slice prefix; /* of stream-retention-for */
    enum retention_setting setting;
    uint64_t value;
};

/* A stream that the walk has found, and will look at. */
struct retention_candidate {
    unsigned database;
    struct slice name; /* a copy */
};

struct stream_retention {
    uint64_t settings[RETENTION_SETTINGS];            /* of all streams */
    struct retention_rule rules[RETENTION_RULES_MAX]; /* shorter prefixes first */
    uint32_t rule_count;
    bool is_set;       /* something above is: else only what streams were told themselves counts */
    bool is_due;       /* walks are: there may be a stream with a limit */
    bool has_begun;    /* one is under way */
    bool has_found;    /* it has found such a stream, or there is a new one */
    uint64_t began_us; /* when it did; both by loop_now_us */
    uint64_t next_us;  /* when it goes on, or the next one begins */
    unsigned database; /* where it is */
    uint64_t cursor;
    struct retention_candidate *candidates; /* to be looked at before it goes on */
    uint32_t candidate_count, candidate_capacity, candidate_index;
};

/* Takes over what the configuration says. context: the server; to be called at start, and when one
 * of the directives changes. Returns 0. */
int stream_retention_configure(void *context, const struct config *config,
                               struct config_error *out_error);
void stream_retention_finish(struct stream_retention *retention);

/* What holds for that stream. False: it has no limit. */
bool stream_retention_settings(const struct stream_retention *retention, struct slice name,
                               const struct value *value,
                               uint64_t out_settings[RETENTION_SETTINGS]);
/* The call has added to that stream, and no step that can fail is left: trims it to its bytes and
 * length, and says so; and lets it be packed as it is to be. Nothing while a log is replayed. */
void stream_retention_grown(struct call *call, struct slice name, const struct stream_key *key);
/* A stream was told limits, or the server: they are looked at within about a second. */
void stream_retention_begin(struct stream_retention *retention);

/* A slice of the walk, once a turn of the loop. */
void stream_retention_turn(struct server *server);
/* When the next slice is due, in microseconds; -1: there is nothing to do. */
int64_t stream_retention_wait_us(const struct server *server);
#endif
