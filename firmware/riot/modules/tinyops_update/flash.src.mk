# The files of the memories that are used, for the Makefile of a module.
ifneq (,$(filter tinyops_update_flashpage,$(USEMODULE)))
  SRC += flash_flashpage.c
endif
ifneq (,$(filter tinyops_update_mtd,$(USEMODULE)))
  SRC += flash_mtd.c
endif
ifneq (,$(filter tinyops_update_vfs,$(USEMODULE)))
  SRC += flash_vfs.c
endif
