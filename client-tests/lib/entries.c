#include "client-tests/lib/entries.h"

#include "client-tests/lib/random.h"

static size_t send_entries(struct wire *wire, struct random *random, unsigned index)
{
    unsigned count = (unsigned)random_below(random, random_percent(random, 20) ? 3000 : 12);

    for (unsigned i = 1; i <= count; i++)
        wire_command(wire, "XADD s%u %u-%u field %u other value", index, i, i % 3, i);
    wire_command(wire, "XADD s%u %u-0 own fields", index, count + 1);
    wire_command(wire, "XDEL s%u 2-2 3-0 5-2", index);
    if (!random_percent(random, 30)) return count + 2;
    wire_command(wire, "XTRIM s%u MAXLEN %u", index, (unsigned)random_below(random, 5));
    wire_command(wire, "PEXPIREAT s%u 33000000000000", index);
    return count + 4;
}

static size_t send_groups(struct wire *wire, struct random *random, unsigned index)
{
    wire_command(wire, "XGROUP CREATE s%u g 0", index);
    wire_command(wire, "XGROUP CREATE s%u idle 1-1 ENTRIESREAD 1", index);
    wire_command(wire, "XREADGROUP GROUP g one COUNT %u STREAMS s%u >",
                 1 + (unsigned)random_below(random, 700), index);
    wire_command(wire, "XREADGROUP GROUP g two COUNT 3 STREAMS s%u >", index);
    wire_command(wire, "XACK s%u g 1-1 6-0", index);
    wire_command(wire, "XGROUP CREATECONSUMER s%u idle nobody", index);
    return 6;
}

void entries_fill(struct wire *wire, uint64_t seed, unsigned count)
{
    struct random random = { seed };
    size_t sent = 0;

    for (unsigned i = 0; i < count; i++) {
        sent += send_entries(wire, &random, i);
        sent += send_groups(wire, &random, i);
    }
    wire_skip(wire, sent);
}
