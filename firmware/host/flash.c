/* The flash region of updates, in a file or in memory. */
#ifdef TO_UPDATABLE

#include "flash_file.h"
#include "host.h"
#include "tinyops/to_update.h"

#define ERASED 0xFFu

static flash_file file;

void host_flash_open(const char *path) {
    char error[160];
    if (flash_file_open(&file, path, TO_FLASH_REGION_BYTES, TO_FLASH_ERASE_BYTES, TO_FLASH_WRITE_BYTES,
                        ERASED, error, sizeof error) != 0) {
        host_fail(path != NULL ? path : "flash", error);
    }
}

void to_port_update(to_update_port *port) {
    port->flash = host_faults_flash(&file);
    port->device_id = host_given.id_bytes == 16 ? host_given.id : NULL; /* a UUID */
    host_firmware_slot(port);
}

#endif
