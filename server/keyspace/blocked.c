/* A key that somebody waits for has a queue of places; a waiter's places, one for each of its keys,
 * lie in one allocation. Queues that were signalled stand in a list; a queue goes when its last
 * place leaves. The one that blocked_next_ready gave out last is kept until it is called again,
 * because its caller goes on using the name while the waiters go. */
#include "server/keyspace/blocked.h"

#include "modules/base/alloc_size.h"
#include "modules/base/heap.h"
#include "modules/base/list.h"
#include "server/keyspace/name_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct queue {
    struct name_node name;
    struct list_link places;     /* in order of arrival */
    struct list_link ready_link; /* in blocked->ready, blocked->held_back, or nowhere */
};

struct blocked_place {
    struct waiter *waiter;
    struct queue *queue;
    struct list_link link; /* in queue->places */
};

struct blocked {
    struct blocked_counts counts; /* first: blocked_signal looks at it */
    struct name_table queues;
    struct list_link ready;     /* signalled queues, each with waiters, by first signal */
    struct list_link held_back; /* signalled queues that wait for blocked_resume */
    struct heap deadlines;
    struct queue *current; /* the one given out; may be out of the table */
    struct blocked_place
        *given; /* the place that blocked_first or next gave out, while it is there */
    uint64_t place_bytes, arrivals;
};
static_assert(offsetof(struct blocked, counts) == 0, "blocked_signal relies on it");

int blocked_create(struct blocked **out_blocked)
{
    struct blocked *blocked = calloc(1, sizeof(*blocked));
    int rc;
    if (!blocked) return -ENOMEM;
    rc = name_table_init(&blocked->queues, sizeof(struct queue));
    if (rc < 0) {
        free(blocked);
        return rc;
    }
    list_init(&blocked->ready);
    list_init(&blocked->held_back);
    heap_init(&blocked->deadlines, offsetof(struct waiter, heap_index));
    *out_blocked = blocked;
    return 0;
}

static void forget_current(struct blocked *blocked)
{
    struct queue *queue = blocked->current;
    blocked->current = NULL;
    if (queue && list_is_empty(&queue->places)) free(queue);
}

void blocked_destroy(struct blocked *blocked)
{
    if (!blocked) return;
    assert(blocked->counts.waiters == 0);
    forget_current(blocked);
    name_table_finish(&blocked->queues);
    heap_finish(&blocked->deadlines);
    free(blocked);
}

static struct queue *find_queue(const struct blocked *blocked, unsigned database, struct slice name)
{
    return (struct queue *)(void *)name_table_find(&blocked->queues, database, name);
}

static void drop_if_empty(struct blocked *blocked, struct queue *queue)
{
    if (!list_is_empty(&queue->places)) return;
    list_remove(&queue->ready_link);
    name_table_take(&blocked->queues, &queue->name);
    blocked->counts.keys--;
    if (queue != blocked->current) free(queue);
}

static struct queue *get_queue(struct blocked *blocked, unsigned database, struct slice name)
{
    struct queue *queue = (struct queue *)(void *)name_table_get(&blocked->queues, database, name);
    if (!queue || queue->places.next) return queue;
    list_init(&queue->places);
    list_init(&queue->ready_link);
    blocked->counts.keys++;
    return queue;
}

static struct blocked_place *place_of(struct list_link *link)
{
    return list_container(link, struct blocked_place, link);
}

/* The last place of who did not arrive after waiter; the queue's head when there is none. A new one
 * is the newest of all. One that comes back was mostly the first, as it was being served. */
static struct list_link *find_predecessor(struct queue *queue, const struct waiter *waiter)
{
    struct list_link *link = queue->places.previous;
    if (link == &queue->places || place_of(link)->waiter->arrival <= waiter->arrival) return link;
    link = queue->places.next;
    while (place_of(link)->waiter->arrival <= waiter->arrival)
        link = link->next;
    return link->previous;
}

/* False: it stands there already. */
static bool take_place(struct queue *queue, struct blocked_place *place, struct waiter *waiter)
{
    struct list_link *before = find_predecessor(queue, waiter);
    if (before != &queue->places && place_of(before)->waiter == waiter) return false;
    *place = (struct blocked_place){ .waiter = waiter, .queue = queue };
    list_insert_between(before, &place->link, before->next);
    return true;
}

static void leave_queues(struct blocked *blocked, struct waiter *waiter)
{
    for (uint32_t i = 0; i < waiter->place_count; i++) {
        struct blocked_place *place = &waiter->places[i];
        if (blocked->given == place) blocked->given = NULL;
        list_remove(&place->link);
        drop_if_empty(blocked, place->queue);
    }
    free(waiter->places);
    waiter->places = NULL;
    waiter->place_count = 0;
}

static uint64_t places_bytes(uint32_t count)
{
    return alloc_size(count * sizeof(struct blocked_place));
}

int blocked_add(struct blocked *blocked, struct waiter *waiter, const struct slice *names,
                uint32_t name_count)
{
    uint32_t place_capacity = name_count;
    assert(name_count > 0);
    if (waiter->arrival == 0) waiter->arrival = ++blocked->arrivals;
    waiter->place_count = 0;
    waiter->heap_index = HEAP_NOT_THERE;
    waiter->places = malloc(place_capacity * sizeof(struct blocked_place));
    if (!waiter->places) return -ENOMEM;
    for (uint32_t i = 0; i < name_count; i++) {
        struct queue *queue = get_queue(blocked, waiter->database, names[i]);
        struct blocked_place *place = &waiter->places[waiter->place_count];
        if (!queue) goto fail;
        if (take_place(queue, place, waiter)) waiter->place_count++;
    }
    if (waiter->deadline_us >= 0 && heap_add(&blocked->deadlines, waiter, waiter->deadline_us) < 0)
        goto fail;
    blocked->counts.waiters++;
    blocked->place_bytes += places_bytes(waiter->place_count);
    return 0;
fail:
    leave_queues(blocked, waiter);
    return -ENOMEM;
}

void blocked_remove(struct blocked *blocked, struct waiter *waiter)
{
    if (!waiter->places) return;
    if (waiter->heap_index != HEAP_NOT_THERE) heap_remove(&blocked->deadlines, waiter);
    blocked->counts.waiters--;
    blocked->place_bytes -= places_bytes(waiter->place_count);
    leave_queues(blocked, waiter);
}

bool blocked_is_waiting(const struct waiter *waiter)
{
    return waiter->places != NULL;
}

static void signal_queue(void *context, struct name_node *node)
{
    struct blocked *blocked = context;
    struct queue *queue = (struct queue *)(void *)node;
    if (list_is_empty(&queue->ready_link)) list_push_back(&blocked->ready, &queue->ready_link);
}

void blocked_signal_waited(struct blocked *blocked, unsigned database, struct slice name)
{
    struct queue *queue = find_queue(blocked, database, name);
    if (queue) signal_queue(blocked, &queue->name);
}

void blocked_signal_database(struct blocked *blocked, unsigned database)
{
    name_table_each(&blocked->queues, database, signal_queue, blocked);
}

bool blocked_next_ready(struct blocked *blocked, unsigned *out_database, struct slice *out_name)
{
    struct list_link *link;
    forget_current(blocked);
    link = list_pop_front(&blocked->ready);
    if (!link) return false;
    blocked->current = list_container(link, struct queue, ready_link);
    *out_database = blocked->current->name.database;
    *out_name = name_table_name(&blocked->queues, &blocked->current->name);
    return true;
}

void blocked_hold_back(struct blocked *blocked)
{
    struct queue *queue = blocked->current;
    assert(queue);
    if (!list_is_empty(&queue->places) && list_is_empty(&queue->ready_link))
        list_push_back(&blocked->held_back, &queue->ready_link);
}

void blocked_resume(struct blocked *blocked)
{
    list_append_all(&blocked->ready, &blocked->held_back);
}

static struct waiter *give(struct blocked *blocked, struct list_link *link)
{
    blocked->given = link ? place_of(link) : NULL;
    return link ? blocked->given->waiter : NULL;
}

struct waiter *blocked_first(struct blocked *blocked, unsigned database, struct slice name)
{
    struct queue *queue = find_queue(blocked, database, name);
    return queue ? give(blocked, list_front(&queue->places)) : NULL;
}

struct waiter *blocked_next(struct blocked *blocked, const struct waiter *waiter, unsigned database,
                            struct slice name)
{
    struct queue *queue = find_queue(blocked, database, name);
    struct blocked_place *place = blocked->given;
    if (!queue) return NULL;
    /* Mostly it is the one that was given out; else it is searched among the waiter's. */
    if (!place || place->waiter != waiter || place->queue != queue) {
        uint32_t i = 0;
        while (i < waiter->place_count && waiter->places[i].queue != queue)
            i++;
        assert(i < waiter->place_count);
        place = &waiter->places[i];
    }
    return give(blocked, place->link.next == &queue->places ? NULL : place->link.next);
}

struct waiter *blocked_expired(struct blocked *blocked, int64_t now_us)
{
    struct waiter *waiter = heap_first(&blocked->deadlines);
    return waiter && waiter->deadline_us <= now_us ? waiter : NULL;
}

int64_t blocked_next_deadline(const struct blocked *blocked)
{
    return blocked->deadlines.count == 0 ? -1 : heap_first_key(&blocked->deadlines);
}

void blocked_move_deadline(struct blocked *blocked, struct waiter *waiter, int64_t deadline_us)
{
    assert(waiter->heap_index != HEAP_NOT_THERE && deadline_us >= 0);
    waiter->deadline_us = deadline_us;
    heap_change(&blocked->deadlines, waiter, deadline_us);
}

uint64_t blocked_waiter_count(const struct blocked *blocked)
{
    return blocked->counts.waiters;
}

uint64_t blocked_key_count(const struct blocked *blocked)
{
    return blocked->counts.keys;
}

uint64_t blocked_memory_bytes(const struct blocked *blocked)
{
    return alloc_size(sizeof(*blocked)) + name_table_memory_bytes(&blocked->queues) +
           heap_memory_bytes(&blocked->deadlines) + blocked->place_bytes;
}
