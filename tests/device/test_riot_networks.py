"""The networks of the RIOT application: their makefiles, without RIOT. Its Makefile.include is one that prints."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tinyops.device.board import list_board_files, load_board
from tinyops.device.link.profile import LINKS
from tinyops.device.riot.network import DEFAULT, LINK_OF, network_folder, networks
from tinyops.resources import data_dir

if shutil.which("make") is None:
    pytest.skip("make is not installed", allow_module_level=True)

_APP = data_dir("firmware") / "riot" / "app"
#: Takes what drivers RIOT would choose from BOARD_MODULES, and Kconfig's values from user.config.
_RIOT = """\
ifneq (,$(filter netdev_default,$(USEMODULE)))
  USEMODULE += $(BOARD_MODULES)
endif
-include $(CURDIR)/user.config
.PHONY: show menuconfig
show menuconfig:
\t@echo 'network=$(TINYOPS_NETWORK)'
\t@echo 'exponent=$(TINYOPS_BLOCK_EXPONENT)'
\t@echo 'timeout=$(TINYOPS_ACK_TIMEOUT_MS)'
\t@echo 'modules=$(sort $(USEMODULE))'
\t@echo 'kconfig=$(SHOULD_RUN_KCONFIG)'
\t@echo 'symbol=$(TINYOPS_NETWORK_SYMBOL)'
\t@echo "flags=$(subst ",\\",$(CFLAGS))"
"""


class App:
    """An application beside a stand-in for RIOT."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "app"
        self._riot = folder / "riot"
        for path in (self.folder, self._riot / "makefiles"):
            path.mkdir(parents=True)
        (self._riot / "Makefile.include").write_text(_RIOT)
        (self._riot / "makefiles" / "default-radio-settings.inc.mk").write_text("CFLAGS += -DRADIO_SETTINGS\n")
        (self.folder / "Makefile").write_text(f"TINYOPS = {_APP.parents[1]}\ninclude {_APP}/Makefile\n")

    def make(self, *words: str, target: str = "show") -> tuple[int, str]:
        """Exit status, and all that was printed."""
        names = ("TINYOPS", "RIOT", "WIFI", "BOARD", "MAKE", "CFLAGS", "USEMODULE", "CONFIG_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(names)}
        command = ["make", "-s", "--no-print-directory", target, f"RIOTBASE={self._riot}", *words]
        done = subprocess.run(command, cwd=self.folder, env=kept, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def show(self, *words: str, target: str = "show") -> dict[str, str]:
        status, printed = self.make(*words, target=target)
        assert status == 0, printed
        return dict(line.split("=", 1) for line in printed.splitlines())


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App(tmp_path)


#: What a board has that can have the network.
_FITTING = {
    "ethernet": ["BOARD=nucleo-f767zi", "BOARD_MODULES=netdev_eth"],
    "802154": ["BOARD=nrf52840dk", "BOARD_MODULES=netdev_ieee802154"],
    "802154-mesh": ["BOARD=samr21-xpro", "BOARD_MODULES=netdev_ieee802154"],
    "wifi": ["BOARD=esp32-wroom-32", "WIFI_SSID=garden"],
}


@pytest.mark.parametrize("name", networks())
def test_blocks_and_times_are_those_of_the_link(app: App, name: str) -> None:
    """Both ends of a link have the same settings. On GATT the host fits its blocks to the MTU."""
    shown = app.show(f"TINYOPS_NETWORK={name}", *_FITTING.get(name, ["BOARD=nrf52840dk"]))
    link = LINKS[LINK_OF[name]]
    assert shown["network"] == name
    assert 16 << int(shown["exponent"]) == link.block_bytes
    if name != DEFAULT:  # a line's device sends again when it is pinged
        assert int(shown["timeout"]) == 1000 * link.ack_timeout
    assert shown["symbol"] == "TINYOPS_NETWORK_" + name.upper().replace("-", "_")


@pytest.mark.parametrize("name", networks())
def test_every_network_is_in_kconfig_and_says_what_it_is(name: str) -> None:
    kconfig = (_APP / "Kconfig").read_text(encoding="utf-8")
    assert f"config TINYOPS_NETWORK_{name.upper().replace('-', '_')}\n" in kconfig
    assert (network_folder() / f"{name}.mk").read_text(encoding="utf-8").startswith("# ")


def test_every_name_has_a_makefile() -> None:
    assert set(LINK_OF) == set(networks())
    assert DEFAULT in networks()


@pytest.mark.parametrize(
    ("name", "board", "text"),
    [
        ("802154", "nucleo-f401re", "nucleo-f401re has no 802.15.4 radio"),
        ("802154-mesh", "nucleo-f401re", "has no 802.15.4 radio"),
        ("ethernet", "nrf52840dk", "nrf52840dk has no Ethernet"),
        ("wifi", "nrf52840dk", "nrf52840dk has no Wi-Fi"),
        ("wifi", "esp32-wroom-32", "needs WIFI_SSID"),
        ("lte-m", "nrf9160dk", "not by the modem inside"),
        ("token-ring", "native64", "allowed: 802154 802154-mesh "),
    ],
)
def test_what_a_board_does_not_have_is_refused(app: App, name: str, board: str, text: str) -> None:
    cpu = "nrf9160" if board == "nrf9160dk" else "some"
    status, printed = app.make(f"TINYOPS_NETWORK={name}", f"BOARD={board}", f"CPU={cpu}")
    assert (status, text in printed) == (2, True), printed


def test_native_radios_and_taps(app: App) -> None:
    radio = app.show("TINYOPS_NETWORK=802154", "BOARD=native64", "BOARD_MODULES=netdev_ieee802154")
    assert {"socket_zep", "tinyops_coap", "gnrc_ipv6_default"} <= set(radio["modules"].split())
    assert "-DCONFIG_GNRC_NETIF_MIN_WAIT_AFTER_SEND_US=15000" in radio["flags"]
    board = app.show("TINYOPS_NETWORK=802154", "BOARD=nrf52840dk", "BOARD_MODULES=netdev_ieee802154")
    assert "socket_zep" not in board["modules"]
    assert "MIN_WAIT" not in board["flags"]
    assert "-DRADIO_SETTINGS" in board["flags"]
    given = app.show(
        "TINYOPS_NETWORK=802154",
        "BOARD=native64",
        "BOARD_MODULES=netdev_ieee802154",
        "CFLAGS=-DCONFIG_GNRC_NETIF_MIN_WAIT_AFTER_SEND_US=1",
    )
    assert given["flags"].count("MIN_WAIT") == 1


def test_a_mesh_forwards(app: App) -> None:
    modules = app.show("TINYOPS_NETWORK=802154-mesh", "BOARD=x", "BOARD_MODULES=netdev_ieee802154")["modules"].split()
    assert {"gnrc_rpl", "auto_init_gnrc_rpl", "gnrc_ipv6_router_default"} <= set(modules)
    assert "gnrc_ipv6_default" not in modules


def test_settings_of_the_link_can_be_others(app: App) -> None:
    words = ["TINYOPS_NETWORK=802154", "BOARD=x", "BOARD_MODULES=netdev_ieee802154", "TINYOPS_BLOCK_EXPONENT=2"]
    assert app.show(*words)["exponent"] == "2"


def test_fixed_addresses(app: App) -> None:
    words = ["TINYOPS_NETWORK=ethernet", "BOARD=x", "BOARD_MODULES=netdev_eth"]
    assert "static" not in app.show(*words)["modules"]
    shown = app.show(*words, "TINYOPS_IPV6_ADDRESS=fd00:7::2a", "TINYOPS_IPV6_ROUTER=fe80::1")
    assert "gnrc_ipv6_static_addr" in shown["modules"]
    assert '-DCONFIG_GNRC_IPV6_STATIC_ADDR="fd00:7::2a"' in shown["flags"]
    assert '-DCONFIG_GNRC_IPV6_STATIC_DEFAULT_ROUTER="fe80::1"' in shown["flags"]


def test_kconfig_chooses_what_nobody_else_has_chosen(app: App) -> None:
    assert app.show("BOARD=native64")["network"] == DEFAULT
    (app.folder / "Kconfig").touch()
    assert app.show("BOARD=native64")["kconfig"] == ""
    assert app.show("BOARD=native64", target="menuconfig")["kconfig"] == "menuconfig"
    (app.folder / "user.config").write_text(
        "# CONFIG_TINYOPS_NETWORK_SLIP is not set\nCONFIG_TINYOPS_NETWORK_USB_ECM=y\n"
    )
    shown = app.show("BOARD=native64")
    assert (shown["network"], shown["kconfig"] != "") == ("usb-ecm", True)
    assert app.show("BOARD=native64", "TINYOPS_NETWORK=slip")["network"] == "slip"
    made = app.folder / "bin" / "native64" / "generated"
    made.mkdir(parents=True)
    (made / "out.config").write_text("CONFIG_TINYOPS_NETWORK_SLIP=y\n")
    assert app.show("BOARD=native64")["network"] == "usb-ecm"
    (app.folder / "user.config").unlink()
    assert app.show("BOARD=native64")["network"] == "slip"


def test_boards_with_a_link_have_a_network_for_it() -> None:
    """Facts of boards, RIOT's names: what a board says that it has can be chosen."""
    known = {"ble": "ble-gatt", "802.15.4": "802154", "wifi": "wifi", "ethernet": "ethernet", "usb": "usb-ecm"}
    known |= {"uart": "slipmux", "lte-m": "lte-m"}
    for path in list_board_files().values():
        board = load_board(path)
        for link in board.links:
            assert link == "lora" or known[link] in networks(), (board.name, link)
