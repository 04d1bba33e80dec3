# IPv6 over a serial line, in SLIP frames. The console shares the line, in slipmux frames of their own.
#
#   SLIP_BAUDRATE=115200
include $(TINYOPS)/riot/app/ip.mk
USEMODULE += slipdev_net
USEMODULE += stdio_slipdev
SLIP_BAUDRATE ?= 115200
CFLAGS += -DSLIPDEV_PARAM_BAUDRATE=$(SLIP_BAUDRATE)

TINYOPS_BLOCK_EXPONENT ?= 6
TINYOPS_ACK_TIMEOUT_MS ?= 2000
