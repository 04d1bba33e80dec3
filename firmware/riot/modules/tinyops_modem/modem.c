#include "tinyops_modem.h"

#include <stdio.h>
#include <string.h>

#include "at.h"
#include "auto_init_utils.h"
#include "isrpipe/read_timeout.h"
#include "lwip/sys.h"
#include "netif/ppp/pppapi.h"
#include "netif/ppp/pppos.h"
#include "thread.h"
#include "ztimer.h"

#define COMMAND_US (5u * 1000000u)
#define DIAL_US (60u * 1000000u)
#define READ_US 200000u

/* Of what comes while the thread is busy: a frame of PPP, most of whose bytes may be escaped. */
#define PIPE_BYTES 2048u

static at_dev_t at;
static char pipe_memory[PIPE_BYTES];
static char response[64];
static char stack[THREAD_STACKSIZE_DEFAULT + 512];

static ppp_pcb *ppp;
static struct netif interface;
static volatile tinyops_modem_state state;
static volatile int has_ended;

tinyops_modem_state tinyops_modem_get_state(void) { return state; }

/* What lwIP's PPP takes from its port, and RIOT's does not have. */
u32_t sys_jiffies(void) { return ztimer_now(ZTIMER_MSEC); }

/* In lwIP's thread */

static u32_t send(ppp_pcb *pcb, const void *bytes, u32_t size, void *context) {
    (void)pcb;
    (void)context;
    uart_write(at.uart, bytes, size);
    return size;
}

static void changed(ppp_pcb *pcb, int error, void *context) {
    (void)pcb;
    (void)context;
    if (error == PPPERR_NONE) {
        state = TINYOPS_MODEM_ONLINE;
        const ip4_addr_t *own = netif_ip4_addr(&interface);
        printf("modem: online, %u.%u.%u.%u\n", ip4_addr1(own), ip4_addr2(own), ip4_addr3(own),
               ip4_addr4(own));
    } else {
        has_ended = 1;
    }
}

/* In the modem's thread */

/* 0: in the home network or roaming, as AT+CEREG? tells. */
static int ask_registration(void) {
    char answer[32] = "";
    if (at_send_cmd_get_resp_wait_ok(&at, "AT+CEREG?", "+CEREG: ", answer, sizeof answer, COMMAND_US) < 0) {
        return -1;
    }
    const char *status = strchr(answer, ',');
    return status != NULL && (status[1] == '1' || status[1] == '5') ? 0 : -1;
}

static int wait_for_network(void) {
    for (unsigned i = 0; i < CONFIG_TINYOPS_MODEM_REGISTER_SECONDS; i++) {
        if (ask_registration() == 0) {
            return 0;
        }
        ztimer_sleep(ZTIMER_MSEC, 1000);
    }
    return -1;
}

static int set_apn(void) {
    static const char command[] = "AT+CGDCONT=1,\"IP\",\"" CONFIG_TINYOPS_MODEM_APN "\"";
    return sizeof CONFIG_TINYOPS_MODEM_APN == 1 ? 0 : at_send_cmd_wait_ok(&at, command, COMMAND_US);
}

/* 0: what comes from now on is PPP. */
static int dial(void) {
    char answer[48];
    state = TINYOPS_MODEM_SILENT;
    if (at_send_cmd_wait_ok(&at, "AT", COMMAND_US) != 0) {
        return -1;
    }
    state = TINYOPS_MODEM_UNREGISTERED;
    if (set_apn() != 0 || wait_for_network() != 0) {
        return -1;
    }
    state = TINYOPS_MODEM_REFUSED;
    if (at_send_cmd_get_resp(&at, CONFIG_TINYOPS_MODEM_DIAL, answer, sizeof answer, DIAL_US) < 0 ||
        strncmp(answer, "CONNECT", 7) != 0) {
        return -1;
    }
    state = TINYOPS_MODEM_CONNECTING;
    return 0;
}

/* Until the other side, or nobody any more, ends it. */
static void carry(void) {
    uint8_t bytes[128];
    has_ended = 0;
    if (pppapi_connect(ppp, 0) != ERR_OK) {
        return;
    }
    while (!has_ended) {
        int count = isrpipe_read_timeout(&at.isrpipe, bytes, sizeof bytes, READ_US);
        if (count > 0) {
            pppos_input_tcpip(ppp, bytes, count);
        }
    }
}

/* Back to commands: a pause, +++, a pause (V.250). */
static void hang_up(void) {
    state = TINYOPS_MODEM_SILENT;
    ztimer_sleep(ZTIMER_MSEC, 1100);
    uart_write(at.uart, (const uint8_t *)"+++", 3);
    ztimer_sleep(ZTIMER_MSEC, 1100);
    at_drain(&at);
    at_send_cmd_wait_ok(&at, "ATH", COMMAND_US);
}

static void *run(void *context) {
    (void)context;
    const at_dev_init_t settings = {
        .uart = UART_DEV(CONFIG_TINYOPS_MODEM_UART),
        .baudrate = CONFIG_TINYOPS_MODEM_BAUD,
        .rx_buf = pipe_memory,
        .rx_buf_size = sizeof pipe_memory,
        .rp_buf = response,
        .rp_buf_size = sizeof response,
    };
    if (at_dev_init(&at, &settings) != 0) {
        puts("modem: there is no such UART, or it does not have this baud rate");
        return NULL;
    }
    ppp = pppapi_pppos_create(&interface, send, changed, NULL);
    pppapi_set_default(ppp);
    for (;;) {
        if (dial() == 0) {
            carry();
            puts("modem: offline");
        }
        hang_up();
        ztimer_sleep(ZTIMER_MSEC, CONFIG_TINYOPS_MODEM_RETRY_SECONDS * 1000u);
    }
    return NULL;
}

static void start_tinyops_modem(void) {
    thread_create(stack, sizeof stack, THREAD_PRIORITY_MAIN - 1, 0, run, NULL, "modem");
}

/* Behind lwIP. */
AUTO_INIT(start_tinyops_modem, 1980);
