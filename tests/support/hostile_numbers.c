/* A capsule whose numbers are random, as far as they are allowed, is accepted and runs without undefined
 * behaviour. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tinyops/to_capsule.h"

int hostile_numbers(const char *name, const to_model *model, unsigned rounds);

static uint64_t state = 88172645463325252u;

static uint32_t random_word(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

static uint8_t random_byte(void) {
    static const uint8_t extremes[] = {0x00, 0x7F, 0x80, 0xFF};
    uint32_t x = random_word();
    return x & 0x300 ? (uint8_t)x : extremes[x & 3];
}

static void fill(const to_capsule_plan *plan, uint8_t *data) {
    uint32_t at = 0;
    for (uint32_t i = 0; i <= plan->span_count; i++) {
        uint32_t end = i < plan->span_count ? plan->spans[i].offset : plan->data_bytes;
        while (at < end) {
            data[at++] = random_byte();
        }
        at += i < plan->span_count ? plan->spans[i].bytes : 0;
    }
    for (uint32_t i = 0; i < plan->range_count; i++) {
        const to_capsule_range *r = &plan->ranges[i];
        uint32_t width = (uint32_t)r->high - (uint32_t)r->low;
        for (uint32_t k = 0; k < r->count; k++) {
            uint32_t x = random_word();
            uint32_t value = (uint32_t)r->low + (x & 1       ? (x & 2 ? width : 0)
                                                 : width + 1 ? x % (width + 1)
                                                             : x);
            uint32_t lower = r->size == 8 ? 4 : 0; /* the range is of the upper 4 bytes */
            for (uint32_t b = lower; b < r->size; b++) {
                data[r->offset + k * r->size + b] = (uint8_t)(value >> 8 * (b - lower));
            }
        }
    }
}

int hostile_numbers(const char *name, const to_model *model, unsigned rounds) {
    const to_capsule_plan *plan = model->plan;
    uint32_t bytes = plan->factory_bytes;
    uint8_t *memory = malloc(bytes + TO_CAPSULE_ALIGNMENT);
    uint8_t *capsule = memory + (TO_CAPSULE_ALIGNMENT - (uintptr_t)memory % TO_CAPSULE_ALIGNMENT);
    memcpy(capsule, plan->factory, bytes);
    uint32_t header =
        TO_CAPSULE_HEADER_BYTES + TO_CAPSULE_PORT_BYTES * ((uint32_t)plan->input_count + plan->output_count);
    header += (TO_CAPSULE_ALIGNMENT - header % TO_CAPSULE_ALIGNMENT) % TO_CAPSULE_ALIGNMENT;
    int failed = 0;
    for (unsigned i = 0; i < rounds && !failed; i++) {
        fill(plan, capsule + header);
        to_reason reason = to_capsule_verify(plan, capsule, bytes);
        failed = reason != TO_REASON_OK;
        if (failed) {
            printf("%s: FAILED, hostile numbers are refused with %d\n", name, (int)reason);
        } else {
            (void)to_capsule_self_test(model, capsule, NULL);
        }
    }
    free(memory);
    return failed;
}
