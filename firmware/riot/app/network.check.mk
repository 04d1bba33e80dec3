# Behind RIOT's Makefile.include, which has read Kconfig: options of RIOT's own modules that the network wants otherwise,
# and whether the board has what the network needs. RIOT itself would build an application
# that is on no network.
ifeq (,$(SHOULD_RUN_KCONFIG))
  _option_name = $(firstword $(subst =, ,$(1)))
  $(foreach _option,$(TINYOPS_OPTIONS),$(if $(filter -DCONFIG_$(call _option_name,$(_option))=%,$(CFLAGS)),,$(eval CFLAGS += -DCONFIG_$(_option))))
endif
ifneq (,$(TINYOPS_NETWORK_NEEDS))
  ifeq (,$(filter $(TINYOPS_NETWORK_NEEDS),$(USEMODULE)))
    $(error network '$(TINYOPS_NETWORK)': $(BOARD) has $(TINYOPS_NETWORK_LACKS))
  endif
endif
ifneq (,$(filter $(TINYOPS_NETWORK_NOT_CPU),$(CPU)))
  $(error network '$(TINYOPS_NETWORK)': not by $(TINYOPS_NETWORK_NOT))
endif
ifneq (,$(TINYOPS_NETWORK_WANTS))
  $(error network '$(TINYOPS_NETWORK)' needs $(TINYOPS_NETWORK_WANTS))
endif
ifneq (,$(TINYOPS_NETWORK_THEN))
  include $(TINYOPS_NETWORK_THEN)
endif
