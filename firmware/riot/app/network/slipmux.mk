# No network: the serial line of the console, in slipmux frames.
USEMODULE += tinyops_slipmux
