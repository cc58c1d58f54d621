#include "bench/lib/summary.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lib/guard.h"

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

double median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), compare_doubles);
    if (count % 2 == 1) return values[count / 2];
    return (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* ---- histogram ---------------------------------------------------------------------------------
 */

/* Below 128 a value is its own bucket; above, the top seven bits choose it. */
static unsigned bucket_of(uint64_t value)
{
    unsigned shift;

    if (value < (2u << HISTOGRAM_STEP_BITS)) return (unsigned)value;
    shift = 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_STEP_BITS;
    return (shift << HISTOGRAM_STEP_BITS) + (unsigned)(value >> shift);
}

static uint64_t bucket_end(unsigned bucket)
{
    unsigned shift;

    if (bucket < (2u << HISTOGRAM_STEP_BITS)) return bucket;
    shift = (bucket >> HISTOGRAM_STEP_BITS) - 1;
    return ((uint64_t)(bucket - (shift << HISTOGRAM_STEP_BITS) + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->counts[bucket_of(value)]++;
    histogram->count++;
    if (value > histogram->max) histogram->max = value;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->counts[i] += from->counts[i];
    into->count += from->count;
    if (from->max > into->max) into->max = from->max;
}

uint64_t histogram_quantile(const struct histogram *histogram, double quantile)
{
    uint64_t wanted = (uint64_t)((double)histogram->count * quantile + 0.5), seen = 0;

    if (wanted == 0) wanted = 1;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen >= wanted) return bucket_end(i) < histogram->max ? bucket_end(i) : histogram->max;
    }
    return histogram->max;
}

/* ---- table -------------------------------------------------------------------------------------
 */

enum { TABLE_ROW_MAX = 512, TABLE_COLUMN_MAX = 16, TABLE_LINE_BYTES = 512 };

struct table {
    char *rows[TABLE_ROW_MAX]; /* cells separated by '|'; the first row has the headings */
    size_t row_count;
};

static void add_row(struct table *table, const char *text)
{
    if (table->row_count == TABLE_ROW_MAX)
        bench_fail("a table of more than %d rows", TABLE_ROW_MAX);
    table->rows[table->row_count] = strdup(text);
    if (!table->rows[table->row_count]) bench_fail("out of memory");
    table->row_count++;
}

struct table *table_create(const char *headings)
{
    struct table *table = calloc(1, sizeof(*table));

    if (!table) bench_fail("out of memory");
    add_row(table, headings);
    return table;
}

void table_row(struct table *table, const char *format, ...)
{
    char line[TABLE_LINE_BYTES];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    add_row(table, line);
}

/* Characters, not bytes: micro signs and the like take one place. */
static int text_width(const char *text, size_t size)
{
    int width = 0;

    for (size_t i = 0; i < size; i++)
        width += ((unsigned char)text[i] & 0xc0) != 0x80;
    return width;
}

static void measure_columns(const struct table *table, int *out_widths)
{
    for (size_t row = 0; row < table->row_count; row++) {
        const char *cell = table->rows[row];
        for (int column = 0; column < TABLE_COLUMN_MAX; column++) {
            size_t size = strcspn(cell, "|");
            int width = text_width(cell, size);
            if (width > out_widths[column]) out_widths[column] = width;
            if (!cell[size]) break;
            cell += size + 1;
        }
    }
}

static void print_row(const char *cell, const int *widths)
{
    for (int column = 0; column < TABLE_COLUMN_MAX; column++) {
        size_t size = strcspn(cell, "|");
        int fill = widths[column] - text_width(cell, size);
        bool is_last = !cell[size];
        if (column > 0) printf("  %*s", fill, "");
        printf("%.*s", (int)size, cell);
        if (is_last) break;
        if (column == 0) printf("%*s", fill, "");
        cell += size + 1;
    }
    putchar('\n');
}

void table_finish(struct table *table)
{
    int widths[TABLE_COLUMN_MAX] = { 0 };

    measure_columns(table, widths);
    for (size_t row = 0; row < table->row_count; row++) {
        print_row(table->rows[row], widths);
        free(table->rows[row]);
    }
    putchar('\n');
    free(table);
}
