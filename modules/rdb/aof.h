/* aof.h - the commands of an append-only file of Redis, in order.
 *
 * What Redis accepts is accepted: RESP commands, lines of annotation ("#TS:…"), an RDB file in
 * front (rdb.h reads that; begin behind it). A file that ends in the middle of a command or of a
 * MULTI is torn: it counts up to the last whole command or transaction, which is where Redis cuts
 * it. Anything else that is no command is damage.
 *
 * Any thread, one at a time for an input; nothing here logs. */
#ifndef MODULES_RDB_AOF_H
#define MODULES_RDB_AOF_H
#include "modules/rdb/input.h"

struct aof_visitor {
    /* The slices are good until it returns, and may be changed. A command of a transaction comes
     * between MULTI and EXEC, which come too. Negative: aof_read stops with that result. */
    int (*command)(void *context, struct slice *arguments, uint32_t argument_count);
    /* Commands that take more memory than this are passed over, and only told by their name, which
     * may be cut. 0: there are none. */
    uint64_t command_bytes_max;
    int (*long_command)(void *context, struct slice name); /* not NULL if there is a maximum */
};

struct aof_end {
    uint64_t position; /* behind the last whole command that is not part of an open MULTI */
    uint64_t command_count;
    bool is_torn; /* bytes follow that are no whole command, or a MULTI without its EXEC */
};

/* Reads from where input stands to its end. An open MULTI was handed over as far as it goes: who
 * must not take a part of it reads twice, and the second time only to position (rdb_input_cut). 0,
 * errors as input.h, and the visitor's. */
int aof_read(struct rdb_input *input, const struct aof_visitor *visitor, void *context,
             struct aof_end *out_end);
#endif
