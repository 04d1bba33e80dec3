"""Writing firmware to boards: flash images of emulated ones, and real ones through their probes and bootloaders.

`flash_build` writes the image that an emulated board boots. `tinyops.device.flash.boards` writes to real boards; each
backend is a module of its own.
"""

from tinyops.device.flash.image import IMAGE, Flashed, flash_build

__all__ = ["IMAGE", "Flashed", "flash_build"]
