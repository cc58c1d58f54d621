#include "server/config/checks.h"
#include "modules/base/number.h"
#include "server/config/retention.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { HOST_NAME_BYTES_MAX = 255 };

int check_none(const struct option *option, char **text, struct config_error *error)
{
    (void)option;
    (void)text;
    (void)error;
    return 0;
}

int check_directory(const struct option *option, char **text, struct config_error *error)
{
    struct stat status;
    char *absolute = NULL;
    int rc;

    (void)option;
    if (stat(*text, &status) < 0) return config_refuse(error, "%s", strerror(errno));
    if (!S_ISDIR(status.st_mode)) return config_refuse(error, "%s", strerror(ENOTDIR));
    absolute = realpath(*text, NULL);
    if (!absolute) {
        rc = errno == ENOMEM ? -ENOMEM : config_refuse(error, "%s", strerror(errno));
        return rc;
    }
    free(*text);
    *text = absolute;
    return 0;
}

int check_file_name(const struct option *option, char **text, struct config_error *error)
{
    if (strchr(*text, '/') || strcmp(*text, ".") == 0 || strcmp(*text, "..") == 0)
        return config_refuse(error, "%s can't be a path, just a filename", option->name);
    return 0;
}

int check_socket_path(const struct option *option, char **text, struct config_error *error)
{
    const size_t room = sizeof(((struct sockaddr_un *)NULL)->sun_path);

    (void)option;
    if (strlen(*text) < room) return 0;
    return config_refuse(error, "the path of a unix socket has at most %zu bytes", room - 1);
}

static bool is_alphanumeric(char c)
{
    uint8_t lower = ascii_lower((uint8_t)c);
    return (c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'z');
}

int check_host_name(const struct option *option, char **text, struct config_error *error)
{
    (void)option;
    if (strlen(*text) > HOST_NAME_BYTES_MAX)
        return config_refuse(error, "Hostnames must be less than %d characters",
                             HOST_NAME_BYTES_MAX + 1);
    for (const char *c = *text; *c; c++) {
        if (!is_alphanumeric(*c) && *c != '-' && *c != '.')
            return config_refuse(
                error, "Hostnames may only contain alphanumeric characters, hyphens or dots");
    }
    return 0;
}

int check_title_template(const struct option *option, char **text, struct config_error *error)
{
    static const char *const names[] = { "title",    "listen-addr", "server-mode", "port",
                                         "tls-port", "unixsocket",  "config-file" };
    const char *open = strchr(*text, '{');

    (void)option;
    while (open) {
        const char *close = strchr(open, '}');
        bool is_known = false;

        for (size_t i = 0; close && i < sizeof(names) / sizeof(names[0]); i++) {
            is_known |= slice_equal(slice_of(open + 1, (size_t)(close - open - 1)),
                                    slice_of_string(names[i]));
        }
        if (!is_known)
            return config_refuse(error, "template format is invalid or contains unknown variables");
        open = strchr(close, '{');
    }
    return 0;
}

/* An address, or what may be the name of a host: whether it is one is found out when it is bound
 * to. */
static bool is_address(const char *text)
{
    uint8_t address[sizeof(struct in6_addr)];
    bool has_letter = false;

    if (*text == '-') text++;
    if (strcmp(text, "*") == 0 || strcmp(text, "::*") == 0 ||
        inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1)
        return true;
    for (; *text; text++) {
        if (!is_alphanumeric(*text) && !strchr("-._%:", *text)) return false;
        has_letter |= *text < '0' || *text > '9' ? is_alphanumeric(*text) : false;
    }
    return has_letter;
}

int check_addresses(const struct option *option, const struct slice *words, size_t count,
                    struct config_error *error)
{
    (void)option;
    if (count == 1 && words[0].size == 0) return 0;
    if (count > CONFIG_ADDRESSES_MAX)
        return config_refuse(error, "Too many bind addresses specified.");
    for (size_t i = 0; i < count; i++) {
        char text[HOST_NAME_BYTES_MAX + 2];

        if (words[i].size < sizeof(text)) {
            memcpy(text, words[i].bytes, words[i].size);
            text[words[i].size] = 0;
            if (is_address(text)) continue;
        }
        return config_refuse(error, "'%.*s' is no address, no host's name, nor '*' or '::*'",
                             (int)(words[i].size < 100 ? words[i].size : 100),
                             (const char *)words[i].bytes);
    }
    return 0;
}

int check_save(const struct option *option, const struct slice *words, size_t count,
               struct config_error *error)
{
    (void)option;
    if (count == 1 && words[0].size == 0) return 0;
    for (size_t i = 0; i < count; i++) {
        const int64_t least = i % 2 == 0 ? 1 : 0; /* seconds, changes */
        int64_t number;

        if (count % 2 != 0 || !number_parse_int64(words[i], &number) || number < least ||
            number > INT32_MAX)
            return config_refuse(error, "Invalid save parameters");
    }
    return 0;
}

int check_oom_values(const struct option *option, const struct slice *words, size_t count,
                     struct config_error *error)
{
    enum { OOM_VALUES = 3, OOM_LIMIT = 2000 };

    if (count != OOM_VALUES) return config_refuse(error, "wrong number of arguments");
    for (size_t i = 0; i < count; i++) {
        int64_t number;

        if (!number_parse_int64(words[i], &number) || number < -OOM_LIMIT || number > OOM_LIMIT)
            return config_refuse(error, "Invalid %s, elements must be between -%d and %d.",
                                 option->name, OOM_LIMIT, OOM_LIMIT);
    }
    return 0;
}

int check_replicaof(const struct option *option, const struct slice *words, size_t count,
                    struct config_error *error)
{
    int64_t port;

    (void)option;
    if (count == 0 || (count == 1 && words[0].size == 0)) return 0;
    if (count != 2) return config_refuse(error, "wrong number of arguments");
    if (slice_is(words[0], "no") && slice_is(words[1], "one")) return 0;
    if (!number_parse_int64(words[1], &port) || port < 0 || port > 65535)
        return config_refuse(error, "Invalid master port");
    return 0;
}

static int check_retention_rule(const struct slice *words, struct config_error *error)
{
    struct slice prefix = words[0], name = words[1];
    enum retention_setting setting;
    uint64_t value;
    const char *what;

    if (prefix.size == 0)
        return config_refuse(error, "a prefix must not be empty: stream-retention-bytes, -age and "
                                    "-length are for all streams");
    if (!retention_find(name, &setting))
        return config_refuse(error,
                             "'%.*s' is none of retention-bytes, retention-age, retention-length, "
                             "compress",
                             (int)(name.size < 100 ? name.size : 100), (const char *)name.bytes);
    what = retention_parse(setting, words[2], &value);
    return what ? config_refuse(error, "%s %s", retention_name(setting), what) : 0;
}

int check_retention(const struct option *option, const struct slice *words, size_t count,
                    struct config_error *error)
{
    int rc = 0;

    (void)option;
    if (count == 1 && words[0].size == 0) return 0;
    if (count % RETENTION_RULE_WORDS != 0)
        return config_refuse(error, "each rule is a prefix, a name and a value");
    if (count / RETENTION_RULE_WORDS > RETENTION_RULES_MAX)
        return config_refuse(error, "there can be %d rules", RETENTION_RULES_MAX);
    for (size_t i = 0; i < count && rc == 0; i += RETENTION_RULE_WORDS)
        rc = check_retention_rule(words + i, error);
    return rc;
}
