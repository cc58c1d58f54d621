#include "client-tests/lib/resp.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES_MAX = 65536 }; /* no header or simple string of a server is longer */

/* The line that begins at offset, without its CRLF. 1, 0: incomplete, -EPROTO. */
static int line_at(const char *bytes, size_t size, size_t offset, size_t *out_length)
{
    const char *start = bytes + offset, *end = memchr(start, '\n', size - offset);

    if (!end) return size - offset > LINE_BYTES_MAX ? -EPROTO : 0;
    if (end == start || end[-1] != '\r') return -EPROTO;
    *out_length = (size_t)(end - start) - 1;
    return 1;
}

static bool parse_count(const char *digits, size_t length, int64_t *out_count)
{
    char copy[24], *end;

    if (length == 0 || length >= sizeof(copy)) return false;
    memcpy(copy, digits, length);
    copy[length] = '\0';
    errno = 0;
    *out_count = strtoll(copy, &end, 10);
    return errno == 0 && *end == '\0' && *out_count >= -1;
}

/* How many values follow the header of an aggregate of this type with this count; 0 for others. */
static uint64_t values_below(char type, int64_t count)
{
    if (count <= 0) return 0;
    switch (type) {
    case '*':
    case '~':
    case '>':
        return (uint64_t)count;
    case '%':
    case '|':
        return 2 * (uint64_t)count;
    default:
        return 0;
    }
}

int resp_scan(struct resp_scan *scan, const char *bytes, size_t size)
{
    if (scan->open_values == 0) {
        if (scan->offset > 0) return 1; /* asked again about a reply that is whole */
        scan->open_values = 1;
    }
    while (scan->open_values > 0) {
        size_t length = 0, next;
        int64_t count = 0;
        char type;
        int rc;

        if (scan->offset >= size) return 0;
        type = bytes[scan->offset];
        if (!strchr("+-:$*_#,(!=%~>|", type)) return -EPROTO;
        rc = line_at(bytes, size, scan->offset, &length);
        if (rc <= 0) return rc;
        next = scan->offset + length + 2;
        if (strchr("$*!=%~>|", type)) {
            if (!parse_count(bytes + scan->offset + 1, length - 1, &count)) return -EPROTO;
        }
        if (strchr("$!=", type) && count >= 0) {
            if (size - next < (size_t)count + 2) return 0;
            if (memcmp(bytes + next + count, "\r\n", 2) != 0) return -EPROTO;
            next += (size_t)count + 2;
        }
        scan->offset = next;
        /* An attribute stands before the value it describes: it does not count as one. */
        scan->open_values += values_below(type, count);
        if (type != '|') scan->open_values--;
    }
    return 1;
}

/* ---- as redis-cli shows it ----------------------------------------------------------------------
 */

struct view {
    const char *bytes;
    size_t size, offset;
};

static void render_value(struct text *out, struct view *view, int indent);

static void render_aggregate(struct text *out, struct view *view, char type, int64_t count,
                             int indent)
{
    const char *marks = "*)~~>>%#|#", *mark = strchr(marks, type);
    bool is_map = type == '%' || type == '|';
    int width = snprintf(NULL, 0, "%lld", (long long)count);

    if (count < 0) {
        text_add_string(out, "(nil)\n");
        return;
    }
    if (count == 0) {
        text_format(out, "(empty %s)\n", is_map ? "hash" : type == '~' ? "set" : "array");
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        int inner = indent + width + 2;
        if (i > 0) text_format(out, "%*s", indent, "");
        text_format(out, "%*lld%c ", width, (long long)i + 1, mark[1]);
        render_value(out, view, inner);
        if (!is_map) continue;
        out->size--; /* the value stands on the line of its key */
        text_add_string(out, " => ");
        render_value(out, view, inner);
    }
    if (type == '|') render_value(out, view, indent);
}

static void render_line(struct text *out, char type, const char *line, size_t length)
{
    switch (type) {
    case '-':
        text_add_string(out, "(error) ");
        break;
    case ':':
        text_add_string(out, "(integer) ");
        break;
    case ',':
        text_add_string(out, "(double) ");
        break;
    case '(':
        text_add_string(out, "(big number) ");
        break;
    case '_':
        text_add_string(out, "(nil)\n");
        return;
    case '#':
        text_add_string(out, line[0] == 't' ? "(true)\n" : "(false)\n");
        return;
    default:
        break;
    }
    text_add(out, line, length);
    text_add_string(out, "\n");
}

static void render_value(struct text *out, struct view *view, int indent)
{
    size_t length = 0;
    int64_t count = 0;
    const char *line;
    char type;

    if (view->offset >= view->size ||
        line_at(view->bytes, view->size, view->offset, &length) != 1) {
        text_add_string(out, "(truncated)\n");
        return;
    }
    type = view->bytes[view->offset];
    line = view->bytes + view->offset + 1;
    view->offset += length + 2;
    if (!strchr("$*!=%~>|", type)) {
        render_line(out, type, line, length - 1);
        return;
    }
    if (!parse_count(line, length - 1, &count)) {
        text_add_string(out, "(not RESP)\n");
        return;
    }
    if (!strchr("$!=", type)) {
        render_aggregate(out, view, type, count, indent);
        return;
    }
    if (count < 0) {
        text_add_string(out, "(nil)\n");
        return;
    }
    if (type == '!') text_add_string(out, "(error) ");
    if (type == '=') { /* a verbatim string: "txt:" and then what a terminal shows as it is */
        size_t skipped = count >= 4 ? 4 : (size_t)count;
        text_add(out, view->bytes + view->offset + skipped, (size_t)count - skipped);
    } else {
        text_add_quoted(out, view->bytes + view->offset, (size_t)count);
    }
    text_add_string(out, "\n");
    view->offset += (size_t)count + 2;
}

void resp_render(struct text *out, const char *bytes, size_t size)
{
    struct view view = { .bytes = bytes, .size = size };

    render_value(out, &view, 0);
    if (out->size > 0 && out->bytes[out->size - 1] == '\n') out->bytes[--out->size] = '\0';
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void resp_render_sorted(struct text *out, const char *bytes, size_t size)
{
    struct view view = { .bytes = bytes, .size = size };
    size_t length = 0;
    int64_t count = 0;
    char **lines;

    if (size == 0 || !strchr("*~%", bytes[0]) || line_at(bytes, size, 0, &length) != 1 ||
        !parse_count(bytes + 1, length - 1, &count) || count <= 0) {
        resp_render(out, bytes, size);
        return;
    }
    if (bytes[0] == '%') count *= 2;
    lines = calloc((size_t)count, sizeof(*lines));
    if (!lines) abort();
    view.offset = length + 2;
    for (int64_t i = 0; i < count; i++) {
        struct text line = { 0 };
        render_value(&line, &view, 0);
        lines[i] = line.bytes;
    }
    qsort(lines, (size_t)count, sizeof(*lines), compare_strings);
    for (int64_t i = 0; i < count; i++) {
        text_add_string(out, lines[i]);
        free(lines[i]);
    }
    free(lines);
}
