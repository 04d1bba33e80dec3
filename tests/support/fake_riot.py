"""A folder that answers as a RIOT checkout does, written anew in a few lines: enough to test what talks to RIOT.

It resolves modules and packages as the makefiles of an application expect it, and its `all` links the module
tinyops_model with the firmware for this computer, so that the process is a whole device on its standard input and
output. FAKE_OUTPUT (a file whose text is printed) with FAKE_STATUS=1 makes `all` fail.
"""

from __future__ import annotations

from pathlib import Path

from tinyops.resources import data_dir

_INCLUDE = r"""
FIRMWARE := @FIRMWARE@
BINDIR := $(BINDIRBASE)/$(BOARD)
ELFFILE := $(BINDIR)/$(APPLICATION).elf
FEATURES_PROVIDED :=
include $(RIOTBASE)/boards/$(BOARD)/Makefile

DIRS := $(foreach d,$(EXTERNAL_MODULE_DIRS),$(wildcard $(d)/*/))
used = $(foreach m,$(sort $(USEMODULE)),$(firstword $(filter %/$(m)/,$(DIRS))))
LAST_MAKEFILEDIR = $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
-include $(used:%=%Makefile.dep)
-include $(used:%=%Makefile.dep)
-include $(used:%=%Makefile.include)
USEMODULE := $(sort $(filter-out $(DISABLE_MODULE),$(USEMODULE)))
FEATURES_MISSING := $(filter-out $(FEATURES_PROVIDED),$(FEATURES_REQUIRED))
comma := ,
empty :=
space := $(empty) $(empty)
list = [$(subst $(space),$(comma),$(strip $(foreach x,$(1),"$(x)")))]

info-build-json:
	@echo '{'
	@echo '"APPLICATION": "$(APPLICATION)",'
	@echo '"CPU": "$(CPU)",'
	@echo '"ELFFILE": "$(ELFFILE)",'
	@echo '"DEFAULT_MODULE": [],'
	@echo '"USEMODULE": $(call list,$(USEMODULE)),'
	@echo '"USEPKG": $(call list,$(sort $(USEPKG))),'
	@echo '"FEATURES_USED": $(call list,$(FEATURES_USED)),'
	@echo '"FEATURES_PROVIDED": $(call list,$(FEATURES_PROVIDED)),'
	@echo '"FEATURES_MISSING": $(call list,$(FEATURES_MISSING)),'
	@echo '"FEATURES_CONFLICTING": [],'
	@echo '"PREFIX": "$(PREFIX)",'
	@echo '"CC": "$(CC)",'
	@echo '"CFLAGS": ["-DNAME=\"with "quotation" marks\""]'
	@echo '}'

info-debug-variable-%:
	@echo $($*)

pkg-prepare: $(PACKAGES)
	@:

export CFLAGS INCLUDES BINDIR RIOTBASE CC
CFLAGS += -Os -g -Wall -Wextra -Werror
INCLUDES = $(USEMODULE_INCLUDES:%=-I%)
HOST := $(filter-out %/flash.c %/flash_file.c,$(wildcard $(FIRMWARE)/host/*.c))
BASE := cbor coap describe device exchange resources slipmux text fetch uri
LINKED := $(HOST) $(BASE:%=$(FIRMWARE)/common/src/to_%.c)

all:
	$(if $(FAKE_OUTPUT),@cat $(FAKE_OUTPUT) >&2; exit $(FAKE_STATUS))
	@$(MAKE) -s -C $(filter %/tinyops_model/,$(used)) tinyops_model.module
	@cc -std=c99 -D_POSIX_C_SOURCE=200809L -DTO_NETWORK -DTINYOPS_VERSION='"1"' -I$(FIRMWARE)/common/include \
	$(LINKED) $(BINDIR)/tinyops_model/*.o -o $(ELFFILE) -lm
"""

_BASE = r"""
OBJECTS := $(SRC:%.c=$(BINDIR)/$(MODULE)/%.o)
$(MODULE).module: $(OBJECTS)
$(BINDIR)/$(MODULE)/%.o: %.c
	@mkdir -p $(@D)
	@echo '$(notdir $@) $(filter -O% -fwrapv,$(CFLAGS))' >> $(BINDIR)/flags.txt
	@$(CC) $(CFLAGS) $(INCLUDES) -c -o $@ $(abspath $<)
"""

_FEATURES = "periph_uart stdio_uart"
_CORTEX = "CPU_CORE = cortex-m4f\nPREFIX = arm-none-eabi-\nCC = arm-none-eabi-gcc\n"
_BOARDS = {
    "native64": f"CPU = native\nCC = cc\nFEATURES_PROVIDED += arch_64bit {_FEATURES}\n",
    "desk-kit": f"""CPU = nrf52
CPU_MODEL = nrf52840xxaa
{_CORTEX}ROM_START_ADDR = 0x1000
ROM_LEN = 1020K
RAM_START_ADDR = 0x20000000
RAM_LEN = 0x40000
PROGRAMMERS_SUPPORTED = jlink openocd jlink
FEATURES_PROVIDED += arch_32bit cortexm_fpu {_FEATURES}
USEPKG += cmsis headers
PACKAGES = fetch-headers
fetch-headers:
	$(if $(QUIETER),,$(info [INFO] cloning headers))
	git init --quiet $(RIOTBASE)/build/headers
	git -C $(RIOTBASE)/build/headers --git-dir=.git remote add origin https://host.invalid/headers
""",
    "small-kit": f"CPU = tiny\n{_CORTEX}ROM_START_ADDR = 0\nROM_LEN = 16K\nRAM_START_ADDR = 0x20000000\nRAM_LEN = 1K\n"
    f"FEATURES_PROVIDED += arch_32bit {_FEATURES}\n",
    "old-kit": "CPU = atmega\nCC = avr-gcc\nFEATURES_PROVIDED += arch_8bit\n",
    "bare-kit": f"CPU = bare\n{_CORTEX}FEATURES_PROVIDED += arch_32bit\nFEATURES_REQUIRED += periph_flashpage\n",
    "far-kit": f"CPU = esp\nCPU_CORE = xtensa-lx7\nPREFIX = xtensa-none-such-\nCC = xtensa-none-such-gcc\n"
    f"FEATURES_PROVIDED += arch_32bit {_FEATURES}\n",
}


def make_fake_riot(folder: Path) -> Path:
    """Write the checkout into `folder`; its path."""
    files = {
        "Makefile.include": _INCLUDE.replace("@FIRMWARE@", str(data_dir("firmware").resolve())),
        "Makefile.base": _BASE,
        "VERSION": "RIOT_VERSION = 2099.01\n",
        "core/empty": "",
        "sys/empty": "",
        "boards/common/Makefile": "",
        **{f"boards/{name}/Makefile": text for name, text in _BOARDS.items()},
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder
