#include "server/transfer/replies.h"

#include <errno.h>

#include "modules/base/number.h"

static const char *const refusals[] = { "OOM ", "MISCONF ", "LOADING ", "NOAUTH " };

static void keep_text(char *out, const char *text)
{
    size_t size = strnlen(text, REPLIES_LINE_BYTES - 1);

    if (out[0] != '\0') return;
    memcpy(out, text, size);
    out[size] = '\0';
}

static void take_error(struct replies *replies, const char *text)
{
    replies->error_count++;
    keep_text(replies->first_error, text);
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (strncmp(text, refusals[i], strlen(refusals[i])) == 0) keep_text(replies->refusal, text);
    }
}

/* A value is whole; so may be the arrays that it was the last of. */
static void end_value(struct replies *replies)
{
    while (replies->depth > 0) {
        if (--replies->left[replies->depth - 1] > 0) return;
        replies->depth--;
    }
    replies->count++;
}

static int open_array(struct replies *replies, int64_t count)
{
    if (count <= 0) {
        end_value(replies);
        return 0;
    }
    if (replies->depth == REPLIES_DEPTH_MAX) return -EBADMSG;
    replies->left[replies->depth++] = (uint64_t)count;
    return 0;
}

/* Longer lines than are kept: only errors and simple texts have them. */
static int take_line(struct replies *replies)
{
    struct slice text = slice_of(replies->line + 1, replies->line_size - 1);
    int64_t number = 0;

    replies->line[replies->line_size] = '\0';
    switch (replies->line[0]) {
    case '+':
        end_value(replies);
        return 0;
    case '-':
        take_error(replies, replies->line + 1);
        end_value(replies);
        return 0;
    default:
        break;
    }
    if (!number_parse_int64(text, &number)) return -EBADMSG;
    switch (replies->line[0]) {
    case ':':
        replies->last_integer = number;
        end_value(replies);
        return 0;
    case '$':
        if (number >= 0) {
            replies->bulk_left = (uint64_t)number + 2;
            return 0;
        }
        if (replies->depth == 0) replies->nil_count++;
        end_value(replies);
        return 0;
    case '*':
        return open_array(replies, number);
    default:
        return -EBADMSG;
    }
}

static int take_line_byte(struct replies *replies, char byte)
{
    int rc;

    if (byte != '\n') {
        if (replies->line_size < REPLIES_LINE_BYTES - 1) replies->line[replies->line_size++] = byte;
        return 0;
    }
    if (replies->line_size > 0 && replies->line[replies->line_size - 1] == '\r')
        replies->line_size--;
    if (replies->line_size == 0) return -EBADMSG;
    rc = take_line(replies);
    replies->line_size = 0;
    return rc;
}

int replies_take(struct replies *replies, struct slice bytes)
{
    size_t at = 0;
    int rc = 0;

    while (rc == 0 && at < bytes.size) {
        if (replies->bulk_left > 0) {
            size_t size = bytes.size - at;
            if (size > replies->bulk_left) size = (size_t)replies->bulk_left;
            replies->bulk_left -= size;
            at += size;
            if (replies->bulk_left == 0) end_value(replies);
        } else {
            rc = take_line_byte(replies, (char)bytes.bytes[at++]);
        }
    }
    return rc;
}
