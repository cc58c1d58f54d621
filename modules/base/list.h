/* list.h - a doubly linked list through links that lie inside the listed things.
 *
 * The list is a ring that starts and ends at its head, so pushing and removing need no special
 * cases and no memory. A link is in at most one list; list_init makes an empty head, or a link that
 * is in none. Whoever owns the things owns their links. One thread at a time. */
#ifndef MODULES_BASE_LIST_H
#define MODULES_BASE_LIST_H
#include <stdbool.h>
#include <stddef.h>

struct list_link {
    struct list_link *previous, *next; /* itself: an empty head, or a link in no list */
};

/* The thing that a link lies in: list_container(link, struct client, waiting_link). */
#define list_container(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

/* Visits every link from front to back; the body may remove the visited one, and only that one. */
#define list_for_each(link, head)                                                                  \
    for (struct list_link * (link) = (head)->next, *link##_next = (link)->next; (link) != (head);  \
         (link) = link##_next, link##_next = (link)->next)

static inline void list_init(struct list_link *link)
{
    link->previous = link;
    link->next = link;
}

/* Of a head: nothing is listed. Of a link: it is in no list. */
static inline bool list_is_empty(const struct list_link *link)
{
    return link->next == link;
}

static inline void list_insert_between(struct list_link *previous, struct list_link *link,
                                       struct list_link *next)
{
    link->previous = previous;
    link->next = next;
    previous->next = link;
    next->previous = link;
}

/* link must be in no list. */
static inline void list_push_front(struct list_link *head, struct list_link *link)
{
    list_insert_between(head, link, head->next);
}

static inline void list_push_back(struct list_link *head, struct list_link *link)
{
    list_insert_between(head->previous, link, head);
}

/* Takes link out of whatever list it is in; harmless when it is in none. */
static inline void list_remove(struct list_link *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    list_init(link);
}

/* The first or last link, or NULL when the list is empty. */
static inline struct list_link *list_front(const struct list_link *head)
{
    /* The analyzer does not see that list_remove took a link off that was freed then. */
    return list_is_empty(head) ? NULL : head->next; /* NOLINT(clang-analyzer-unix.Malloc) */
}

static inline struct list_link *list_back(const struct list_link *head)
{
    return list_is_empty(head) ? NULL : head->previous;
}

/* Removes and returns the first link, or NULL. */
static inline struct list_link *list_pop_front(struct list_link *head)
{
    struct list_link *link = list_front(head);
    if (link) list_remove(link);
    return link;
}

/* Moves all of from behind what head lists already; from is empty afterwards. O(1). */
static inline void list_append_all(struct list_link *head, struct list_link *from)
{
    if (list_is_empty(from)) return;
    from->next->previous = head->previous;
    head->previous->next = from->next;
    from->previous->next = head;
    head->previous = from->previous;
    list_init(from);
}
#endif
