# What both 802.15.4 networks have in common: 6LoWPAN on the board's radio; on native64 frames in UDP (ZEP).
#
#   DEFAULT_CHANNEL=26 DEFAULT_PAN_ID=0x0023   channel (11 to 26 at 2.4 GHz) and network
include $(TINYOPS)/riot/app/ip.mk
ifneq (,$(filter native native32 native64,$(BOARD)))
  USEMODULE += socket_zep
  # Processes do not acknowledge frames within the 864 us that radios have for it, and are deaf while they take one.
  # (With Kconfig these are in app/Kconfig.)
  TINYOPS_OPTIONS += IEEE802154_DEFAULT_ACK_REQ=0
  TINYOPS_OPTIONS += GNRC_NETIF_MIN_WAIT_AFTER_SEND_US=15000
endif
USEMODULE += netdev_default

TINYOPS_NETWORK_NEEDS := netdev_ieee802154
TINYOPS_NETWORK_LACKS := no 802.15.4 radio that RIOT would use by itself; add its driver, such as USEMODULE=mrf24j40
TINYOPS_NETWORK_THEN := $(RIOTBASE)/makefiles/default-radio-settings.inc.mk
