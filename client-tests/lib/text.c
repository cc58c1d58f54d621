#include "client-tests/lib/text.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *text_reserve(struct text *text, size_t size)
{
    size_t needed = text->size + size + 1;

    if (needed > text->capacity) {
        size_t capacity = text->capacity ? text->capacity : 64;
        char *bytes;
        while (capacity < needed)
            capacity *= 2;
        bytes = realloc(text->bytes, capacity);
        if (!bytes) {
            fprintf(stderr, "client tests: out of memory (%zu bytes)\n", capacity);
            abort();
        }
        text->bytes = bytes;
        text->capacity = capacity;
    }
    return text->bytes + text->size;
}

void text_add(struct text *text, const void *bytes, size_t size)
{
    char *end = text_reserve(text, size);

    if (size > 0) memcpy(end, bytes, size);
    text->size += size;
    text->bytes[text->size] = '\0';
}

void text_add_string(struct text *text, const char *string)
{
    text_add(text, string, strlen(string));
}

void text_add_filler(struct text *text, size_t size)
{
    char *end = text_reserve(text, size);

    memset(end, 'x', size);
    text->size += size;
    text->bytes[text->size] = '\0';
}

void text_format(struct text *text, const char *format, ...)
{
    va_list arguments, again;
    char first[256];
    int length;

    if (!format) abort(); /* said aloud, or gcc 12 with -fsanitize=undefined warns of it below */
    va_start(arguments, format);
    va_copy(again, arguments);
    length = vsnprintf(first, sizeof(first), format, arguments);
    if (length < 0) abort(); /* only a broken format string does this */
    (void)text_reserve(text, (size_t)length);
    (void)vsnprintf(text->bytes + text->size, (size_t)length + 1, format, again);
    text->size += (size_t)length;
    va_end(again);
    va_end(arguments);
}

static void add_escaped(struct text *text, unsigned char byte)
{
    static const char plain[] = "\n\r\t\a\b\"\\", letters[] = "nrtab\"\\";
    const char *found = byte ? strchr(plain, byte) : NULL;

    if (found) {
        text_format(text, "\\%c", letters[found - plain]);
    } else if (isprint(byte)) {
        text_add(text, &byte, 1);
    } else {
        text_format(text, "\\x%02x", byte);
    }
}

void text_add_quoted(struct text *text, const char *bytes, size_t size)
{
    text_add_string(text, "\"");
    for (size_t i = 0; i < size; i++)
        add_escaped(text, (unsigned char)bytes[i]);
    text_add_string(text, "\"");
}

void text_add_shortened(struct text *text, const char *bytes, size_t size, size_t shown_max)
{
    size_t half = shown_max / 2;

    if (size <= shown_max) {
        text_add_quoted(text, bytes, size);
        return;
    }
    text_add_quoted(text, bytes, half);
    text_format(text, " (%zu bytes) ", size - 2 * half);
    text_add_quoted(text, bytes + size - half, half);
}

void text_clear(struct text *text)
{
    text->size = 0;
    if (text->bytes) text->bytes[0] = '\0';
}

void text_finish(struct text *text)
{
    free(text->bytes);
    *text = (struct text){ 0 };
}

const char *text_string(const struct text *text)
{
    return text->bytes ? text->bytes : "";
}

int text_add_file(struct text *text, const char *path)
{
    enum { STEP_BYTES = 16384 };
    FILE *file = fopen(path, "rb");
    size_t count;
    int rc = 0;

    if (!file) return -errno;
    do {
        char *end = text_reserve(text, STEP_BYTES);
        count = fread(end, 1, STEP_BYTES, file);
        text->size += count;
        text->bytes[text->size] = '\0';
    } while (count > 0);
    if (ferror(file)) rc = -EIO;
    (void)fclose(file); /* was only read */
    return rc;
}
