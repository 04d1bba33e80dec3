# IPv6 over 802.15.4 (6LoWPAN), several hops: every device forwards for others, along routes that RPL finds.
TINYOPS_MESH := 1
include $(TINYOPS)/riot/app/radio.mk
USEMODULE += gnrc_rpl
USEMODULE += auto_init_gnrc_rpl
TINYOPS_BLOCK_EXPONENT ?= 2
TINYOPS_ACK_TIMEOUT_MS ?= 3000
