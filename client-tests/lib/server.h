/* server.h - a server in a process and a directory of its own: ours, or the one it is compared
 * with.
 *
 * What cannot be done here fails the test at once, so nothing returns errors. A server dies with
 * the process that started it. Ours takes a free port itself (--port 0) and says which;
 * redis-server gets one that was free a moment ago, and another one when somebody was quicker. */
#ifndef CLIENT_TESTS_LIB_SERVER_H
#define CLIENT_TESTS_LIB_SERVER_H
#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

enum { SERVER_ARGUMENTS_MAX = 64 };

struct server_options {
    /* Directives and values, ended by NULL; NULL: none. Strings must outlive the server. */
    const char *const *arguments;       /* for either kind */
    const char *const *own_arguments;   /* only for ours: directives that redis-server lacks */
    const char *const *redis_arguments; /* only for redis-server */
    const char *program;                /* NULL: $SLUICE_SERVER, else the build's own */
    const char *configuration;          /* text of a configuration file; NULL: there is none */
    const char *data_directory;         /* NULL: one below the server's own directory */
    int descriptor_limit;               /* RLIMIT_NOFILE of the process; 0: as it is */
    bool may_lock_nothing;              /* RLIMIT_MEMLOCK of 0, and no privilege to exceed it */
};

struct server {
    pid_t pid; /* 0: not running */
    pid_t starter;
    int port;
    bool is_redis; /* redis-server stands in for ours, or is the other side of a comparison */
    char program[PATH_MAX];
    char directory[PATH_MAX]; /* log, unix socket, and data/ */
    char log_path[PATH_MAX];  /* stdout and stderr of all its runs */
    char unix_path[108];      /* as sun_path */
    char data_path[PATH_MAX]; /* its --dir */
    struct server_options options;
};

/* options may be NULL. Returns when the server accepts connections. */
void server_start(struct server *server, const struct server_options *options);
/* With these directives, ended by NULL, and nothing else out of the ordinary. */
void server_start_with(struct server *server, const char *const *arguments);
/* Debian's redis-server, whatever SLUICE_SERVER says. */
void server_start_redis(struct server *server, const struct server_options *options);
/* A start that must be refused: waits for the process to end with a code other than 0; its output
 * is in server->log_path. */
void server_start_refused(struct server *server, const struct server_options *options);
/* Asks it to end and waits; an exit code other than 0 is a failure (suite_fail): sanitizers report
 * leaks there. Does nothing to a server that is not running. */
void server_stop(struct server *server);
/* kill -9, and waits. */
void server_kill(struct server *server);
/* Again with the same options in the same directory; the port changes. */
void server_restart(struct server *server);
/* The same, but returns as soon as it listens: it may be loading, and tell so. */
void server_restart_unready(struct server *server);
/* Fails the test when the process is gone. */
void server_must_live(const struct server *server);
/* Waits until its log holds text. */
void server_wait_log(const struct server *server, const char *text);
/* Whether its log holds text now. */
bool server_log_has(const struct server *server, const char *text);
#endif
