/* The serial line through the emulator's semihosting console: a hundred times as fast as its UARTs, whose
 * every byte costs two thread switches (measured with QEMU 7.2 under -icount: 3 MB/s here, 25 kB/s there). */
#include "board.h"
#include "semihosting.h"
#include "tinyops/to_port.h"

void serial_init(void) {}

int to_port_read(uint8_t *data, size_t n) {
    (void)n;
    data[0] = semihosting_readc();
    return 1;
}

/* Texts up to the next zero byte go in one call, zero bytes in calls of their own. */
void to_port_write(const uint8_t *data, size_t n) {
    static const uint8_t zero = 0;
    uint8_t text[65];
    while (n > 0) {
        size_t length = 0;
        while (length < n && length < sizeof text - 1 && data[length] != 0) {
            text[length] = data[length];
            length++;
        }
        if (length > 0) {
            text[length] = 0;
            semihosting(SEMIHOSTING_WRITE0, text);
        } else {
            semihosting(SEMIHOSTING_WRITEC, &zero);
            length = 1;
        }
        data += length;
        n -= length;
    }
}
