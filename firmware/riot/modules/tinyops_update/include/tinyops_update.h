/* Signed updates of the model (tinyops/to_update.h) as a RIOT module.
 *
 * The region of journal and banks is in one of three memories, by a module of its own:
 *
 *   tinyops_update_flashpage   the processor's flash, by periph_flashpage: its end, which the linker keeps
 * free tinyops_update_mtd         a memory technology device, such as a flash on SPI tinyops_update_vfs two
 * files of a mounted file system
 *
 * The models in the last two are read in RAM: a mirror as large as the region. The default is the first one
 * where the processor maps its flash, else the second one.
 *
 * With tinyops_update_pull the device fetches updates itself, by nanocoap_sock in a thread of its own. */
#ifndef TINYOPS_UPDATE_H
#define TINYOPS_UPDATE_H

#include <stddef.h>
#include <stdint.h>

#include "tinyops/to_update.h"

/* Which memory device holds the region, and at which byte it starts: a multiple of TO_FLASH_ERASE_BYTES. */
#ifndef CONFIG_TINYOPS_UPDATE_MTD
#define CONFIG_TINYOPS_UPDATE_MTD 0
#endif
#ifndef CONFIG_TINYOPS_UPDATE_MTD_OFFSET
#define CONFIG_TINYOPS_UPDATE_MTD_OFFSET 0
#endif

/* The files are this and ".journal", this and ".banks". */
#ifndef CONFIG_TINYOPS_UPDATE_VFS_PATH
#define CONFIG_TINYOPS_UPDATE_VFS_PATH "/nvm0/tinyops"
#endif

/* The server of check-ins, coap://HOST[:PORT]; "": none, updates are pushed or triggered. */
#ifndef CONFIG_TINYOPS_UPDATE_SERVER
#define CONFIG_TINYOPS_UPDATE_SERVER ""
#endif
#ifndef CONFIG_TINYOPS_UPDATE_CHECK_IN_SECONDS
#define CONFIG_TINYOPS_UPDATE_CHECK_IN_SECONDS 3600
#endif

/* The largest block to ask for: 2^(n + 4) bytes. */
#ifndef CONFIG_TINYOPS_UPDATE_BLOCK_SZX
#define CONFIG_TINYOPS_UPDATE_BLOCK_SZX TO_COAP_BLOCK_SZX
#endif

/* The thread of tinyops_update_pull, which verifies signatures; the priority is that after its start. */
#ifndef CONFIG_TINYOPS_UPDATE_STACK_BYTES
#define CONFIG_TINYOPS_UPDATE_STACK_BYTES (THREAD_STACKSIZE_DEFAULT + 8192)
#endif
#ifndef CONFIG_TINYOPS_UPDATE_PRIORITY
#define CONFIG_TINYOPS_UPDATE_PRIORITY (THREAD_PRIORITY_MAIN + 2)
#endif

/* The memory of the region; it is opened with the first call. NULL when it cannot be used: the firmware's own
 * model runs then, and updates are refused. */
const to_flash *tinyops_update_flash(void);

/* The device's identity in manifests for it alone and in check-ins: a UUID of 16 bytes. This one is made of
 * RIOT's luid; an application may define its own. */
void tinyops_update_device_id(uint8_t id[16]);

/* With tinyops_update_pull: the server of check-ins from now on, coap://HOST[:PORT]; NULL: none. The text
 * must stay valid. */
void tinyops_update_set_server(const char *server);

#endif
