# Where the region is: the processor's flash, which all that have a driver map, else a memory device. That of native
# is forgotten with the process.
ifeq (,$(filter tinyops_update_flashpage tinyops_update_mtd tinyops_update_vfs,$(USEMODULE)))
  ifneq (,$(if $(filter native,$(CPU)),,$(filter periph_flashpage,$(FEATURES_PROVIDED))))
    USEMODULE += tinyops_update_flashpage
  else
    USEMODULE += tinyops_update_mtd
  endif
endif
ifneq (,$(filter tinyops_update_flashpage,$(USEMODULE)))
  FEATURES_REQUIRED += periph_flashpage
  FEATURES_OPTIONAL += periph_flashpage_in_address_space
endif
ifneq (,$(filter tinyops_update_mtd,$(USEMODULE)))
  USEMODULE += mtd
endif
ifneq (,$(filter tinyops_update_vfs,$(USEMODULE)))
  USEMODULE += vfs
endif
