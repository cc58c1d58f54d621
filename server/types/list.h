/* list.h - the value of a list key: a deque of the spill store. Loop thread only. */
#ifndef SERVER_TYPES_LIST_H
#define SERVER_TYPES_LIST_H
#include "server/types/value.h"

struct spill_deque;
struct spill_store;

/* An empty one; the caller's until the keyspace takes it. store must outlive it. 0 or -errno as
 * spill_deque_create. Destroying it never waits. */
int list_create(struct spill_store *store, struct value **out_value);
/* The value of a list that there is; takes it over. -ENOMEM: it is still the caller's. */
int list_create_of(struct spill_deque *deque, struct value **out_value);
/* value is a list. The deque belongs to it. */
struct spill_deque *list_deque(const struct value *value);
#endif
