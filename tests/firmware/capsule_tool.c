/* Capsules from standard input, each as its size in 4 bytes (little-endian) and its content: prints for each
 * the reason of to_capsule_verify, and if it was accepted that of the self-test with where it differed, and
 * the name, digest, scales and zero points when it is active. Each is in memory of exactly its size. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tinyops/to_capsule.h"

static void show_active(const to_model *model) {
    printf(" %s ", model->name);
    for (int i = 0; i < 32; i++) {
        printf("%02x", (unsigned)model->digest[i]);
    }
    for (uint8_t i = 0; i < model->input_count; i++) {
        printf(" %.9g %d", (double)model->inputs[i].scale, (int)model->inputs[i].zero_point);
    }
    for (uint8_t i = 0; i < model->output_count; i++) {
        printf(" %.9g %d", (double)model->outputs[i].scale, (int)model->outputs[i].zero_point);
    }
}

static void test(to_model *model, const uint8_t *capsule, uint32_t size) {
    to_capsule_difference at = {0, 0, 0};
    to_reason reason = to_capsule_verify(model->plan, capsule, size);
    printf("%d", (int)reason);
    if (reason == TO_REASON_OK) {
        uint32_t bytes;
        to_reason tested = to_capsule_self_test(model, capsule, &at);
        const uint8_t *metadata = to_capsule_metadata(capsule, &bytes);
        printf(" %d %d %d %u %u", (int)tested, at.vector, at.output, (unsigned)at.index,
               (unsigned)(metadata + bytes == capsule + to_capsule_bytes(capsule)));
        to_capsule_activate(model, capsule);
        show_active(model);
        model->init(model->state);
        model->invoke(model->arena, model->state);
        to_capsule_activate(model, model->plan->factory);
    }
    printf("\n");
}

int main(void) {
    uint8_t head[4];
    while (fread(head, 1, sizeof head, stdin) == sizeof head) {
        uint32_t size = head[0] | (uint32_t)head[1] << 8 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 24;
        uint8_t *capsule = malloc(size); /* a multiple of 16 on computers of 64 bits */
        if (capsule == NULL || (uintptr_t)capsule % TO_CAPSULE_ALIGNMENT != 0 ||
            fread(capsule, 1, size, stdin) != size) {
            return 1;
        }
        test(&to_device_model, capsule, size);
        free(capsule);
    }
    return 0;
}
