/* string_common.h - what the string and expiry commands share: look-up, storing, times in
 * arguments. */
#ifndef SERVER_COMMANDS_STRING_COMMON_H
#define SERVER_COMMANDS_STRING_COMMON_H
#include "server/commands/command.h"

struct key;
struct value;

/* A copy of more bytes of a string that somebody else still has is made in a fiber, in slices. */
enum { STRING_COPY_INLINE_BYTES = 1024 * 1024 };

/* 1: *out_key holds a string. 0: no such key. -EPROTOTYPE: it holds something else. */
int string_find(struct call *call, struct slice name, struct key **out_key);
/* As string_find, and counts keyspace hits and misses: for commands that only read. */
int string_find_read(struct call *call, struct slice name, struct key **out_key);
/* Answers the string of a key that string_find has found. */
void string_reply(struct call *call, const struct key *key);
/* The same with a part of what string_value_view shows of it. */
void string_reply_part(struct call *call, const struct key *key, struct slice part);

/* Puts value under name, over whatever key holds (NULL: the key is not there), and marks the
 * change. Takes value over, also when it fails: then it is destroyed and nothing has changed. */
int string_store(struct call *call, struct slice name, struct key *key, struct value *value,
                 bool keep_ttl);
/* 0, or -EMSGSIZE: a value of so many bytes would take more than an eighth of maxmemory. What
 * cannot spill is bounded, and -OOM would promise that it may fit later. */
int string_check_share(const struct call *call, uint64_t size);
/* The value of a string that a client gave. Errors as string_check_share, and -ENOMEM. */
int string_make(struct call *call, struct slice bytes, struct value **out_value);
/* Makes a key that is not there, holding a copy of bytes. */
int string_add(struct call *call, struct slice name, struct slice bytes, struct key **out_key);

/* What a command did, as a SET: at_ms -1: without a time to live, unless keep_ttl. */
void string_say_set(struct call *call, struct slice name, struct slice bytes, int64_t at_ms,
                    bool keep_ttl);

/* 0: a string may become so large. Else the error was answered (1), or as string_check_share. */
int string_check_size(struct call *call, uint64_t size, uint64_t added);

/* An expiry time given as an argument of SET, GETEX, SETEX. */
enum expiry_form { EXPIRY_NONE, EXPIRY_EX, EXPIRY_PX, EXPIRY_EXAT, EXPIRY_PXAT };
/* True and ms since 1970; false with the error answered. */
bool expiry_parse(struct call *call, enum expiry_form form, struct slice argument,
                  int64_t *out_at_ms);
/* "invalid expire time in 'x' command" */
int expiry_error(struct call *call);
#endif
