"""What tinyops' modules for RIOT say about themselves agrees: makefiles, Kconfig, sources, documents."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tinyops
from tests.support.documents import ROOT
from tinyops.resources import data_dir

FIRMWARE = data_dir("firmware")
MODULES = sorted(path.parent for path in (FIRMWARE / "riot" / "modules").glob("*/Makefile"))
OWN = [path for path in MODULES if path.name in ("tinyops_device", "tinyops_coap", "tinyops_slipmux")]
#: Of RIOT, not of these modules.
FOREIGN = {"CONFIG_GCOAP_PDU_BUF_SIZE", "CONFIG_COAP_ACK_TIMEOUT_MS"}


def _text(folder: Path, *patterns: str) -> str:
    return "\n".join(path.read_text() for pattern in patterns for path in sorted(folder.glob(pattern)))


def test_gcoap_serves_the_resources_of_the_device() -> None:
    source = (FIRMWARE / "riot/modules/tinyops_coap/coap.c").read_text()
    served = re.findall(r'\{"/([a-z/]+)", METHODS, handle, NULL\}', source)
    assert served == sorted(served), "gcoap wants them in this order"
    tables = [FIRMWARE / "common/src" / name for name in ("to_resources.c", "to_update_resources.c")]
    known = [path for table in tables for path in re.findall(r'\{"([a-z/]+)", TO_COAP_', table.read_text())]
    assert served == sorted(known)
    plain = source[source.index("static const coap_resource_t resources") : source.index("#ifdef TO_UPDATABLE")]
    assert re.findall(r'\{"/([a-z/]+)"', plain) == sorted(re.findall(r'\{"([a-z/]+)", TO_COAP_', tables[0].read_text()))


def test_version() -> None:
    """Unless the build says otherwise; `tinyops build` and `tinyops emit` do."""
    text = (FIRMWARE / "riot/modules/tinyops_device/Makefile.include").read_text()
    assert re.findall(r"^TINYOPS_VERSION \?= (\S+)$", text, re.MULTILINE) == [tinyops.__version__]


@pytest.mark.parametrize("folder", OWN, ids=lambda path: path.name)
def test_options_are_in_makefile_and_kconfig(folder: Path) -> None:
    """Without Kconfig the Makefile has the defaults; both have the same options, and the sources use no others."""
    kconfig = {f"CONFIG_{name}" for name in re.findall(r"^config (\w+)$", _text(folder, "Kconfig"), re.MULTILINE)}
    include = _text(folder, "Makefile.include")
    defaults = {f"CONFIG_{name}" for name in re.findall(r"\$\(call tinyops_option,(\w+),", include)} - FOREIGN
    choices = {name for name in kconfig if name.endswith("_FIXED")}
    assert kconfig - choices == defaults
    used = set(re.findall(r"\bCONFIG_\w+", _text(folder, "*.c", "include/*.h"))) - FOREIGN
    everywhere = set(re.findall(r"tinyops_option,(\w+),", "\n".join(_text(path, "Makefile.include") for path in OWN)))
    assert used <= {f"CONFIG_{name}" for name in everywhere}


def test_document_names_every_option() -> None:
    text = (ROOT / "docs" / "riot.md").read_text(encoding="utf-8")
    for folder in OWN:
        for name in re.findall(r"^config (TINYOPS_\w+)$", _text(folder, "Kconfig"), re.MULTILINE):
            short = f"`_{name.rsplit('_', 1)[1]}`"
            assert f"`CONFIG_{name}`" in text or name.endswith("_FIXED") or short in text, name


def test_names_of_functions_at_the_start_differ() -> None:
    """RIOT makes them global. (Two files of one module may be alternatives.)"""
    names = [name for folder in MODULES for name in set(re.findall(r"AUTO_INIT\((\w+),", _text(folder, "*.c")))]
    assert sorted(names) == sorted(set(names))
    assert all("tinyops" in name for name in names)
