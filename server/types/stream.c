#include "server/types/stream.h"

#include "modules/base/alloc_size.h"
#include "modules/stream/group.h"
#include "modules/stream/producers.h"
#include "modules/stream/stream.h"
#include "server/types/stream_settings.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct stream_value {
    struct value value;
    struct stream *stream;
    struct stream_groups *groups;       /* NULL: none */
    struct stream_producers *producers; /* NULL: none */
    struct stream_settings *settings;   /* NULL: none of its own */
    uint64_t counted_bytes;             /* as the keyspace has it: at the last recount */
};

static struct stream_value *as_stream(const struct value *value)
{
    assert(value->type->kind == VALUE_STREAM);
    return (struct stream_value *)(void *)(uintptr_t)value;
}

static void destroy(struct value *value)
{
    struct stream_value *stream = as_stream(value);

    stream_groups_destroy(stream->groups);
    stream_producers_destroy(stream->producers);
    stream_destroy(stream->stream);
    free(stream->settings);
    free(stream);
}

static const char *encoding(const struct value *value)
{
    (void)value;
    return "stream";
}

/* The store counts what entries take. */
static uint64_t counted_bytes(const struct value *value)
{
    return as_stream(value)->counted_bytes;
}

static const struct value_type stream_type = {
    .kind = VALUE_STREAM,
    .name = "stream",
    .destroy = destroy,
    .encoding = encoding,
    .counted_bytes = counted_bytes,
};

int64_t stream_value_recount(struct value *value)
{
    struct stream_value *stream = as_stream(value);
    uint64_t before = stream->counted_bytes;
    struct stream_producers_info producers = { .memory_bytes = 0 };

    if (stream->producers) stream_producers_get_info(stream->producers, &producers);
    stream->counted_bytes = alloc_size(sizeof(*stream)) + producers.memory_bytes +
                            (stream->groups ? stream_groups_memory_bytes(stream->groups) : 0) +
                            (stream->settings ? alloc_size(sizeof(*stream->settings)) : 0);
    return (int64_t)(stream->counted_bytes - before);
}

int stream_value_create_of(struct stream *stream, struct stream_groups *groups,
                           struct stream_producers *producers, struct value **out_value)
{
    struct stream_value *value = malloc(sizeof(*value));

    if (!value) return -ENOMEM;
    *value = (struct stream_value){
        .value.type = &stream_type, .stream = stream, .groups = groups, .producers = producers
    };
    (void)stream_value_recount(&value->value);
    *out_value = &value->value;
    return 0;
}

int stream_value_create(struct stream_store *store, struct value **out_value)
{
    struct stream *stream;
    int rc = stream_create(store, &stream);

    if (rc < 0) return rc;
    rc = stream_value_create_of(stream, NULL, NULL, out_value);
    if (rc < 0) stream_destroy(stream);
    return rc;
}

struct stream *stream_value_stream(const struct value *value)
{
    return as_stream(value)->stream;
}

struct stream_groups *stream_value_groups(const struct value *value)
{
    return as_stream(value)->groups;
}

struct stream_producers *stream_value_producers(const struct value *value)
{
    return as_stream(value)->producers;
}

int stream_value_get_groups(struct value *value, struct stream_group_store *store,
                            struct stream_groups **out_groups)
{
    struct stream_value *stream = as_stream(value);
    int rc = 0;

    if (!stream->groups) rc = stream_groups_create(store, &stream->groups);
    if (rc == 0) *out_groups = stream->groups;
    return rc;
}

void stream_value_set_groups(struct value *value, struct stream_groups *groups)
{
    struct stream_value *stream = as_stream(value);

    assert(!stream->groups);
    stream->groups = groups;
}

void stream_value_set_producers(struct value *value, struct stream_producers *producers)
{
    struct stream_value *stream = as_stream(value);

    assert(!stream->producers);
    stream->producers = producers;
}

const struct stream_settings *stream_value_settings(const struct value *value)
{
    return as_stream(value)->settings;
}

int stream_value_set_settings(struct value *value, const struct stream_settings *settings)
{
    struct stream_value *stream = as_stream(value);

    if (stream_settings_are_default(settings)) {
        free(stream->settings);
        stream->settings = NULL;
        return 0;
    }
    if (!stream->settings) stream->settings = malloc(sizeof(*stream->settings));
    if (!stream->settings) return -ENOMEM;
    *stream->settings = *settings;
    if (settings->has[RETENTION_COMPRESS])
        stream_set_codec(stream->stream, (enum journal_codec)settings->values[RETENTION_COMPRESS]);
    return 0;
}
