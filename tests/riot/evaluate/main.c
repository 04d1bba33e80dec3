/* Ten trials with random inputs, as RIOT-ML's evaluation of a whole model does them: how long each one took.
 */
#include <stdio.h>

#include "random.h"
#include "ztimer.h"

#include MODEL_HEADER

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define TRIALS 10
#define SEED 42

static JOIN(MODEL, _arena_t) arena;

int main(void) {
    random_init(SEED);
    for (unsigned trial = 0; trial < TRIALS; trial++) {
        /* Outputs may share bytes with inputs; both are within the arena. */
        random_bytes(arena.bytes, sizeof arena.bytes);
        uint32_t start = ztimer_now(ZTIMER_USEC);
        JOIN(MODEL, _invoke)(arena.bytes, NULL);
        uint32_t end = ztimer_now(ZTIMER_USEC);
        const int8_t *scores = JOIN(MODEL, _output_0)(arena.bytes);
        printf("trial %u: %lu us, first score %d\n", trial, (unsigned long)(end - start), scores[0]);
    }
    puts("evaluation finished");
    return 0;
}
