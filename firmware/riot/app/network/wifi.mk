# IPv6 over Wi-Fi, on ESP32 and boards with an ATWINC15x0.
#
#   WIFI_SSID=... WIFI_PASS=...   the network and its passphrase; in the environment, so that no log has them
include $(TINYOPS)/riot/app/ip.mk
ifneq (,$(filter esp%,$(CPU) $(BOARD)))
  USEMODULE += esp_wifi
else
  USEMODULE += netdev_default
endif
ifeq (,$(WIFI_SSID))
  TINYOPS_NETWORK_WANTS := WIFI_SSID, and WIFI_PASS where the network has a passphrase
endif
CFLAGS += '-DWIFI_SSID="$(WIFI_SSID)"'
ifneq (,$(WIFI_PASS))
  CFLAGS += '-DWIFI_PASS="$(WIFI_PASS)"'
endif

TINYOPS_NETWORK_NEEDS := esp_wifi atwinc15x0
TINYOPS_NETWORK_LACKS := no Wi-Fi that RIOT has a driver for: it has those of ESP32, ESP8266 and the ATWINC15x0
TINYOPS_BLOCK_EXPONENT ?= 6
TINYOPS_ACK_TIMEOUT_MS ?= 2000
