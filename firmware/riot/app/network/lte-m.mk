# IPv4 over LTE-M or NB-IoT: a modem with AT commands on a UART of its own, by PPP.
#
#   TINYOPS_MODEM_APN=iot.example   the access point; without it, the modem's own
USEMODULE += tinyops_coap
USEMODULE += tinyops_modem

TINYOPS_BLOCK_EXPONENT ?= 6
TINYOPS_ACK_TIMEOUT_MS ?= 5000
TINYOPS_NETWORK_NOT_CPU := nrf9160
TINYOPS_NETWORK_NOT := the modem inside of this processor, which RIOT does not drive; it needs one on a UART
