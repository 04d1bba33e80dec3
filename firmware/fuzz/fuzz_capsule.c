/* libFuzzer target: any bytes as a capsule for an updatable model, which is beside it with its binding.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -DTO_UPDATABLE -Ifirmware/common/include -ILIB \
 *       -ILIB/kernels firmware/fuzz/fuzz_capsule.c LIB/...c binding.c factory.c \
 *       firmware/common/src/to_capsule.c firmware/common/src/to_sha256.c
 *
 * Kernels that a capsule's numbers may make overflow are compiled with -fwrapv.
 *
 * The first byte of an input chooses what is made right before the capsule is judged, so that the fuzzer need
 * not find hashes: 1 the size, 2 kernel ABI and plan, 4 the bytes of the structure, 8 the ports and counts.
 * Whatever is accepted runs. Seeds are capsules behind such a byte. */
#include <stdlib.h>
#include <string.h>

#include "tinyops/to_capsule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FIX_SIZE = 1, FIX_HASHES = 2, FIX_STRUCTURE = 4, FIX_PORTS = 8 };

static void fix_structure(const to_capsule_plan *plan, uint8_t *capsule, uint32_t size, uint32_t start) {
    for (uint16_t i = 0; i < plan->span_count; i++) {
        uint32_t at = start + plan->spans[i].offset;
        if (at <= size && plan->spans[i].bytes <= size - at) {
            memcpy(capsule + at, plan->factory + at, plan->spans[i].bytes);
        }
    }
}

static void fix(const to_capsule_plan *plan, uint8_t *capsule, uint32_t size, uint8_t what) {
    uint32_t header =
        TO_CAPSULE_HEADER_BYTES + TO_CAPSULE_PORT_BYTES * ((uint32_t)plan->input_count + plan->output_count);
    if (size < header) {
        return;
    }
    if (what & FIX_SIZE) {
        for (uint32_t i = 0; i < 4; i++) {
            capsule[8 + i] = (uint8_t)(size >> 8 * i);
        }
    }
    if (what & FIX_HASHES) {
        memcpy(capsule + 48, plan->factory + 48, 64);
        memcpy(capsule + 12, plan->factory + 12, 4);
        memcpy(capsule + 24, plan->factory + 24, 24);
    }
    if (what & FIX_PORTS) {
        memcpy(capsule + TO_CAPSULE_HEADER_BYTES, plan->factory + TO_CAPSULE_HEADER_BYTES,
               header - TO_CAPSULE_HEADER_BYTES);
    }
    if (what & FIX_STRUCTURE) {
        fix_structure(plan, capsule, size, (header + 15u) / 16u * 16u);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) {
        return 0;
    }
    const to_capsule_plan *plan = to_device_model.plan;
    uint32_t bytes = (uint32_t)(size - 1);
    uint8_t *capsule = malloc(bytes > 0 ? bytes : 1);
    if (capsule == NULL || (uintptr_t)capsule % TO_CAPSULE_ALIGNMENT != 0) {
        abort();
    }
    memcpy(capsule, data + 1, bytes);
    fix(plan, capsule, bytes, data[0]);
    if (to_capsule_verify(plan, capsule, bytes) == TO_REASON_OK) {
        uint32_t metadata_bytes;
        to_capsule_difference difference;
        (void)to_capsule_self_test(&to_device_model, capsule, &difference);
        to_capsule_activate(&to_device_model, capsule);
        to_device_model.init(to_device_model.state);
        to_device_model.invoke(to_device_model.arena, to_device_model.state);
        const uint8_t *metadata = to_capsule_metadata(capsule, &metadata_bytes);
        if (metadata + metadata_bytes != capsule + bytes || strlen(to_device_model.name) > 63) {
            abort();
        }
        to_capsule_activate(&to_device_model, plan->factory);
    }
    free(capsule);
    return 0;
}
