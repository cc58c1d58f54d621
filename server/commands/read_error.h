/* read_error.h - what could not be read from disk, in the words of who asked for it: the key, its
 * database, the range. Loop thread only. */
#ifndef SERVER_COMMANDS_READ_ERROR_H
#define SERVER_COMMANDS_READ_ERROR_H
#include <stddef.h>

struct call;

enum { READ_ERROR_BYTES = 512 };

/* The store's last error, as met by call: "key 'k' of database 0, elements 5 to 9: why". Without
 * the key when call names several and it cannot be told which. Good for replies and for the log. */
void read_error_describe(const struct call *call, char text[READ_ERROR_BYTES]);
/* Says in the log that a read failed, but not more often than once a second. */
void read_error_log(const struct call *call, const char *description);
#endif
