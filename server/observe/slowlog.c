#include "server/observe/slowlog.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* One allocation: this, then the slices, then all bytes. */
struct node {
    struct node *newer, *older; /* NULL: none */
    struct slowlog_entry entry;
    size_t size_bytes;
};

struct slowlog {
    struct node *latest, *oldest; /* both NULL: empty */
    uint64_t count, entries_max, next_id, memory_bytes;
};

/* What stands in the place of what was left out. */
struct note {
    char text[64];
};

static struct slice note_arguments(uint32_t left_out, struct note *note)
{
    int size = snprintf(note->text, sizeof(note->text), "... (%u more arguments)", left_out);
    return slice_of(note->text, (size_t)size);
}

static struct slice note_bytes(struct slice argument, struct note *note)
{
    int size = 0;

    if (argument.size > SLOWLOG_ARGUMENT_BYTES_MAX)
        size = snprintf(note->text, sizeof(note->text), "... (%zu more bytes)",
                        argument.size - SLOWLOG_ARGUMENT_BYTES_MAX);
    return slice_of(note->text, (size_t)size);
}

static struct slice kept_part(struct slice argument)
{
    if (argument.size > SLOWLOG_ARGUMENT_BYTES_MAX) argument.size = SLOWLOG_ARGUMENT_BYTES_MAX;
    return argument;
}

/* Appends bytes at *at and moves it on. */
static struct slice put(uint8_t **at, struct slice bytes)
{
    const struct slice copy = slice_of(*at, bytes.size);

    if (bytes.size > 0) memcpy(*at, bytes.bytes, bytes.size);
    *at += bytes.size;
    return copy;
}

static uint32_t kept_count(const struct slowlog_entry *entry)
{
    return entry->argument_count < SLOWLOG_ARGUMENTS_MAX ? entry->argument_count
                                                         : SLOWLOG_ARGUMENTS_MAX;
}

/* True: this argument's place is taken by the note of those that were left out. */
static bool is_note(const struct slowlog_entry *entry, uint32_t index)
{
    return entry->argument_count > SLOWLOG_ARGUMENTS_MAX && index == SLOWLOG_ARGUMENTS_MAX - 1;
}

static size_t node_size(const struct slowlog_entry *entry)
{
    const uint32_t count = kept_count(entry);
    size_t size = sizeof(struct node) + count * sizeof(struct slice);
    struct note note;

    for (uint32_t i = 0; i < count; i++) {
        const struct slice argument = entry->arguments[i];

        size += is_note(entry, i) ? note_arguments(entry->argument_count - i, &note).size
                                  : kept_part(argument).size + note_bytes(argument, &note).size;
    }
    return size + kept_part(entry->peer).size + kept_part(entry->client_name).size;
}

static struct node *node_create(const struct slowlog_entry *entry, uint64_t id)
{
    const uint32_t count = kept_count(entry);
    const size_t size = node_size(entry);
    struct node *node = malloc(size);
    struct slice *arguments;
    struct note note;
    uint8_t *at;

    if (!node) return NULL;
    arguments = (struct slice *)(node + 1);
    at = (uint8_t *)(arguments + count);
    for (uint32_t i = 0; i < count; i++) {
        const struct slice argument = entry->arguments[i];

        if (is_note(entry, i)) {
            arguments[i] = put(&at, note_arguments(entry->argument_count - i, &note));
        } else {
            arguments[i] = put(&at, kept_part(argument));
            arguments[i].size += put(&at, note_bytes(argument, &note)).size;
        }
    }
    node->entry = (struct slowlog_entry){ .id = id,
                                          .time_s = entry->time_s,
                                          .duration_us = entry->duration_us,
                                          .arguments = arguments,
                                          .argument_count = count };
    node->entry.peer = put(&at, kept_part(entry->peer));
    node->entry.client_name = put(&at, kept_part(entry->client_name));
    node->size_bytes = size;
    assert(at == (uint8_t *)node + size);
    return node;
}

int slowlog_create(uint64_t entries_max, struct slowlog **out_slowlog)
{
    struct slowlog *slowlog = calloc(1, sizeof(*slowlog));

    if (!slowlog) return -ENOMEM;
    slowlog->entries_max = entries_max;
    *out_slowlog = slowlog;
    return 0;
}

void slowlog_destroy(struct slowlog *slowlog)
{
    if (!slowlog) return;
    slowlog_reset(slowlog);
    free(slowlog);
}

static void drop_oldest(struct slowlog *slowlog)
{
    struct node *node = slowlog->oldest;

    assert(node);
    slowlog->oldest = node->newer;
    if (node->newer)
        node->newer->older = NULL;
    else
        slowlog->latest = NULL;
    slowlog->count--;
    slowlog->memory_bytes -= node->size_bytes;
    free(node);
}

static void shrink(struct slowlog *slowlog)
{
    while (slowlog->count > slowlog->entries_max || slowlog->memory_bytes > SLOWLOG_BYTES_MAX)
        drop_oldest(slowlog);
}

void slowlog_set_length(struct slowlog *slowlog, uint64_t entries_max)
{
    slowlog->entries_max = entries_max;
    shrink(slowlog);
}

int slowlog_add(struct slowlog *slowlog, const struct slowlog_entry *entry)
{
    struct node *node = node_create(entry, slowlog->next_id);

    if (!node) return -ENOMEM;
    slowlog->next_id++;
    node->newer = NULL;
    node->older = slowlog->latest;
    if (node->older)
        node->older->newer = node;
    else
        slowlog->oldest = node;
    slowlog->latest = node;
    slowlog->count++;
    slowlog->memory_bytes += node->size_bytes;
    shrink(slowlog);
    return 0;
}

uint64_t slowlog_length(const struct slowlog *slowlog)
{
    return slowlog->count;
}

void slowlog_reset(struct slowlog *slowlog)
{
    while (slowlog->count > 0)
        drop_oldest(slowlog);
    assert(slowlog->memory_bytes == 0);
}

const struct slowlog_entry *slowlog_latest(const struct slowlog *slowlog)
{
    return slowlog->latest ? &slowlog->latest->entry : NULL;
}

const struct slowlog_entry *slowlog_before(const struct slowlog_entry *entry)
{
    const struct node *node =
        (const struct node *)(const void *)((const char *)entry - offsetof(struct node, entry));

    return node->older ? &node->older->entry : NULL;
}

uint64_t slowlog_memory_bytes(const struct slowlog *slowlog)
{
    return slowlog->memory_bytes;
}
