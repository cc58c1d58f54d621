#include "bench/lib/options.h"

#include "bench/lib/argument.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char usage[] =
    "  --bytes SIZE      how much is pushed (%llu)\n"
    "  --maxmemory SIZE  of ours (%llu)\n"
    "  --rounds N        of which medians are printed (%d)\n"
    "  --throttle SIZE   bytes a second that the disk gives; 0: all it can (%llu)\n"
    "  --peer NAME       sluice, or redis, which then holds all in memory (%s)\n"
    "  --dir DIRECTORY   for the files of servers and fio (%s)\n"
    "  --log MODE        ours with its log: always, everysec or no\n"
    "  --quick, --large  the short and the long form, where there is one\n"
    "  -- ARGUMENT ...   more arguments of ours\n"
    "SIZE: bytes, or with kb, mb, gb (powers of 1024).\n";

static bool parse_size(const char *text, uint64_t *out_bytes)
{
    static const struct unit {
        const char *name;
        unsigned shift;
    } units[] = { { "", 0 }, { "kb", 10 }, { "mb", 20 }, { "gb", 30 } };
    char *end;
    unsigned long long number;

    errno = 0;
    number = strtoull(text, &end, 10);
    if (errno || end == text || *text == '-') return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcasecmp(end, units[i].name) != 0) continue;
        *out_bytes = (uint64_t)number << units[i].shift;
        return *out_bytes >> units[i].shift == number;
    }
    return false;
}

static bool parse_peer(const char *text, enum peer_kind *out_kind)
{
    *out_kind = strcmp(text, peer_name(PEER_REDIS)) == 0 ? PEER_REDIS : PEER_SLUICE;
    return strcmp(text, peer_name(*out_kind)) == 0;
}

static bool parse_rounds(const char *text, int *out_rounds)
{
    char *end;
    long rounds = strtol(text, &end, 10);

    *out_rounds = (int)rounds;
    return *end == '\0' && rounds >= 1 && rounds <= 31;
}

static bool parse_log(const char *text, const char **out_mode)
{
    *out_mode = text;
    return strcmp(text, "always") == 0 || strcmp(text, "everysec") == 0 || strcmp(text, "no") == 0;
}

static bool parse_one(struct options *options, int option)
{
    switch (option) {
    case 'b':
        return parse_size(optarg, &options->bytes);
    case 'm':
        return parse_size(optarg, &options->maxmemory_bytes);
    case 'r':
        return parse_rounds(optarg, &options->rounds);
    case 't':
        return parse_size(optarg, &options->throttle_bytes);
    case 'p':
        return parse_peer(optarg, &options->kind);
    case 'd':
        options->base = optarg;
        return true;
    case 'w':
        return parse_log(optarg, &options->log_mode);
    case 'q':
        options->is_quick = true;
        return true;
    case 'l':
        options->is_large = true;
        return true;
    default:
        return false;
    }
}

void options_parse(struct options *options, int argc, char **argv, const char *about)
{
    static const struct option names[] = {
        { "bytes", required_argument, NULL, 'b' },  { "maxmemory", required_argument, NULL, 'm' },
        { "rounds", required_argument, NULL, 'r' }, { "throttle", required_argument, NULL, 't' },
        { "peer", required_argument, NULL, 'p' },   { "dir", required_argument, NULL, 'd' },
        { "log", required_argument, NULL, 'w' },    { "quick", no_argument, NULL, 'q' },
        { "large", no_argument, NULL, 'l' },        { 0 }
    };
    struct options defaults;
    int option;

    options->kind = PEER_SLUICE;
    options->base = argument_base();
    if (options->maxmemory_bytes == 0) options->maxmemory_bytes = 64u << 20;
    if (options->rounds == 0) options->rounds = 1;
    defaults = *options;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (parse_one(options, option)) continue;
        fprintf(stderr, "%s\nusage: %s [option ...]\n", about, argv[0]);
        fprintf(stderr, usage, (unsigned long long)defaults.bytes,
                (unsigned long long)defaults.maxmemory_bytes, defaults.rounds,
                (unsigned long long)defaults.throttle_bytes, peer_name(defaults.kind),
                defaults.base);
        exit(2);
    }
    options->own_arguments = (const char *const *)argv + optind;
}
