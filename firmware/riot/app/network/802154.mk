# IPv6 over 802.15.4 (6LoWPAN), one hop from a border router.
include $(TINYOPS)/riot/app/radio.mk
TINYOPS_BLOCK_EXPONENT ?= 4
TINYOPS_ACK_TIMEOUT_MS ?= 2000
