/* latency_text.c - latency events for people: a graph of characters, and a report in sentences. */
#include "server/observe/latency.h"
#include <assert.h>
#include <inttypes.h>

/* ---- graph ---------------------------------------------------------------------------------- */

enum { GRAPH_ROWS = 4, GRAPH_STEPS_A_ROW = 3, AGE_BYTES_MAX = 24 };

/* "12s", "3m", "5h", "9d". */
static int format_age(char text[AGE_BYTES_MAX], int64_t age_s)
{
    static const struct {
        int64_t least_s;
        char unit;
    } units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
    size_t i = 0;

    if (age_s < 0) age_s = 0; /* somebody has set the clock back */
    while (i < 3 && age_s < units[i].least_s)
        i++;
    return snprintf(text, AGE_BYTES_MAX, "%" PRId64 "%c", age_s / units[i].least_s, units[i].unit);
}

static void range_of(const struct latency_event *event, uint32_t *out_low, uint32_t *out_high)
{
    *out_low = UINT32_MAX;
    *out_high = 0;
    for (uint32_t i = 0; i < latency_sample_count(event); i++) {
        const uint32_t ms = latency_sample_at(event, i).latency_ms;

        if (ms < *out_low) *out_low = ms;
        if (ms > *out_high) *out_high = ms;
    }
}

/* What the column of a sample shows in a row; row 0 is the lowest. */
static char column_at(uint32_t ms, uint32_t low, uint32_t high, uint32_t row)
{
    const uint64_t steps = GRAPH_ROWS * GRAPH_STEPS_A_ROW;
    /* All alike: all as high as can be. */
    uint64_t step = high == low ? steps : (uint64_t)(ms - low) * steps / (high - low);

    if (step == steps) step--;
    if (step / GRAPH_STEPS_A_ROW > row) return '|';
    if (step / GRAPH_STEPS_A_ROW < row) return ' ';
    return "_o#"[step % GRAPH_STEPS_A_ROW];
}

/* Ages stand below their columns, from top to bottom. */
static void write_ages(const struct latency_event *event, int64_t now_s, FILE *out)
{
    const uint32_t count = latency_sample_count(event);

    for (int line = 0;; line++) {
        char row[LATENCY_SAMPLES_MAX];
        bool is_empty = true;

        for (uint32_t i = 0; i < count; i++) {
            char age[AGE_BYTES_MAX];
            const int size = format_age(age, now_s - latency_sample_at(event, i).time_s);

            row[i] = line < size ? age[line] : ' ';
            is_empty &= line >= size;
        }
        if (is_empty) return;
        (void)fprintf(out, "%.*s\n", (int)count, row);
    }
}

void latency_graph(const struct latency_event *event, int64_t now_s, FILE *out)
{
    const uint32_t count = latency_sample_count(event);
    uint32_t low, high;

    range_of(event, &low, &high);
    (void)fprintf(out,
                  "%s - high %" PRIu32 " ms, low %" PRIu32 " ms (all time high %" PRIu32 " ms)\n",
                  latency_name(event), high, low, latency_worst_ms(event));
    for (int i = 0; i < 80; i++)
        (void)fputc('-', out);
    (void)fputc('\n', out);
    for (uint32_t row = GRAPH_ROWS; row-- > 0;) {
        for (uint32_t i = 0; i < count; i++)
            (void)fputc(column_at(latency_sample_at(event, i).latency_ms, low, high, row), out);
        (void)fputc('\n', out);
    }
    (void)fprintf(out, "%*s\n", (int)count, "");
    write_ages(event, now_s, out);
}

/* ---- doctor --------------------------------------------------------------------------------- */

struct summary {
    uint64_t average_ms, deviation_ms;
    double period_s;
};

static struct summary summarize(const struct latency_event *event, int64_t now_s)
{
    const uint32_t count = latency_sample_count(event);
    int64_t age_s = now_s - latency_sample_at(event, 0).time_s;
    struct summary summary = { 0 };
    uint64_t sum = 0, deviations = 0;

    assert(count > 0);
    for (uint32_t i = 0; i < count; i++)
        sum += latency_sample_at(event, i).latency_ms;
    summary.average_ms = sum / count;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t ms = latency_sample_at(event, i).latency_ms;

        deviations += ms > summary.average_ms ? ms - summary.average_ms : summary.average_ms - ms;
    }
    summary.deviation_ms = deviations / count;
    if (age_s < 1) age_s = 1;
    summary.period_s = (double)age_s / count;
    return summary;
}

static void write_advice(const struct latency *latency, FILE *out)
{
    (void)fputs("\nWhat to look at:\n\n", out);
    if (latency_event_find(latency, SLICE_LITERAL("command")))
        (void)fputs("- SLOWLOG GET shows which commands took long. Commands that walk a whole list "
                    "or answer "
                    "with all of it are the usual ones.\n",
                    out);
    if (latency_event_find(latency, SLICE_LITERAL("fast-command")))
        (void)fputs("- Commands that never take long by themselves did: the machine is short of "
                    "processor time "
                    "or memory. See load, steal time, swapping and transparent huge pages.\n",
                    out);
    (void)fputs("- INFO stats has max_tick_us, the longest turn of the event loop, and "
                "max_tick_cpu_us, the "
                "most that one computed: if that is much less, it waited for a processor. Waiting "
                "for a disk is "
                "no part of any latency here; whether the disk keeps up is in INFO spill.\n",
                out);
}

void latency_doctor(const struct latency *latency, int64_t threshold_ms, int64_t now_s, FILE *out)
{
    const uint32_t count = latency_event_count(latency);

    if (threshold_ms == 0) {
        (void)fputs(
            "Latency is not being monitored: CONFIG SET latency-monitor-threshold <milliseconds> "
            "starts it.\n",
            out);
        return;
    }
    if (count == 0) {
        (void)fprintf(out, "Nothing has taken %" PRId64 " ms or longer so far.\n", threshold_ms);
        return;
    }
    (void)fputs("These events took longer than latency-monitor-threshold:\n\n", out);
    for (uint32_t i = 0; i < count; i++) {
        const struct latency_event *event = latency_event_at(latency, i);
        const struct summary summary = summarize(event, now_s);

        (void)fprintf(out,
                      "%" PRIu32 ". %s: %" PRIu32 " times, %" PRIu64
                      " ms on average (mean deviation %" PRIu64
                      " ms), about every %.2f s; the longest ever took %" PRIu32 " ms\n",
                      i + 1, latency_name(event), latency_sample_count(event), summary.average_ms,
                      summary.deviation_ms, summary.period_s, latency_worst_ms(event));
    }
    write_advice(latency, out);
}
