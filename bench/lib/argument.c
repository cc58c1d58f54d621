#include "bench/lib/argument.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/lib/guard.h"

enum { REQUEST_MAX = 100000000 };

static long whole_number(const char *text, long max, const char *name)
{
    char *end;
    long number = strtol(text, &end, 10);

    if (end == text || *end != '\0' || number < 1 || number > max)
        bench_fail("--%s: 1 to %ld", name, max);
    return number;
}

static void take_value(const struct argument *argument, const char *value)
{
    if (argument->text)
        *argument->text = value;
    else if (argument->rounds)
        *argument->rounds = (int)whole_number(value, ROUND_MAX, argument->name);
    else
        *argument->requests = whole_number(value, REQUEST_MAX, argument->name);
}

const char *const *argument_parse(int argc, char **argv, const struct argument *arguments,
                                  const char *usage)
{
    struct option names[ARGUMENT_MAX + 1] = { 0 };
    int option;

    for (int i = 0; arguments[i].name; i++) {
        if (i == ARGUMENT_MAX) bench_fail("more than %d options", ARGUMENT_MAX);
        names[i] = (struct option){ arguments[i].name, required_argument, NULL, i };
    }
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == '?') {
            fputs(usage, stderr);
            exit(2);
        }
        take_value(&arguments[option], optarg);
    }
    return (const char *const *)argv + optind;
}

const char *argument_base(void)
{
    const char *temporary = getenv("TMPDIR");

    return temporary && *temporary ? temporary : "/var/tmp";
}
