# $(call tinyops_option,NAME,VALUE) makes VALUE, without spaces, that of CONFIG_NAME unless Kconfig or CFLAGS have given
# it one.
define tinyops_option
$(if $(CONFIG_$(1))$(filter -DCONFIG_$(1)=% '-DCONFIG_$(1)=%,$(CFLAGS)),,$(eval CFLAGS += '-DCONFIG_$(1)=$(2)'))
endef
