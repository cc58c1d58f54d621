/* rates.h - how much a second, lately: INFO's instantaneous_ fields.
 *
 * Whoever counts tells its counts about ten times a second while there is work; the rate is taken
 * over the last 1.6 seconds. A zeroed struct rates knows nothing yet. Loop thread only. */
#ifndef SERVER_OBSERVE_RATES_H
#define SERVER_OBSERVE_RATES_H
#include <stdint.h>

enum { RATES_SAMPLES = 16, RATES_SAMPLE_US = 100000 };

struct rate_counts {
    uint64_t commands, input_bytes, output_bytes; /* since start or since rates was zeroed */
};

struct rates {
    struct rates_sample {
        uint64_t at_us; /* 0: none */
        struct rate_counts counts;
    } samples[RATES_SAMPLES];
    uint32_t next; /* the oldest one, which the next replaces */
};

struct rate_figures {
    double commands, input_bytes, output_bytes; /* a second */
};

/* Does nothing when the last sample is younger than RATES_SAMPLE_US. now_us must not go back. */
void rates_sample(struct rates *rates, uint64_t now_us, const struct rate_counts *counts);
/* counts: as of now. All 0 when there is no sample that is old enough to tell. */
void rates_get(const struct rates *rates, uint64_t now_us, const struct rate_counts *counts,
               struct rate_figures *out_figures);
#endif
