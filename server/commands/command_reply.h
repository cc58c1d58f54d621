/* command_reply.h - pieces that COMMAND's subcommands answer with. Loop thread only. */
#ifndef SERVER_COMMANDS_COMMAND_REPLY_H
#define SERVER_COMMANDS_COMMAND_REPLY_H
#include <stdint.h>

struct reply;

/* A set of the words for a sum of enum key_flag. */
void reply_key_flags(struct reply *reply, uint32_t flags);
/* A set of simple strings: of name_of(0), name_of(1)... those whose bit is in bits. name_of answers
 * NULL behind the last; prefix is put before each. */
void reply_bit_names(struct reply *reply, uint32_t bits, const char *prefix,
                     const char *(*name_of)(unsigned index));
#endif
