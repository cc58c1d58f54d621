/* acl_category.h - the families that Redis sorts commands into. A command's own follow from its
 * flags and its group, and from its row in command_docs.def where that differs. Any thread. */
#ifndef SERVER_COMMANDS_ACL_CATEGORY_H
#define SERVER_COMMANDS_ACL_CATEGORY_H
#include <stdint.h>

#include "modules/base/slice.h"

struct command;

/* In the order in which Redis names them. */
enum acl_category {
    ACL_KEYSPACE = 1u << 0,
    ACL_READ = 1u << 1,
    ACL_WRITE = 1u << 2,
    ACL_SET = 1u << 3,
    ACL_SORTED_SET = 1u << 4,
    ACL_LIST = 1u << 5,
    ACL_HASH = 1u << 6,
    ACL_STRING = 1u << 7,
    ACL_BITMAP = 1u << 8,
    ACL_HYPERLOGLOG = 1u << 9,
    ACL_GEO = 1u << 10,
    ACL_STREAM = 1u << 11,
    ACL_PUBSUB = 1u << 12,
    ACL_ADMIN = 1u << 13,
    ACL_FAST = 1u << 14,
    ACL_SLOW = 1u << 15,
    ACL_BLOCKING = 1u << 16,
    ACL_DANGEROUS = 1u << 17,
    ACL_CONNECTION = 1u << 18,
    ACL_TRANSACTION = 1u << 19,
    ACL_SCRIPTING = 1u << 20,
};
enum { ACL_CATEGORY_COUNT = 21 };

/* All that apply, as a sum of enum acl_category. */
uint32_t acl_categories(const struct command *command);
/* "keyspace"; index < ACL_CATEGORY_COUNT stands for the bit of that number. */
const char *acl_category_name(unsigned index);
/* In any case; 0: there is none of that name. */
uint32_t acl_category_by_name(struct slice name);
#endif
