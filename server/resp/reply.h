/* reply.h - values to bytes, in RESP2 or RESP3 as the client asked for.
 *
 * A reply writes into an output chain (modules/pool/chain.h) and never fails: what does not fit
 * into pooled buffers goes to the heap and counts against the client's output limit. When the heap
 * has no memory either, has_hole is set, nothing more is written, and net closes the client. CR and
 * LF in simple strings and errors become spaces. Each function writes one complete RESP item,
 * aggregates only their header: the caller writes as many items as it announced. One thread. */
#ifndef SERVER_RESP_REPLY_H
#define SERVER_RESP_REPLY_H
#include "modules/base/slice.h"

struct chain;
struct packet;

struct reply {
    struct chain *chain;
    uint8_t protocol;    /* 2 or 3 */
    bool is_muted;       /* CLIENT REPLY OFF or SKIP: nothing is written */
    bool had_error;      /* an error was written since the caller last cleared it; for statistics */
    bool has_hole;       /* memory ran out in the middle: what is in the chain must not be sent */
    char error_code[16]; /* first word of the last error, for errorstats; zero-terminated */
};

void reply_ok(struct reply *reply);
void reply_simple(struct reply *reply, struct slice text);
/* text begins with its code ("ERR ...", "WRONGTYPE ..."), without '-' and CR LF. */
void reply_error(struct reply *reply, struct slice text);
void reply_errorf(struct reply *reply, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void reply_integer(struct reply *reply, int64_t value);
void reply_bulk(struct reply *reply, struct slice bytes);
/* The header of a bulk whose bytes come in parts: by reply_raw, size bytes and CR LF after them. */
void reply_bulk_begin(struct reply *reply, uint64_t size);
/* Each of them as reply_bulk writes it. */
void reply_bulks(struct reply *reply, const struct slice *items, size_t item_count);
/* A bulk of size bytes of the packet's payload from offset on, sent from where it lies. */
void reply_bulk_packet(struct reply *reply, struct packet *packet, size_t offset, size_t size);
void reply_bulk_string(struct reply *reply, const char *text);
void reply_bulk_integer(struct reply *reply, int64_t value); /* a bulk string of digits */
void reply_bulk_unsigned(struct reply *reply, uint64_t value);
void reply_null(struct reply *reply);             /* RESP2 "$-1", RESP3 "_" */
void reply_null_array(struct reply *reply);       /* RESP2 "*-1", RESP3 "_" */
void reply_bool(struct reply *reply, bool value); /* RESP2 :1 or :0 */
void reply_double(struct reply *reply,
                  double value); /* RESP2 a bulk; shortest text that reads back */
/* RESP2: a bulk; RESP3 "=LEN:txt:...". extension has three letters. */
void reply_verbatim(struct reply *reply, const char *extension, struct slice text);
void reply_big_number(struct reply *reply, struct slice digits);
void reply_array(struct reply *reply, uint64_t count);
void reply_map(struct reply *reply, uint64_t pair_count); /* RESP2: an array of twice as many */
void reply_set(struct reply *reply, uint64_t count);      /* RESP2: an array */
void reply_push(struct reply *reply, uint64_t count);     /* RESP2: an array */
void reply_attribute(struct reply *reply, uint64_t pair_count); /* RESP3 only: the caller checks */
/* Room for size bytes (not 0) of ready-made RESP, to be filled in place and then committed: at most
 * as many. NULL: nothing is to be written. */
char *reply_reserve(struct reply *reply, size_t size);
void reply_commit(struct reply *reply, size_t size);
/* Ready-made RESP, as it is. */
void reply_raw(struct reply *reply, struct slice bytes);
/* The same, sent from where it lies. */
void reply_raw_packet(struct reply *reply, struct packet *packet);
#endif
