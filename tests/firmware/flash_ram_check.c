/* The flash region of an emulated board keeps the rules of flash and outlasts resets; exit status 17 when it
 * does. */
#include <string.h>

#include "tinyops/to_port.h"
#include "tinyops/to_update.h"

static const uint8_t data[8] = {1, 2, 3, 4, 5, 6, 7, 8};

/* Every write that breaks a rule is refused and changes nothing. */
static int breaks_rules(const to_flash *f) {
    return f->write(f->context, 1, data, 4) == 0 || f->write(f->context, 4, data, 3) == 0 ||
           f->write(f->context, f->bytes, data, 4) == 0 || f->write(f->context, f->bytes - 4, data, 8) == 0 ||
           f->write(f->context, UINT32_MAX - 3, data, 4) == 0 || f->write(f->context, 0, data, 4) == 0 ||
           f->erase(f->context, 4) == 0 || f->erase(f->context, f->bytes) == 0 ||
           f->erase(f->context, UINT32_MAX - f->erase_bytes + 1) == 0;
}

static int is_erased(const to_flash *f, uint32_t from, uint32_t to) {
    while (from < to && f->memory[from] == f->erased) {
        from++;
    }
    return from == to;
}

int main(void) {
    to_update_port port;
    memset(&port, 0, sizeof port);
    to_port_init();
    to_port_update(&port);
    const to_flash *f = port.flash;
    if (!to_flash_valid(f) || f->bytes != TO_FLASH_REGION_BYTES) {
        return 1;
    }
    if (is_erased(f, 0, f->bytes)) { /* the first start */
        if (f->write(f->context, 0, data, 4) != 0 || f->write(f->context, f->bytes - 8, data, 8) != 0 ||
            breaks_rules(f)) {
            return 2;
        }
        to_port_reset();
    }
    if (memcmp(f->memory, data, 4) != 0 || memcmp(f->memory + f->bytes - 8, data, 8) != 0) {
        return 3;
    }
    if (is_erased(f, 4, f->bytes - 8)) { /* the second */
        if (f->write(f->context, 4, data, 4) != 0) {
            return 4;
        }
        to_port_reset();
    }
    if (memcmp(f->memory + 4, data, 4) != 0 || f->erase(f->context, 0) != 0 ||
        !is_erased(f, 0, f->bytes - 8)) {
        return 5;
    }
    return f->erase(f->context, f->bytes - f->erase_bytes) == 0 && is_erased(f, 0, f->bytes) ? 17 : 6;
}
