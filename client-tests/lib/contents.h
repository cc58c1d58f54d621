/* contents.h - all that a server holds, as text, to be compared: before and after a restart. */
#ifndef CLIENT_TESTS_LIB_CONTENTS_H
#define CLIENT_TESTS_LIB_CONTENTS_H
#include "client-tests/lib/text.h"
#include "client-tests/lib/wire.h"

/* Adds every key of every database, in order: type, time of expiry, value. The connection is left
 * in database 0. Keys whose time may come meanwhile make no good comparison. */
void contents_add(struct text *out, struct wire *wire);
/* The contents are text; what differs first fails the test. */
void contents_expect(struct wire *wire, const struct text *expected, const char *when);
#endif
