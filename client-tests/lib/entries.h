/* entries.h - streams of all sizes with consumer groups, the same for the same seed. */
#ifndef CLIENT_TESTS_LIB_ENTRIES_H
#define CLIENT_TESTS_LIB_ENTRIES_H
#include "client-tests/lib/wire.h"

/* Makes the streams "s0" to "s<count-1>" of the selected database, a fifth of them of thousands of
 * entries: some entries are deleted or trimmed away, some pending, some acknowledged. Whatever is
 * pending is there, as no command could make it pending elsewhere if it were not. A third expire in
 * a far future. */
void entries_fill(struct wire *wire, uint64_t seed, unsigned count);
#endif
