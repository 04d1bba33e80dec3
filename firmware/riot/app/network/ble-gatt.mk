# Bluetooth LE: CoAP in the values of a GATT service, for hosts of any system.
USEMODULE += tinyops_gatt

TINYOPS_BLOCK_EXPONENT ?= 3
TINYOPS_ACK_TIMEOUT_MS ?= 2000
