/* read_only_os.h - the kernel, but that nothing can be changed: files are opened for reading,
 * whatever they are opened for, and what would write fails with -EROFS. */
#ifndef SERVER_CHECK_READ_ONLY_OS_H
#define SERVER_CHECK_READ_ONLY_OS_H

struct os;

/* One static table; do not free. */
struct os *os_read_only(void);
#endif
