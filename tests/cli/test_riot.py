"""`--os riot` of build, run, doctor and emit, with a folder that answers as RIOT does."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_riot import make_fake_riot

pytestmark = pytest.mark.skipif(
    shutil.which("make") is None or shutil.which("cc") is None, reason="make or cc is not installed"
)


@pytest.fixture
def riot(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("RIOTBASE", raising=False)
    return make_fake_riot(tmp_path_factory.mktemp("checkout") / "riot")


def test_build_and_run(tinyops: Any, speakers: Path, riot: Path) -> None:
    done = tinyops("build", speakers, "--os", "riot", "--riot-base", riot, "--board", "native64")
    assert done.code == 0, done.err
    assert "next: tinyops run build/native64-riot --verify" in done.out
    ran = tinyops("run", "build/native64-riot", "--verify")
    assert (ran.code, "on native64 against the reference: bit-exact" in ran.out) == (0, True)
    assert tinyops("run", "build/native64-riot", "--board", "native64").code == 0
    asked = tinyops("update", "status", "--build", "build/native64-riot")
    assert (asked.code, "native64: the firmware takes no updates" in asked.err) == (1, True)
    other = tinyops("run", "build/native64-riot", "--board", "host")
    assert (other.code, "was built for native64" in other.err) == (2, True)
    network = tinyops("run", speakers, "--board", "native64", "--riot-base", riot, "--network", "ethernet")
    assert (network.code, "is reached by its network, ethernet" in network.err) == (2, True)
    late = tinyops("run", "build/native64-riot", "--os", "riot")
    assert (late.code, "belong to a build" in late.err) == (2, True)


def test_a_folder_goes_from_system_to_system(tinyops: Any, speakers: Path, riot: Path) -> None:
    """Nothing is left that the other one would compile, flash or show."""
    native = ("--os", "riot", "--riot-base", riot, "--board", "native64")
    assert tinyops("build", speakers, *native, "-o", "same").code == 0
    assert (
        "Firmware for native64 (host, native) on RIOT 2099.01, network slipmux" in Path("same/report.html").read_text()
    )
    Path("same/firmware.bin").write_bytes(b"of another board")
    assert tinyops("build", speakers, "--board", "host", "-o", "same").code == 0
    assert not any(Path("same", name).exists() for name in ("Makefile", "Kconfig", "main.c", "firmware.bin"))
    assert tinyops("build", speakers, *native, "-o", "same").code == 0
    assert [path.name for path in Path("same").glob("*.c")] == ["main.c"]
    assert "on native64 against the reference: bit-exact" in tinyops("run", "same", "--verify").out


def test_hints(tinyops: Any, speakers: Path, riot: Path) -> None:
    """Of boards that only RIOT has, and of those that it has not."""
    unnamed = tinyops("build", speakers, "--board", "native64")
    assert (unnamed.code, "--riot-base FOLDER, or export RIOTBASE" in unnamed.err) == (2, True)
    named = tinyops("build", speakers, "--board", "native65", "--riot-base", riot, "--os", "riot")
    assert "did you mean native64" in named.err
    host = tinyops("build", speakers, "--board", "host", "--riot-base", riot)
    assert "--board native64" in host.err
    bench = tinyops("bench", speakers, "--os", "riot", "--riot-base", riot)
    assert (bench.code, "no board is named" in bench.err) == (2, True)
    unbuilt = tinyops("flash", "--board", "nrf52dk")
    assert "tinyops build MODEL --board nrf52dk -o build/nrf52dk-riot" in unbuilt.err


def test_run_builds_first(tinyops: Any, speakers: Path, riot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIOTBASE", str(riot))
    ran = tinyops("run", speakers, "--board", "native64", "--verify", "--json")
    assert (ran.code, ran.json()["mismatches"], ran.json()["board"]) == (0, 0, "native64")
    assert Path("build/native64-riot/report.json").is_file()


def test_project_file(tinyops: Any, speakers: Path, riot: Path) -> None:
    text = f'model = "{speakers}"\nos = "riot"\nboard = "native64"\n\n[riot]\nbase = "{riot}"\n'
    Path("tinyops.toml").write_text(text)
    done = tinyops("build", "--json")
    assert done.code == 0, done.err
    system = done.json()["os"]
    assert (system["name"], system["version"], system["board"]) == ("riot", "2099.01", "native64")
    assert str(riot) not in str(system)
    Path("tinyops.toml").write_text(f'{text}network = "pigeon"\n')
    wrong = tinyops("build")
    assert (wrong.code, "there is no network 'pigeon'" in wrong.err) == (2, True)
    Path("tinyops.toml").write_text(f"{text}folder = 1\n")
    assert tinyops("build").code == 2


def test_real_boards_run_riot(tinyops: Any, speakers: Path, riot: Path) -> None:
    """Without --os: there is no other firmware for them."""
    nowhere = tinyops("build", speakers, "--board", "samr21-xpro")
    assert (nowhere.code, "no RIOT is named" in nowhere.err) == (1, True)
    assert "RIOTBASE" in nowhere.err
    foreign = tinyops("build", speakers, "--board", "samr21-xpro", "--riot-base", riot)
    assert (foreign.code, "has no board 'samr21-xpro'" in foreign.err) == (2, True)
    bare = tinyops("build", speakers, "--board", "samr21-xpro", "--os", "bare")
    assert (bare.code, "has no bare-metal firmware port" in bare.err) == (2, True)
    both = tinyops("build", speakers, "--board", "host", "--os", "bare", "--network", "slipmux")
    assert both.code == 2
    unknown = tinyops("build", speakers, "--board", "native64", "--riot-base", riot, "--network", "pigeon")
    assert (unknown.code, "slipmux" in unknown.err) == (2, True)


def test_doctor(tinyops: Any, riot: Path) -> None:
    done = tinyops("doctor", "--board", "far-kit", "--riot-base", riot)
    assert (done.code, "xtensa-none-such-gcc" in done.out) == (1, True)
    fine = tinyops("doctor", "--board", "native64", "--riot-base", riot, "--json")
    assert fine.code == 0
    assert {check["name"] for check in fine.json()["checks"]} >= {"RIOT", "make", "cc"}
    none = tinyops("doctor", "--board", "samr21-xpro", "--os", "riot", "--json")
    assert none.code == 1
    assert {"group": "RIOT", "name": "RIOT"}.items() <= none.json()["checks"][0].items()
    assert tinyops("doctor", "--os", "riot").code == 2


def test_emit_a_module(tinyops: Any, speakers: Path) -> None:
    done = tinyops("emit", speakers, "--os", "riot-module", "--json")
    assert done.code == 0, done.err
    files = set(done.json()["files"])
    assert files == {str(path.relative_to("speakers")) for path in Path("speakers").rglob("*") if path.is_file()}
    assert {"modules/tinyops_model/Makefile", "modules/tinyops_model/binding.c", "example/main.c"} <= files
    assert not any(name.startswith(("common", "modules/tinyops_device")) for name in files)
    alone = tinyops("emit", speakers, "--os", "riot-module", "--with-modules", "-o", "all")
    assert alone.code == 0
    for name in ("modules/tinyops_device/device.c", "common/include/tinyops/to_device.h", "common/src/to_device.c"):
        assert (Path("all") / name).is_file()
    assert "firmware" not in Path("all/example/Makefile").read_text()
    assert tinyops("emit", speakers, "--os", "riot-module", "--layout", "plain").code == 2
    assert tinyops("emit", speakers, "--with-modules").code == 2
