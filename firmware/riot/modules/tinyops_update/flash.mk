# The flash region of updates, for each module that keeps models in it: its sizes and its place.

PSEUDOMODULES += tinyops_update_flashpage tinyops_update_mtd tinyops_update_vfs

# The region is [journal page][journal page][bank 0][bank 1], each of whole erase units. An erase unit may be several of
# the memory's own, a write unit as well.
TINYOPS_UPDATE_REGION_BYTES ?= 65536
TINYOPS_UPDATE_ERASE_BYTES ?= 4096
TINYOPS_UPDATE_WRITE_BYTES ?= 32

CFLAGS += -DTO_FLASH_REGION_BYTES=$(TINYOPS_UPDATE_REGION_BYTES)u
CFLAGS += -DTO_FLASH_ERASE_BYTES=$(TINYOPS_UPDATE_ERASE_BYTES)u
CFLAGS += -DTO_FLASH_WRITE_BYTES=$(TINYOPS_UPDATE_WRITE_BYTES)u

ifneq (,$(filter tinyops_update_mtd,$(USEMODULE)))
  ifeq (,$(filter mtd_%,$(USEMODULE)))
    $(error tinyops_update_mtd: $(BOARD) has no memory device; allowed: tinyops_update_vfs, or a driver mtd_*)
  endif
endif

# The region in flash is the end of the ROM, but for what must be kept there: the last page of a CC2538 has its lock bits
# and boot vector. What is linked must end before the region: the linker keeps to FW_ROM_LEN, and tells where it starts.
TINYOPS_UPDATE_KEPT_BYTES ?= $(if $(filter cc2538,$(CPU)),2048,0)
ifneq (,$(filter tinyops_update_flashpage,$(USEMODULE)))
  ifneq (,$(ROM_LEN))
    FW_ROM_LEN ?= $(ROM_LEN)$(if $(ROM_OFFSET),-$(ROM_OFFSET))-$(TINYOPS_UPDATE_REGION_BYTES)-$(TINYOPS_UPDATE_KEPT_BYTES)
    LINKFLAGS += -Wl,--defsym=_tinyops_update_region=_rom_start_addr+$(ROM_LEN)-$(TINYOPS_UPDATE_REGION_BYTES)-$(TINYOPS_UPDATE_KEPT_BYTES)
    CFLAGS += -DTINYOPS_UPDATE_LINKED_REGION
  endif
endif
