# What all networks with IPv6 have in common.
#
#   TINYOPS_IPV6_ADDRESS=fd00:7::2a   a fixed address, besides the link-local one and those that routers announce
#   TINYOPS_IPV6_ROUTER=fe80::1       a fixed default router; for networks without router advertisements
USEMODULE += tinyops_coap
USEMODULE += auto_init_gnrc_netif
USEMODULE += gnrc_icmpv6_echo

ifneq (,$(TINYOPS_MESH))
  USEMODULE += gnrc_ipv6_router_default
else
  USEMODULE += gnrc_ipv6_default
endif

ifneq (,$(TINYOPS_IPV6_ADDRESS)$(TINYOPS_IPV6_ROUTER))
  USEMODULE += gnrc_ipv6_static_addr
endif
ifneq (,$(TINYOPS_IPV6_ADDRESS))
  CFLAGS += '-DCONFIG_GNRC_IPV6_STATIC_ADDR="$(TINYOPS_IPV6_ADDRESS)"'
endif
ifneq (,$(TINYOPS_IPV6_ROUTER))
  CFLAGS += '-DCONFIG_GNRC_IPV6_STATIC_DEFAULT_ROUTER="$(TINYOPS_IPV6_ROUTER)"'
endif
