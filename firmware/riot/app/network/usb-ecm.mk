# IPv6 over USB: to its host the board is a network adapter (CDC-ECM).
include $(TINYOPS)/riot/app/ip.mk
USEMODULE += usbus_cdc_ecm
USEMODULE += auto_init_usbus
USEMODULE += ztimer_usec  # which usbus_cdc_ecm uses without saying so

TINYOPS_BLOCK_EXPONENT ?= 6
TINYOPS_ACK_TIMEOUT_MS ?= 2000
