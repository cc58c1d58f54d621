/* resp.h - replies as they lie on the wire, RESP2 and RESP3: where one ends, what it says.
 *
 * Pure functions over bytes. They judge what a server sent, so they trust nothing in it. */
#ifndef CLIENT_TESTS_LIB_RESP_H
#define CLIENT_TESTS_LIB_RESP_H
#include "client-tests/lib/text.h"
#include <stdbool.h>
#include <stdint.h>

/* Where the search for the end of a reply stands; zeroed: before its first byte. It never looks at
 * a byte twice, so that a reply of 50 MB that arrives in small pieces costs its size once. */
struct resp_scan {
    size_t offset;        /* all before it was understood */
    uint64_t open_values; /* values still to come; 0: not begun, or whole when offset > 0 */
};

/* 1: one whole reply lies in bytes[0, scan->offset). 0: more bytes are needed. -EPROTO: this is not
 * RESP, at bytes[scan->offset]. */
int resp_scan(struct resp_scan *scan, const char *bytes, size_t size);

/* Adds the whole reply at bytes as redis-cli shows it, without the last line end. */
void resp_render(struct text *out, const char *bytes, size_t size);

/* The elements of an array, set or map reply, sorted by bytes and rendered a line each: for KEYS,
 * SCAN and the like, whose order says nothing. A reply of another shape is rendered as it is. */
void resp_render_sorted(struct text *out, const char *bytes, size_t size);
#endif
