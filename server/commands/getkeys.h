/* getkeys.h - where the keys of a command stand, as COMMAND tells it: key specifications, and what
 * they find in given arguments. (What dispatch needs for each call is command_keys in table.h.) Any
 * thread. */
#ifndef SERVER_COMMANDS_GETKEYS_H
#define SERVER_COMMANDS_GETKEYS_H
#include <stdint.h>

#include "modules/base/slice.h"

struct command;
struct key_spec;

enum { KEY_SPEC_SPACE = 2 }; /* specifications */

/* The command's specifications, ended by KEY_BEGIN_NONE: those of its row in command_docs.def, or
 * one made in space from its row in commands.def. */
const struct key_spec *key_specs_of(const struct command *command, struct key_spec *space);
/* The words for a sum of enum key_flag, the one of bit index. NULL: no such. */
const char *key_flag_name(unsigned index);

/* Calls each (which may be NULL) for every key in order: the index of its argument and what is done
 * with it, a sum of enum key_flag. Returns how many there are; -EINVAL: the arguments are wrong,
 * and some keys may have been seen. */
int64_t keys_visit(const struct command *command, const struct slice *arguments,
                   uint32_t argument_count,
                   void (*each)(void *context, uint32_t index, uint32_t flags), void *context);
#endif
