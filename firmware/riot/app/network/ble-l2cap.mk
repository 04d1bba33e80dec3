# Bluetooth LE: CoAP on an L2CAP channel, for hosts with Linux.
USEMODULE += tinyops_l2cap

TINYOPS_BLOCK_EXPONENT ?= 5
TINYOPS_ACK_TIMEOUT_MS ?= 2000
