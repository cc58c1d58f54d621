/* checks.h - what the texts and words of single directives must look like.
 *
 * Each returns 0, or -EINVAL with the reason in *error, or -ENOMEM. Those of texts may free *text
 * and put another in its place. */
#ifndef SERVER_CONFIG_CHECKS_H
#define SERVER_CONFIG_CHECKS_H
#include "server/config/config_internal.h"

int check_none(const struct option *option, char **text, struct config_error *error);
/* An existing directory; becomes its absolute path. */
int check_directory(const struct option *option, char **text, struct config_error *error);
/* No slash. */
int check_file_name(const struct option *option, char **text, struct config_error *error);
/* Short enough for the address of a unix socket. */
int check_socket_path(const struct option *option, char **text, struct config_error *error);
int check_host_name(const struct option *option, char **text, struct config_error *error);
/* Known names in {braces}. */
int check_title_template(const struct option *option, char **text, struct config_error *error);

/* IPv4, IPv6, a host's name, "*", "::*", each with or without a leading '-'. */
int check_addresses(const struct option *option, const struct slice *words, size_t count,
                    struct config_error *error);
/* Pairs of seconds and changes, or one empty word, or nothing. */
int check_save(const struct option *option, const struct slice *words, size_t count,
               struct config_error *error);
int check_oom_values(const struct option *option, const struct slice *words, size_t count,
                     struct config_error *error);
/* A host and a port, or "no one", or nothing. */
int check_replicaof(const struct option *option, const struct slice *words, size_t count,
                    struct config_error *error);
/* Triples: a prefix of keys, a name of retention.h, its value; or one empty word, or nothing. */
int check_retention(const struct option *option, const struct slice *words, size_t count,
                    struct config_error *error);
#endif
