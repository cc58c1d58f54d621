/* command_text.h - commands as clients send them (RESP), piece by piece into any buffer.
 *
 * *2\r\n $3\r\n DEL \r\n $1\r\n k \r\n: a head with the count, then a head for each argument, its
 * bytes and the two bytes of its end. Pure functions; any thread. */
#ifndef SERVER_TRANSFER_COMMAND_TEXT_H
#define SERVER_TRANSFER_COMMAND_TEXT_H
#include <stddef.h>
#include <stdint.h>

enum { COMMAND_TEXT_HEAD_BYTES = 24 }; /* "*18446744073709551615\r\n" */

/* out has room for COMMAND_TEXT_HEAD_BYTES; the bytes written. */
size_t command_text_count(char *out, uint64_t argument_count);
size_t command_text_argument(char *out, uint64_t size);
#define COMMAND_TEXT_END SLICE_LITERAL("\r\n")
#endif
