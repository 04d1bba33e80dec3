/* A capsule and raw steps from standard input: a capsule as its size in 4 bytes (little-endian) and its
 * content, then steps until the end. Makes the capsule the active one and writes each input of the model that
 * the front end makes. */
#include <stdio.h>
#include <stdlib.h>

#include "tinyops/to_capsule.h"

int main(void) {
    const to_features *features = &to_device_features;
    const to_model *model = &to_device_model;
    uint8_t head[4];
    if (fread(head, 1, sizeof head, stdin) != sizeof head) {
        return 1;
    }
    uint32_t size = head[0] | (uint32_t)head[1] << 8 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 24;
    uint8_t *capsule = malloc(size);
    if (capsule == NULL || fread(capsule, 1, size, stdin) != size) {
        return 1;
    }
    to_reason reason = to_capsule_verify(model->plan, capsule, size);
    if (reason != TO_REASON_OK) {
        fprintf(stderr, "reason %d\n", (int)reason);
        free(capsule);
        return 2;
    }
    to_capsule_activate(&to_device_model, capsule);
    features->init(features->state);
    uint32_t steps = 0;
    while (fread(features->step, 1, features->step_bytes, stdin) == features->step_bytes) {
        features->push(features->state, features->step, model->arena);
        steps++;
        if (steps >= features->first_steps && (steps - features->first_steps) % features->next_steps == 0) {
            fwrite(model->arena + model->inputs[0].offset, 1, model->inputs[0].bytes, stdout);
        }
    }
    free(capsule);
    return 0;
}
