#include "faults.h"

#include <stdio.h>
#include <stdlib.h>

static host_faults chosen;
static uint64_t state;

/* splitmix64: neighbouring seeds have unlike sequences. */
static uint64_t draw(void) {
    uint64_t z = state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

void host_faults_start(const host_faults *faults) {
    chosen = *faults;
    state = faults->seed;
}

int host_faults_lose(void) { return chosen.loss != 0 && draw() % 1000000u < chosen.loss; }

int host_faults_double(void) { return chosen.duplicates != 0 && draw() % 1000000u < chosen.duplicates; }

#ifdef TO_UPDATABLE

static flash_file *powered;

static void end_when_cut(void) {
    if (powered->off) {
        printf("power cut in operation %lu of the flash\n", (unsigned long)chosen.cut_at);
        fflush(stdout);
        _Exit(HOST_POWER_CUT);
    }
}

static int erase(void *context, uint32_t offset) {
    const to_flash *flash = context;
    int failed = flash->erase(flash->context, offset);
    end_when_cut();
    return failed;
}

static int write_units(void *context, uint32_t offset, const uint8_t *data, uint32_t size) {
    const to_flash *flash = context;
    int failed = flash->write(flash->context, offset, data, size);
    end_when_cut();
    return failed;
}

const to_flash *host_faults_flash(flash_file *file) {
    static to_flash flash;
    if (chosen.cut_at == 0) {
        return &file->flash;
    }
    powered = file;
    flash = file->flash;
    flash.erase = erase;
    flash.write = write_units;
    flash.context = &file->flash;
    flash_cut cut = FLASH_CUT_BEFORE + (flash_cut)(draw() % 3u);
    flash_torn torn = (flash_torn)(draw() % FLASH_TORN_KINDS);
    flash_file_cut(file, cut, chosen.cut_at, torn, draw());
    return &flash;
}

#endif
