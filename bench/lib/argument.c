#include "bench/lib/argument.h"

#include <stdlib.h>

#include "bench/lib/guard.h"

enum { REQUEST_MAX = 100000000 };

static long whole_number(const char *text, long max, const char *name)
{
    char *end;
    long number = strtol(text, &end, 10);

    if (end == text || *end != '\0' || number < 1 || number > max)
        bench_fail("%s: 1 to %ld", name, max);
    return number;
}

int argument_rounds(const char *text)
{
    return (int)whole_number(text, ROUND_MAX, "--rounds");
}

long argument_requests(const char *text)
{
    return whole_number(text, REQUEST_MAX, "--requests");
}

const char *argument_base(void)
{
    const char *temporary = getenv("TMPDIR");

    return temporary && *temporary ? temporary : "/var/tmp";
}
