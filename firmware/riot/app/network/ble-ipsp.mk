# IPv6 over Bluetooth LE (IPSP, RFC 7668): the host is the central, and the border router where there is one.
include $(TINYOPS)/riot/app/ip.mk
USEMODULE += tinyops_ipsp

TINYOPS_BLOCK_EXPONENT ?= 5
TINYOPS_ACK_TIMEOUT_MS ?= 2000
