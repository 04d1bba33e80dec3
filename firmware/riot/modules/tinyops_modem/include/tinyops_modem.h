/* LTE-M and NB-IoT by a modem on a UART: AT commands (RIOT's driver `at`) bring it online, then it carries
 * PPP, which lwIP speaks. UDP sockets are RIOT's, so gcoap and nanocoap work as on any other network. IPv4
 * alone.
 *
 * A thread dials when the application has started, and again whenever the connection has ended. */
#ifndef TINYOPS_MODEM_H
#define TINYOPS_MODEM_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    TINYOPS_MODEM_SILENT,       /* does not answer, or is being waited for */
    TINYOPS_MODEM_UNREGISTERED, /* answers, but has found no network */
    TINYOPS_MODEM_REFUSED,      /* does not begin PPP */
    TINYOPS_MODEM_CONNECTING,   /* PPP is negotiated */
    TINYOPS_MODEM_ONLINE
} tinyops_modem_state;

tinyops_modem_state tinyops_modem_get_state(void);

#ifdef __cplusplus
}
#endif

#endif
