#include "tinyops_update.h"

#include <string.h>

#include "flash.h"
#include "luid.h"
#include "tinyops/to_slipmux.h"

void flash_say(const char *why) {
    const char *const texts[] = {"update: the flash region: ", why, "\n", NULL};
    to_slipmux_send_text(texts);
}

/* A UUID of version 8 (RFC 9562), the form that others may fill. */
__attribute__((weak)) void tinyops_update_device_id(uint8_t id[16]) {
    luid_base(id, 16);
    id[6] = (uint8_t)((id[6] & 0x0Fu) | 0x80u);
    id[8] = (uint8_t)((id[8] & 0x3Fu) | 0x80u);
}

void to_port_update(to_update_port *port) {
    static const to_flash none;
    static uint8_t id[16];
    tinyops_update_device_id(id);
    port->device_id = id;
    port->flash = tinyops_update_flash();
    if (port->flash == NULL) {
        port->flash = &none; /* the firmware's own model runs, and manifests are refused */
    }
}
