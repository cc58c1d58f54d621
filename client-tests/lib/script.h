/* script.h - a file of commands that a pair of servers must answer alike.
 *
 * A line is a command as typed into redis-cli, after optional marks:
 *   @N        on connection N (0 when unsaid); open transactions and the like stay with it
 *   @N&       the command blocks in both servers; its reply is compared when it is served
 *   @N?       the command may block, but its timeout ends that soon: only the reply is compared
 *   @N!       both servers close connection N (no command, or one that leads to it)
 *   @N-       closes connection N (no command)
 *   ~type ~near ~idle ~code ~sorted ~any   how the replies are compared (see enum pair_compare);
 * the comment before such a line, or the first of several, says why they may differ raw "…"   these
 * bytes instead of a command, and one reply;  send "…": the same without a reply =         no
 * command: one more reply of connection N is compared %fill key count size   pushes count numbered
 * elements of size bytes %gone key              waits until the key has expired in both A line that
 * starts with # is a comment. */
#ifndef CLIENT_TESTS_LIB_SCRIPT_H
#define CLIENT_TESTS_LIB_SCRIPT_H
#include "client-tests/lib/pair.h"

/* Runs the file on fresh connections; differences are in pair->report. 0, or -errno when the file
 * cannot be read. A line that is no script fails the test. */
int script_run(struct pair *pair, const char *path, int protocol);
/* One line of that language. The caller says where it is in pair->place. */
void script_line(struct pair *pair, const char *text);
#endif
