/* libFuzzer target: fuzz_device.c with updatable firmware, whose flash is empty at the start of each input
 * and checks the rules of flash. tests/firmware/test_fuzz_update.py builds it around a model, and makes its
 * seeds. */
#include "fuzz_device.c"

#include <string.h>

#include "tinyops/to_update.h"

#define ERASED 0xFFu

__attribute__((aligned(16))) static uint8_t memory[TO_FLASH_REGION_BYTES];

static int erase(void *context, uint32_t offset) {
    (void)context;
    require(offset % TO_FLASH_ERASE_BYTES == 0 && offset < sizeof memory);
    memset(memory + offset, ERASED, TO_FLASH_ERASE_BYTES);
    return 0;
}

static int write_units(void *context, uint32_t offset, const uint8_t *data, uint32_t size) {
    (void)context;
    require(offset % TO_FLASH_WRITE_BYTES == 0 && size % TO_FLASH_WRITE_BYTES == 0);
    require(offset <= sizeof memory && size <= sizeof memory - offset);
    for (uint32_t i = 0; i < size; i++) {
        require(memory[offset + i] == ERASED);
        memory[offset + i] = data[i];
    }
    return 0;
}

static const to_flash flash = {.memory = memory,
                               .bytes = sizeof memory,
                               .erase_bytes = TO_FLASH_ERASE_BYTES,
                               .write_bytes = TO_FLASH_WRITE_BYTES,
                               .erased = ERASED,
                               .erase = erase,
                               .write = write_units};

void to_port_update(to_update_port *port) {
    memset(memory, ERASED, sizeof memory);
    port->flash = &flash;
}
