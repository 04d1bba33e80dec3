# Chooses the counter of cycles by the processor: TINYOPS_COUNTER is the part of a file's name after counter_.
# An application may set it itself, for example to `none` where it needs SysTick for something else.
ifeq (,$(TINYOPS_COUNTER))
  ifneq (,$(filter cortex-m3 cortex-m4 cortex-m4f cortex-m7 cortex-m33,$(CPU_CORE)))
    TINYOPS_COUNTER := dwt
  else ifeq (nrf51,$(CPU))
    TINYOPS_COUNTER := none # it has no SysTick
  else ifneq (,$(filter cortex-m0 cortex-m0plus cortex-m23,$(CPU_CORE)))
    TINYOPS_COUNTER := systick
  else ifneq (,$(filter xtensa,$(CPU_ARCH)))
    TINYOPS_COUNTER := ccount
  else ifneq (,$(filter esp32,$(CPU)))
    TINYOPS_COUNTER := mpccr
  else ifneq (,$(filter rv32,$(CPU_ARCH)))
    TINYOPS_COUNTER := mcycle
  else
    TINYOPS_COUNTER := none
  endif
endif

SRC += counter_$(strip $(TINYOPS_COUNTER)).c
