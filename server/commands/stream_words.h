/* stream_words.h - ids of entries as clients write them, and as answers show them. */
#ifndef SERVER_COMMANDS_STREAM_WORDS_H
#define SERVER_COMMANDS_STREAM_WORDS_H
#include "modules/base/slice.h"
#include "modules/stream/stream_id.h"

struct call;
struct reply;

enum { STREAM_ID_TEXT_BYTES = 41 }; /* two numbers of 20 digits, and the dash */

/* "ms-seq" or "ms", and then seq is missing_seq. out_has_seq not NULL: "ms-*" is taken too, and
 * tells false there. False: it is no id. Pure. */
bool stream_id_parse(struct slice text, uint64_t missing_seq, bool *out_has_seq,
                     struct stream_id *out_id);
/* "ms-seq", without a terminating zero: how many bytes. */
size_t stream_id_format(char text[STREAM_ID_TEXT_BYTES], struct stream_id id);
void stream_id_reply(struct reply *reply, struct stream_id id);

/* The argument as an id. False: that it is none was answered. */
bool stream_word_id(struct call *call, uint32_t index, struct stream_id *out_id);
/* The same, and "-" and "+" for the least and the greatest one. */
bool stream_word_loose_id(struct call *call, uint32_t index, struct stream_id *out_id);
/* The ends of a range of ids: "-", "+", an id, or "(" and an id, which is not part of it. False: an
 * error was answered. */
bool stream_word_start(struct call *call, uint32_t index, struct stream_id *out_id);
bool stream_word_end(struct call *call, uint32_t index, struct stream_id *out_id);

/* Answers that it is no id; 0. */
int stream_wrong_id(struct call *call);
#endif
