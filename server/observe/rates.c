#include "server/observe/rates.h"

static const struct rates_sample *last_sample(const struct rates *rates)
{
    return &rates->samples[(rates->next + RATES_SAMPLES - 1) % RATES_SAMPLES];
}

void rates_sample(struct rates *rates, uint64_t now_us, const struct rate_counts *counts)
{
    uint64_t last_us = last_sample(rates)->at_us;

    if (last_us > 0 && now_us - last_us < RATES_SAMPLE_US) return;
    rates->samples[rates->next] = (struct rates_sample){ now_us, *counts };
    rates->next = (rates->next + 1) % RATES_SAMPLES;
}

/* The oldest that still says something about now; after a time without work that is the last one,
 * since nothing but the calls of this moment has happened since. */
static const struct rates_sample *sample_of(const struct rates *rates, uint64_t now_us)
{
    const uint64_t window_us = (uint64_t)RATES_SAMPLES * RATES_SAMPLE_US;

    for (uint32_t i = 0; i < RATES_SAMPLES; i++) {
        const struct rates_sample *sample = &rates->samples[(rates->next + i) % RATES_SAMPLES];

        if (sample->at_us > 0 && now_us - sample->at_us <= window_us) return sample;
    }
    return last_sample(rates);
}

void rates_get(const struct rates *rates, uint64_t now_us, const struct rate_counts *counts,
               struct rate_figures *out_figures)
{
    const struct rates_sample *sample = sample_of(rates, now_us);
    double seconds = (double)(now_us - sample->at_us) / 1e6;

    *out_figures = (struct rate_figures){ 0 };
    /* Over less than a sample's time a single command would be thousands a second. */
    if (sample->at_us == 0 || now_us - sample->at_us < RATES_SAMPLE_US) return;
    out_figures->commands = (double)(counts->commands - sample->counts.commands) / seconds;
    out_figures->input_bytes = (double)(counts->input_bytes - sample->counts.input_bytes) / seconds;
    out_figures->output_bytes =
        (double)(counts->output_bytes - sample->counts.output_bytes) / seconds;
}
