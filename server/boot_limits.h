/* boot_limits.h - what the system allows this process: raised as far as it may be, and told where
 * it is too little. For the start, from the loop's thread. */
#ifndef SERVER_BOOT_LIMITS_H
#define SERVER_BOOT_LIMITS_H
#include <stdint.h>

struct log;
struct os;

/* Room for so many clients' sockets beside the files that the server needs itself. */
void boot_limits_descriptors(struct log *log, uint64_t clients_max);
/* The pages of journals that are kept in memory (os.h: pin) will be, and the program's code is from
 * now on (boot_code.h); before any journal is opened. Where they may not be, the server works all
 * the same. */
void boot_limits_locked_memory(struct os *os, struct log *log);
#endif
