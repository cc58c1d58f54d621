/* export_put.h - commands into the file of an export, argument by argument. When the file fails
 * nothing more is put, and it says so itself. Loop thread only. */
#ifndef SERVER_COMMANDS_EXPORT_PUT_H
#define SERVER_COMMANDS_EXPORT_PUT_H
#include <stdint.h>

#include "modules/base/slice.h"

struct exporting;

/* Bytes as they are. */
void export_put(struct exporting *exporting, struct slice bytes);
/* A command of so many arguments begins. */
void export_put_count(struct exporting *exporting, uint64_t count);
void export_put_argument(struct exporting *exporting, struct slice argument);
void export_put_text(struct exporting *exporting, const char *text);
void export_put_number(struct exporting *exporting, int64_t number);

/* SELECT, where the last one named another. */
void export_select(struct exporting *exporting, unsigned database);
/* DEL */
void export_put_delete(struct exporting *exporting, struct slice name);
/* PEXPIREAT, unless at_ms is negative. */
void export_put_expiry(struct exporting *exporting, struct slice name, int64_t at_ms);
#endif
