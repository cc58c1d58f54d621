/* boot_directory.h - the data directory: one server at a time, spill files of our own, the pid
 * file. */
#ifndef SERVER_BOOT_DIRECTORY_H
#define SERVER_BOOT_DIRECTORY_H

struct os;
struct log;

struct boot_directory {
    int lock_fd;      /* 0: not open */
    char *spill_path; /* DIR/spill */
};

/* Takes the lock DIR/sluice.lock and makes DIR/spill; names foreign files there in the log.
 * -EWOULDBLOCK: another server works in dir. -EUCLEAN: it holds half a backup. Errors were logged.
 */
int boot_directory_open(struct os *os, struct log *log, const char *dir,
                        struct boot_directory *out_directory);
void boot_directory_close(struct os *os, struct boot_directory *directory);

/* Whole, or not there and an error that was logged. path "": none is wanted. */
int boot_directory_write_pid(struct os *os, struct log *log, const char *path);
void boot_directory_remove_pid(struct os *os, const char *path);
#endif
