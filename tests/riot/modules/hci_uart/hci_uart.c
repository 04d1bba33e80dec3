/* A Bluetooth controller behind a UART (H4), for NimBLE's host: with it native64 has a radio. */
#include "isrpipe.h"
#include "mutex.h"
#include "periph/uart.h"
#include "thread.h"
#include "ztimer.h"

#include "syscfg/syscfg.h"

#include "os/os_mbuf.h"
#include "os/os_mempool.h"

#include "nimble/hci_common.h"
#include "nimble/transport.h"
#include "nimble/transport/hci_h4.h"

#define DEVICE UART_DEV(0)
#define BAUDRATE 1000000
#define PRIORITY 2
#define COMMAND_HEADER 3u

static uint8_t memory[8192];
static isrpipe_t arrived = ISRPIPE_INIT(memory);
static char stack[THREAD_STACKSIZE_DEFAULT];
static mutex_t sending = MUTEX_INIT;
static struct hci_h4_sm parser;

static void take(void *context, uint8_t byte) {
    (void)context;
    isrpipe_write_one(&arrived, byte);
}

static int to_host(uint8_t type, void *data) {
    switch (type) {
    case HCI_H4_ACL:
        return ble_transport_to_hs_acl(data);
    case HCI_H4_EVT:
        return ble_transport_to_hs_evt(data);
    default:
        return -1;
    }
}

static void *parse(void *context) {
    uint8_t bytes[64];
    (void)context;
    for (;;) {
        int count = isrpipe_read(&arrived, bytes, sizeof bytes);
        const uint8_t *at = bytes;
        while (count > 0) {
            int taken = hci_h4_sm_rx(&parser, at, (uint16_t)count);
            if (taken <= 0) { /* the host has to free buffers first */
                ztimer_sleep(ZTIMER_MSEC, 1);
                continue;
            }
            at += taken;
            count -= taken;
        }
    }
    return NULL;
}

static void open_once(void) {
    static int opened;
    if (!opened) {
        opened = 1;
        hci_h4_sm_init(&parser, &hci_h4_allocs_from_ll, to_host);
        thread_create(stack, sizeof stack, PRIORITY, 0, parse, NULL, "hci");
        uart_init(DEVICE, BAUDRATE, take, NULL);
    }
}

int ble_transport_to_ll_cmd_impl(void *buffer) {
    static const uint8_t type = HCI_H4_CMD;
    const uint8_t *command = buffer;
    open_once();
    mutex_lock(&sending);
    uart_write(DEVICE, &type, 1);
    uart_write(DEVICE, command, COMMAND_HEADER + command[2]);
    mutex_unlock(&sending);
    ble_transport_free(buffer);
    return 0;
}

int ble_transport_to_ll_acl_impl(struct os_mbuf *packet) {
    static const uint8_t type = HCI_H4_ACL;
    open_once();
    mutex_lock(&sending);
    uart_write(DEVICE, &type, 1);
    for (const struct os_mbuf *part = packet; part != NULL; part = SLIST_NEXT(part, om_next)) {
        uart_write(DEVICE, part->om_data, part->om_len);
    }
    mutex_unlock(&sending);
    os_mbuf_free_chain(packet);
    return 0;
}
