/* codec.h - making a block of bytes smaller, and back.
 *
 * Pure functions; any thread. */
#ifndef MODULES_JOURNAL_CODEC_H
#define MODULES_JOURNAL_CODEC_H
#include <sys/types.h>

#include "modules/journal/journal.h"

/* Whether a number from a file or a caller is one of enum journal_codec. */
bool journal_codec_is_known(uint32_t codec);
/* Puts bytes into out, which has room for fewer than size of them. How many they are there; 0: they
 * do not get smaller (as always with JOURNAL_CODEC_NONE). -ENOMEM. */
ssize_t journal_codec_pack(enum journal_codec codec, struct slice bytes, uint8_t *out);
/* The way back, to exactly out_size bytes. -EBADMSG: they are not that. -ENOMEM. */
int journal_codec_unpack(enum journal_codec codec, struct slice bytes, uint8_t *out,
                         size_t out_size);
#endif
