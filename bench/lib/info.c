#include "bench/lib/info.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lib/connection.h"
#include "bench/lib/guard.h"

bool info_number(struct connection *connection, const char *field, uint64_t *out_number)
{
    struct token token;
    char wanted[100], *text, *line;
    bool is_found;

    connection_call(connection, &token, "INFO everything");
    if (token.type != '$' || token.is_null) bench_fail("INFO answers no text");
    text = malloc(token.size + 1);
    if (!text) bench_fail("out of memory");
    memcpy(text, token.bytes, token.size);
    text[token.size] = '\0';
    snprintf(wanted, sizeof(wanted), "\n%s:", field);
    line = strstr(text, wanted);
    is_found = line && sscanf(line + strlen(wanted), "%" SCNu64, out_number) == 1;
    free(text);
    return is_found;
}
