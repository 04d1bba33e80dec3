# Chooses TINYOPS_NETWORK: from the command line, the environment or the Makefile that includes this one, else from
# Kconfig (CONFIG_TINYOPS_NETWORK_..., set in user.config, app.config or by `make menuconfig`), else slipmux.
_networks := $(TINYOPS)/riot/app/network
_network_names := $(sort $(basename $(notdir $(wildcard $(_networks)/*.mk))))

ifeq (,$(TINYOPS_NETWORK))
  _configs := $(wildcard $(addprefix $(CURDIR)/,$(patsubst $(CURDIR)/%,%,$(or $(BINDIRBASE),bin))/$(BOARD)/generated/out.config app.config user.config))
  _chosen := $(if $(_configs),$(shell sed -n 's/^CONFIG_TINYOPS_NETWORK_\([A-Z0-9_]*\)=y$$/\1/p' $(_configs) | tr 'A-Z_' 'a-z-'))
  TINYOPS_NETWORK := $(or $(lastword $(_chosen)),slipmux)
endif
ifeq (,$(filter $(TINYOPS_NETWORK),$(_network_names)))
  $(error TINYOPS_NETWORK is '$(TINYOPS_NETWORK)'; allowed: $(_network_names))
endif

include $(_networks)/$(TINYOPS_NETWORK).mk

# For modules/tinyops_device, and for Kconfig.
TINYOPS_BLOCK_EXPONENT ?= 6
TINYOPS_ACK_TIMEOUT_MS ?= 2000
TINYOPS_NETWORK_SYMBOL := TINYOPS_NETWORK_$(shell echo '$(TINYOPS_NETWORK)' | tr 'a-z-' 'A-Z_')
export TINYOPS_BLOCK_EXPONENT TINYOPS_ACK_TIMEOUT_MS TINYOPS_NETWORK_SYMBOL
