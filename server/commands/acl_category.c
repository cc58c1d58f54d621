#include "server/commands/acl_category.h"

#include <assert.h>
#include <stddef.h>

#include "server/commands/command.h"
#include "server/commands/command_docs.h"

static const char *const names[ACL_CATEGORY_COUNT] = {
    "keyspace", "read",   "write",       "set",       "sortedset",  "list",        "hash",
    "string",   "bitmap", "hyperloglog", "geo",       "stream",     "pubsub",      "admin",
    "fast",     "slow",   "blocking",    "dangerous", "connection", "transaction", "scripting",
};

static const struct {
    const char *group;
    uint32_t category;
} groups[] = {
    { "generic", ACL_KEYSPACE },
    { "string", ACL_STRING },
    { "list", ACL_LIST },
    { "set", ACL_SET },
    { "sorted-set", ACL_SORTED_SET },
    { "hash", ACL_HASH },
    { "bitmap", ACL_BITMAP },
    { "hyperloglog", ACL_HYPERLOGLOG },
    { "geo", ACL_GEO },
    { "stream", ACL_STREAM },
    { "pubsub", ACL_PUBSUB },
    { "connection", ACL_CONNECTION },
    { "transactions", ACL_TRANSACTION },
    { "scripting", ACL_SCRIPTING },
};

/* A container only leads to its subcommands, and COMMAND alone is one and does something: its row
 * in command_docs.def says so. */
static uint32_t of_group(const struct command *command)
{
    if (command->child_count > 0) return 0;
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        if (strcmp(groups[i].group, command->group) == 0) return groups[i].category;
    }
    return 0;
}

uint32_t acl_categories(const struct command *command)
{
    const struct command_docs *docs = command->docs;
    uint32_t sum = docs && docs->categories ? docs->categories : of_group(command);

    if (command->flags & COMMAND_READONLY && !(sum & ACL_SCRIPTING)) sum |= ACL_READ;
    if (command->flags & COMMAND_WRITE && !(sum & ACL_SCRIPTING)) sum |= ACL_WRITE;
    if (command->flags & COMMAND_ADMIN) sum |= ACL_ADMIN | ACL_DANGEROUS;
    if (command->flags & COMMAND_DANGEROUS) sum |= ACL_DANGEROUS;
    if (command->flags & COMMAND_PUBSUB) sum |= ACL_PUBSUB;
    if (command->flags & COMMAND_BLOCKING) sum |= ACL_BLOCKING;
    sum |= command->flags & COMMAND_FAST ? ACL_FAST : ACL_SLOW;
    return sum;
}

const char *acl_category_name(unsigned index)
{
    assert(index < ACL_CATEGORY_COUNT);
    return names[index];
}

uint32_t acl_category_by_name(struct slice name)
{
    for (unsigned i = 0; i < ACL_CATEGORY_COUNT; i++) {
        if (slice_equal_nocase(slice_of_string(names[i]), name)) return 1u << i;
    }
    return 0;
}
