/* string_options.h - the words behind SET's value and GETEX's key. */
#ifndef SERVER_COMMANDS_STRING_OPTIONS_H
#define SERVER_COMMANDS_STRING_OPTIONS_H
#include "server/commands/string_common.h"

enum string_options_of { STRING_OPTIONS_SET, STRING_OPTIONS_GETEX };

struct string_options {
    bool only_if_missing, only_if_there; /* NX, XX */
    bool get, keep_ttl, persist;
    enum expiry_form expiry;
    struct slice expiry_argument; /* not yet parsed: some errors come before its own */
};

/* False: a syntax error, answered. */
bool string_options_parse(struct call *call, uint32_t from, enum string_options_of command,
                          struct string_options *out_options);
#endif
