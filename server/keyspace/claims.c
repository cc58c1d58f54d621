/* Each key that somebody claims has a queue of entries in order of arrival, and all tickets stand
 * in one list in that order. A ticket counts its obstacles: queues in which it is not the first,
 * and one more while an older claim on everything is there; at none it is granted. Only the oldest
 * of the claims on everything matters to the others: the next one cannot go before all that is
 * between them has. A lull is one of them to all tickets, but to nobody else. */
#include "server/keyspace/claims.h"

#include "server/keyspace/name_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct queue {
    struct name_node name;
    struct list_link entries; /* in order of arrival; never empty while the queue is in the table */
};

struct claim_entry {
    struct claim_ticket *ticket;
    struct queue *queue;
    struct list_link link; /* in queue->entries */
};

struct claims {
    struct claims_counts counts; /* first: claims_count looks at it */
    struct name_table queues;
    struct list_link tickets;          /* all, by number */
    struct list_link granted;          /* to be returned by claims_next_granted, by number */
    struct claim_ticket *first_global; /* the oldest claim on everything, or NULL */
    uint64_t everything_count;         /* claims on everything that are no lulls */
    uint64_t last_number;
};
static_assert(offsetof(struct claims, counts) == 0, "claims_count relies on it");

int claims_create(struct claims **out_claims)
{
    struct claims *claims = calloc(1, sizeof(*claims));
    int rc;
    if (!claims) return -ENOMEM;
    rc = name_table_init(&claims->queues, sizeof(struct queue));
    if (rc < 0) {
        free(claims);
        return rc;
    }
    list_init(&claims->tickets);
    list_init(&claims->granted);
    *out_claims = claims;
    return 0;
}

void claims_destroy(struct claims *claims)
{
    if (!claims) return;
    assert(claims->counts.tickets == 0);
    name_table_finish(&claims->queues);
    free(claims);
}

static struct queue *find_queue(const struct claims *claims, unsigned database, struct slice name)
{
    return (struct queue *)(void *)name_table_find(&claims->queues, database, name);
}

bool claims_would_wait(const struct claims *claims, const struct claim_name *names,
                       uint32_t name_count)
{
    if (claims->everything_count > 0) return true;
    if (claims->queues.count == 0) return false;
    for (uint32_t i = 0; i < name_count; i++) {
        if (find_queue(claims, names[i].database, names[i].name)) return true;
    }
    return false;
}

bool claims_all_would_wait(const struct claims *claims)
{
    return claims->counts.tickets > 0;
}

static struct claim_ticket *first_ticket(const struct queue *queue)
{
    return list_container(list_front(&queue->entries), struct claim_entry, link)->ticket;
}

const struct claim_ticket *claims_holder(const struct claims *claims, unsigned database,
                                         struct slice name)
{
    const struct claim_ticket *first;
    const struct queue *queue;
    if (claims->counts.tickets == 0) return NULL;
    first = claims->first_global;
    if (first && first->is_granted && !first->is_lull) return first;
    queue = find_queue(claims, database, name);
    if (!queue) return NULL;
    first = first_ticket(queue);
    return first->is_granted ? first : NULL;
}

bool claims_is_held(const struct claims *claims, unsigned database, struct slice name)
{
    return claims_holder(claims, database, name) != NULL;
}

/* ---- asking ---- */

static void start_ticket(struct claims *claims, struct claim_ticket *ticket, bool is_global)
{
    ticket->is_granted = false;
    ticket->entries = NULL;
    ticket->entry_count = 0;
    ticket->obstacles = claims->first_global ? 1 : 0;
    ticket->is_global = is_global;
    ticket->is_lull = false;
    list_init(&ticket->all_link);
    list_init(&ticket->granted_link);
}

static int admit_ticket(struct claims *claims, struct claim_ticket *ticket)
{
    ticket->number = ++claims->last_number;
    list_push_back(&claims->tickets, &ticket->all_link);
    claims->counts.tickets++;
    ticket->is_granted = ticket->obstacles == 0;
    if (!ticket->is_granted) claims->counts.waiting++;
    return ticket->is_granted ? 1 : 0;
}

static void drop_if_empty(struct claims *claims, struct queue *queue)
{
    if (!list_is_empty(&queue->entries)) return;
    name_table_take(&claims->queues, &queue->name);
    free(queue);
}

static struct queue *get_queue(struct claims *claims, const struct claim_name *name)
{
    struct queue *queue =
        (struct queue *)(void *)name_table_get(&claims->queues, name->database, name->name);
    if (queue && !queue->entries.next) list_init(&queue->entries);
    return queue;
}

/* The ticket is the newest of all: if it stands in the queue already, then last. */
static bool stands_in(const struct queue *queue, const struct claim_ticket *ticket)
{
    struct list_link *last = list_back(&queue->entries);
    return last && list_container(last, struct claim_entry, link)->ticket == ticket;
}

static void withdraw_newest(struct claims *claims, struct claim_ticket *ticket)
{
    for (uint32_t i = 0; i < ticket->entry_count; i++) {
        list_remove(&ticket->entries[i].link);
        drop_if_empty(claims, ticket->entries[i].queue);
    }
    free(ticket->entries);
    ticket->entries = NULL;
    ticket->entry_count = 0;
}

int claims_request(struct claims *claims, struct claim_ticket *ticket,
                   const struct claim_name *names, uint32_t name_count)
{
    start_ticket(claims, ticket, false);
    if (name_count > 0) {
        ticket->entries = malloc(name_count * sizeof(struct claim_entry));
        if (!ticket->entries) return -ENOMEM;
    }
    for (uint32_t i = 0; i < name_count; i++) {
        struct queue *queue = get_queue(claims, &names[i]);
        struct claim_entry *entry = &ticket->entries[ticket->entry_count];
        if (!queue) {
            withdraw_newest(claims, ticket);
            return -ENOMEM;
        }
        if (stands_in(queue, ticket)) continue;
        if (!list_is_empty(&queue->entries)) ticket->obstacles++;
        *entry = (struct claim_entry){ .ticket = ticket, .queue = queue };
        list_push_back(&queue->entries, &entry->link);
        ticket->entry_count++;
    }
    return admit_ticket(claims, ticket);
}

static int request_global(struct claims *claims, struct claim_ticket *ticket)
{
    ticket->obstacles = claims->counts.tickets > 0; /* all of them, until the last has gone */
    if (!claims->first_global) claims->first_global = ticket;
    return admit_ticket(claims, ticket);
}

int claims_request_all(struct claims *claims, struct claim_ticket *ticket)
{
    start_ticket(claims, ticket, true);
    claims->everything_count++;
    return request_global(claims, ticket);
}

int claims_request_lull(struct claims *claims, struct claim_ticket *ticket)
{
    start_ticket(claims, ticket, true);
    ticket->is_lull = true;
    return request_global(claims, ticket);
}

/* ---- giving back ---- */

static struct claim_ticket *ticket_of(struct list_link *all_link)
{
    return list_container(all_link, struct claim_ticket, all_link);
}

/* Keeps the granted ones in order of arrival; what comes is nearly always the newest of them. */
static void grant(struct claims *claims, struct claim_ticket *ticket)
{
    struct list_link *before = claims->granted.previous;
    assert(!ticket->is_granted && ticket->obstacles == 0);
    ticket->is_granted = true;
    claims->counts.waiting--;
    while (before != &claims->granted &&
           list_container(before, struct claim_ticket, granted_link)->number > ticket->number)
        before = before->previous;
    list_insert_between(before, &ticket->granted_link, before->next);
}

static void lift_obstacle(struct claims *claims, struct claim_ticket *ticket)
{
    assert(ticket->obstacles > 0);
    ticket->obstacles--;
    if (ticket->obstacles == 0) grant(claims, ticket);
}

static void leave_queue(struct claims *claims, struct claim_entry *entry)
{
    struct queue *queue = entry->queue;
    bool was_first = list_front(&queue->entries) == &entry->link;
    list_remove(&entry->link);
    if (was_first && !list_is_empty(&queue->entries)) lift_obstacle(claims, first_ticket(queue));
    drop_if_empty(claims, queue);
}

/* The oldest claim on everything goes: those behind it wait for the next one, or for none. */
static void free_followers(struct claims *claims, struct claim_ticket *global)
{
    struct list_link *link = global->all_link.next;
    claims->first_global = NULL;
    for (; link != &claims->tickets; link = link->next) {
        struct claim_ticket *ticket = ticket_of(link);
        if (ticket->is_global) {
            claims->first_global = ticket;
            break;
        }
        lift_obstacle(claims, ticket);
    }
}

void claims_release(struct claims *claims, struct claim_ticket *ticket)
{
    struct list_link *oldest;
    assert(claims->counts.tickets > 0);
    if (!ticket->is_granted) claims->counts.waiting--;
    list_remove(&ticket->granted_link);
    for (uint32_t i = 0; i < ticket->entry_count; i++)
        leave_queue(claims, &ticket->entries[i]);
    free(ticket->entries);
    ticket->entries = NULL;
    ticket->entry_count = 0;
    if (ticket->is_global && !ticket->is_lull) claims->everything_count--;
    if (ticket == claims->first_global) free_followers(claims, ticket);
    list_remove(&ticket->all_link);
    claims->counts.tickets--;
    oldest = list_front(&claims->tickets);
    if (oldest && ticket_of(oldest)->is_global && !ticket_of(oldest)->is_granted)
        lift_obstacle(claims, ticket_of(oldest));
}

/* ---- looking ---- */

uint64_t claims_newest(const struct claims *claims)
{
    return claims->last_number;
}

bool claims_has_older(const struct claims *claims, uint64_t number)
{
    struct list_link *oldest = list_front(&claims->tickets);
    return oldest && ticket_of(oldest)->number <= number;
}

struct claim_ticket *claims_next_granted(struct claims *claims)
{
    struct list_link *link = list_pop_front(&claims->granted);
    return link ? list_container(link, struct claim_ticket, granted_link) : NULL;
}
