/* RIOT's endpoints as text. */
#ifndef NET_SOCK_UTIL_H
#define NET_SOCK_UTIL_H

#include "net/gcoap.h"

/* "[address]:port", or "name:port" where there is DNS; 0, or a negative number. */
int sock_udp_name2ep(sock_udp_ep_t *ep_out, const char *str);

#endif
