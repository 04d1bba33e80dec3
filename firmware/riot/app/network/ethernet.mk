# IPv6 over the board's Ethernet; on native64 over a tap interface.
include $(TINYOPS)/riot/app/ip.mk
USEMODULE += netdev_default

TINYOPS_NETWORK_NEEDS := netdev_eth netdev_tap
TINYOPS_NETWORK_LACKS := no Ethernet that RIOT would use by itself; add its driver, such as USEMODULE=enc28j60
TINYOPS_BLOCK_EXPONENT ?= 6
TINYOPS_ACK_TIMEOUT_MS ?= 2000
