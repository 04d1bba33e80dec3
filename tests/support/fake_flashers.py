"""Programs that flash, without boards: each takes the command line of its model, and a file is the board's flash.

`Bench` puts them on the PATH. What goes wrong is set by name, and then printed as the real program does
(flasher_faults.toml). The module is also what these programs run.
"""

from __future__ import annotations

import json
import re
import sys
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

PROGRAMS = {
    "openocd": "openocd",
    "esptool": "esptool",
    "jlink": "JLinkExe",
    "nrfutil": "nrfutil",
    "stm32cubeprogrammer": "STM32_Programmer_CLI",
    "dfu-util": "dfu-util",
    "picotool": "picotool",
}
_STATE, _FLASH, _CALLS = "state.json", "flash.bin", "calls.jsonl"

#: Program -> what goes wrong -> when, what is printed, exit status.
_FAULTS = tomllib.loads(Path(__file__).with_name("flasher_faults.toml").read_text(encoding="utf-8"))


def faults(program: str) -> list[str]:
    """The names of what can go wrong with a program, besides what the board does."""
    return list(_FAULTS[program])


@dataclass
class Bench:
    """Fake programs and one board for them. `set` changes what happens; `calls` are the command lines so far."""

    folder: Path
    origin: int
    size: int
    chip: int
    serial: str

    def __post_init__(self) -> None:
        (self.folder / "bin").mkdir(parents=True, exist_ok=True)
        (self.folder / _FLASH).write_bytes(b"\xff" * self.size)
        self._state: dict[str, Any] = {
            "origin": self.origin, "chip": self.chip, "serial": self.serial, "fault": None, "weak": None,
            "rdp": 0xAA, "name": "NRF52840_xxAA_REV2", "version": 5, "dies": None, "lies": False,
        }  # fmt: skip
        self.set()

    def install(self, *tools: str) -> None:
        for tool in tools:
            path = self.folder / "bin" / PROGRAMS[tool]
            path.write_text(
                f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
                f"import fake_flashers\nfake_flashers.main({tool!r}, {str(self.folder)!r}, sys.argv[1:])\n",
                encoding="utf-8",
            )
            path.chmod(0o755)

    def set(self, **changes: Any) -> None:
        self._state.update(changes)
        (self.folder / _STATE).write_text(json.dumps(self._state), encoding="utf-8")

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads((self.folder / _STATE).read_text(encoding="utf-8"))
        return state

    @property
    def flash(self) -> bytes:
        return (self.folder / _FLASH).read_bytes()

    def at(self, address: int, size: int) -> bytes:
        return self.flash[address - self.origin :][:size]

    @property
    def calls(self) -> list[list[str]]:
        file = self.folder / _CALLS
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


class _Board:
    """What a fake program does to the board."""

    def __init__(self, tool: str, folder: Path) -> None:
        self.tool, self.folder = tool, folder
        self.state: dict[str, Any] = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        self._file = folder / _FLASH

    def save(self) -> None:
        (self.folder / _STATE).write_text(json.dumps(self.state), encoding="utf-8")

    def maybe_fail(self, step: str, write: Callable[[], None] = lambda: None) -> None:
        fault = _FAULTS[self.tool].get(str(self.state["fault"]))
        if fault is not None and fault["when"] == step:
            write()
            end(fault["text"], fault["code"])
        if self.state["fault"] == "timeout" and step == "start":
            time.sleep(60)

    def write(self, address: int, data: bytes) -> None:
        def half() -> None:
            self._write(address, data[: len(data) // 2])

        self.maybe_fail("write", half)
        self._write(address, data)

    def _write(self, address: int, data: bytes) -> None:
        content = bytearray(self._file.read_bytes())
        at = address - self.state["origin"]
        assert 0 <= at <= len(content) - len(data), hex(address)
        content[at : at + len(data)] = data
        if self.state["weak"] is not None:
            content[self.state["weak"] - self.state["origin"]] &= 0xFE
        self._file.write_bytes(content)

    def read(self, address: int, size: int) -> bytes:
        at = address - self.state["origin"]
        return self._file.read_bytes()[at : at + size]

    def erase(self) -> None:
        self._file.write_bytes(b"\xff" * self._file.stat().st_size)


def end(text: str = "", code: int = 0) -> NoReturn:
    print(text, flush=True)
    sys.exit(code)


def parse_hex(path: str) -> list[tuple[int, bytes]]:
    """The contiguous parts of an Intel HEX file, with checked sums."""
    upper, parts = 0, []
    for line in Path(path).read_text(encoding="ascii").splitlines():
        raw = bytes.fromhex(line.removeprefix(":"))
        assert sum(raw) & 0xFF == 0, line
        size, kind, data = raw[0], raw[3], raw[4:-1]
        assert len(data) == size
        if kind == 4:
            upper = int.from_bytes(data, "big") << 16
        elif kind == 0:
            address = upper | int.from_bytes(raw[1:3], "big")
            if parts and parts[-1][0] + len(parts[-1][1]) == address:
                parts[-1] = parts[-1][0], parts[-1][1] + data
            else:
                parts.append((address, data))
    return parts


def main(tool: str, folder: str, words: list[str]) -> None:
    with (Path(folder) / _CALLS).open("a", encoding="utf-8") as file:
        file.write(json.dumps([PROGRAMS[tool], *words]) + "\n")
    if words == ["version"]:
        state = json.loads((Path(folder) / _STATE).read_text())
        end(f"esptool v{state['version']}.1.0" if state["version"] > 4 else f"esptool.py v{state['version']}.8.1")
    board = _Board(tool, Path(folder))
    board.maybe_fail("start")
    _MAINS[tool](board, words)


def _openocd(board: _Board, words: list[str]) -> None:
    commands = [words[i + 1] for i, word in enumerate(words) if word == "-c"]
    lied = board.state["lies"]
    for command in commands:
        if command.startswith("adapter serial ") and command.split()[2] != board.state["serial"]:
            end("Error: No J-Link device found", 1)
        elif command.startswith("echo "):
            text = command.split('"')[1].replace("[format 0x%x $word]", hex(board.state["chip"]))
            if not (lied and "verified" in text):
                print(text)
        elif found := re.fullmatch(r"if \{\(\$word & (\w+)\) != (\w+)\} \{ exit 1 \}", command):
            if board.state["chip"] & int(found[1], 0) != int(found[2], 0):
                sys.exit(1)
        elif command.startswith("flash erase_sector"):
            board.erase()
        elif found := re.fullmatch(r"flash write_image erase \{(.*)\}", command):
            for address, data in parse_hex(found[1]):
                board.write(address, data)
        elif found := re.fullmatch(r"verify_image \{(.*)\}", command):
            for address, data in parse_hex(found[1]):
                if board.read(address, len(data)) != data:
                    end(f"Error: checksum mismatch\ndiff 0 address {address:#010x}. Was 0xff instead of 0x00", 1)
        elif found := re.fullmatch(r"dump_image \{(.*)\} (\w+) (\d+)", command):
            Path(found[1]).write_bytes(board.read(int(found[2], 0), int(found[3])))
        elif command == "nrf52_recover":
            board.erase()


def _esptool(board: _Board, words: list[str]) -> None:
    between = "-" if board.state["version"] > 4 else "_"
    verb = next(w for w in words if w in (f"write{between}flash", f"read{between}flash"))
    rest = words[words.index(verb) + 1 :]
    if verb.startswith("read"):
        Path(rest[2]).write_bytes(board.read(int(rest[0], 0), int(rest[1], 0)))
        end("Read 4 bytes at 0x0 in 0.1 seconds...")
    if rest[0] == "--erase-all":
        board.erase()
        rest = rest[1:]
    for address, path in zip(rest[::2], rest[1::2], strict=True):
        data = Path(path).read_bytes()
        for percent in (20, 60, 100):
            print(f"Writing at {address}... ({percent} %)\r", end="", flush=True)
        board.write(int(address, 0), data)
        if board.read(int(address, 0), len(data)) != data:
            end("A fatal error occurred: MD5 of file does not match data in flash!", 2)
        if not board.state["lies"]:
            print("Hash of data verified.")


def _jlink(board: _Board, words: list[str]) -> None:
    assert words[words.index("-USB") + 1] == board.state["serial"]
    script = Path(words[words.index("-CommandFile") + 1]).read_text(encoding="utf-8").splitlines()
    print("Connecting to J-Link via USB...O.K.")
    for line in script:
        if found := re.fullmatch(r"mem32 (\w+), 1", line):
            print(f"{int(found[1], 0):08X} = {board.state['chip']:08X}")
        elif line == "erase":
            board.erase()
        elif found := re.fullmatch(r'loadfile "(.*)"', line):
            for address, data in parse_hex(found[1]):
                board.write(address, data)
            print("" if board.state["lies"] else "O.K.")
        elif found := re.fullmatch(r'verifybin "(.*)", (\w+)', line):
            data = Path(found[1]).read_bytes()
            good = board.read(int(found[2], 0), len(data)) == data
            print("Verify successful." if good else "Verify failed @ 0x0")
        elif found := re.fullmatch(r'savebin "(.*)", (\w+), (\w+)', line):
            Path(found[1]).write_bytes(board.read(int(found[2], 0), int(found[3], 0)))
            print("O.K.")


def _nrfutil(board: _Board, words: list[str]) -> None:
    assert words[:2] == ["--json", "device"]
    assert words[words.index("--serial-number") + 1] == board.state["serial"]
    verb = words[2]
    board.maybe_fail(verb)
    if verb == "device-info":
        print(json.dumps({"type": "info", "data": {"jlink": {"deviceVersion": board.state["name"]}}}))
    elif verb == "recover":
        board.erase()
    elif verb == "program":
        options = dict(word.split("=") for word in words[words.index("--options") + 1].split(","))
        if options["chip_erase_mode"] == "ERASE_ALL":
            board.erase()
        for address, data in parse_hex(words[words.index("--firmware") + 1]):
            board.write(address, data)
            progress = {"progressPercentage": 50, "description": "Programming"}
            print(json.dumps({"type": "task_progress", "data": {"progress": progress}}))
            if options["verify"] == "VERIFY_READ" and board.read(address, len(data)) != data:
                print(json.dumps({"type": "task_end", "data": {"result": "fail", "message": "verification failed"}}))
                sys.exit(1)
    result = {"type": "task_end", "data": {"task": {"name": verb}, "result": "success"}}
    print("{}" if board.state["lies"] and verb == "program" else json.dumps(result))


def _stm32cubeprogrammer(board: _Board, words: list[str]) -> None:
    assert f"sn={board.state['serial']}" in words
    print(f"ST-LINK SN  : {board.state['serial']}\nDevice ID   : {board.state['chip'] & 0xFFF:#x}\nDevice type : MCU")
    if "displ" in words:
        print(f"OPTION BYTES BANK: 0\n   Read Out Protection:\n     RDP          : {board.state['rdp']:#x} (Level)")
    if "RDP=0xaa" in words:
        board.erase()
        board.state["rdp"] = 0xAA
        board.save()
        print("Option Bytes successfully programmed")
    if "-e" in words:
        board.erase()
        print("Mass erase successfully achieved")
    if "-w" in words:
        parts = parse_hex(words[words.index("-w") + 1])
        failed = board.state["lies"]
        for address, data in parts:
            if failed:
                print("Error: Failed to download data! If it's a Flash memory, it may be not erased or protected")
            else:
                board.write(address, data)
        print("File download complete")
        if "-v" in words:
            good = failed or all(board.read(address, len(data)) == data for address, data in parts)
            print("Download verified successfully" if good else "Error: Data mismatch found at address 0x08000000")
            sys.exit(0 if good else 1)
    if "-u" in words:
        address, size, path = words[words.index("-u") + 1 :][:3]
        Path(path).write_bytes(board.read(int(address, 0), int(size, 0)))
        print("Data read successfully")


def _dfu_util(board: _Board, words: list[str]) -> None:
    if words == ["-l"]:
        origin, serial = board.state["origin"], board.state["serial"]
        end(
            f'Found DFU: [0483:df11] ver=2200, devnum=5, cfg=1, intf=0, path="1-1", alt=0, '
            f'name="@Internal Flash  /0x{origin:08X}/04*032Kg", serial="{serial}"'
        )
    assert words[words.index("-S") + 1] == board.state["serial"]
    address, *modifiers = words[words.index("-s") + 1].split(":")
    if "mass-erase" in modifiers:
        board.erase()
    if "unprotect" in modifiers:
        board.erase()
        end("Device will reset now")
    if "-D" in words:
        data = Path(words[words.index("-D") + 1]).read_bytes()
        print("Download\t[============ ]  50%\rDownload\t[=========================] 100%")
        board.write(int(address, 0), data)
        end("" if board.state["lies"] else "File downloaded successfully")
    path, size = Path(words[words.index("-U") + 1]), int(modifiers[0])
    assert not path.exists()
    path.write_bytes(board.read(int(address, 0), size))
    if "leave" in modifiers:
        end("Upload done.\nSubmitting leave request...\ndfu-util: Error during download get_status", 74)
    end("Upload done.")


def _picotool(board: _Board, words: list[str]) -> None:
    assert words[words.index("--bus") + 1 :][:1] == ["1"]
    assert words[words.index("--address") + 1] == "5"
    if words[0] == "erase":
        board.erase()
    elif words[0] == "load":
        path = next(word for word in words if word.endswith(".bin"))
        address, data = int(words[words.index("-o") + 1], 0), Path(path).read_bytes()
        print("Loading into Flash:   [==============================]  100%")
        board.write(address, data)
        if "-v" in words:
            good = board.read(address, len(data)) == data and not board.state["lies"]
            print("Verifying Flash:      [==============================]  100%")
            print("  OK" if good else "  The device contents did not match the file")
    elif words[0] == "save":
        first, last = (int(word, 0) for word in words[words.index("-r") + 1 :][:2])
        Path(next(word for word in words if word.endswith(".bin"))).write_bytes(board.read(first, last - first))
    elif words[0] == "reboot":
        print("The device was rebooted into application mode.")


_MAINS: dict[str, Callable[[_Board, list[str]], None]] = {
    "openocd": _openocd,
    "esptool": _esptool,
    "jlink": _jlink,
    "nrfutil": _nrfutil,
    "stm32cubeprogrammer": _stm32cubeprogrammer,
    "dfu-util": _dfu_util,
    "picotool": _picotool,
}
