/* IPv6 over Bluetooth (IPSP, RFC 7668): advertises for nimble_netif whenever it has room for another
 * connection. */
#ifndef TINYOPS_IPSP_H
#define TINYOPS_IPSP_H

/* For tinyops_ble. */
void tinyops_ipsp_start(void);

#endif
