/* boot_code.h - the program's own code stays in memory.
 *
 * Code is pages of a file to the kernel, which takes them when page cache is short, as it is with a
 * data directory larger than memory; and code that was never run was never read. The first command
 * of its kind would then have the event loop wait for the disk. */
#ifndef SERVER_BOOT_CODE_H
#define SERVER_BOOT_CODE_H

struct os;

/* Reads the program's code and constants in and keeps them there, as far as RLIMIT_MEMLOCK allows.
 * 0, or why they may go as before (-ENOMEM, -EPERM, -EAGAIN). */
int boot_code_pin(struct os *os);
#endif
