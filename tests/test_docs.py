"""The documents say what is true: their commands print what they show, their tables are up to date, their links hold.

`python tests/test_docs.py --update [DOCUMENT...]` writes what the commands print now, and the generated tables, into
the documents; outputs that match as they stand keep their `...`.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.documents import ROOT, Session, blocks, commands, difference, documents, matches
from tests.support.reference_models import mlperf_models
from tests.support.tables import TABLES
from tinyops.device.board import find_board, load_board
from tinyops.device.build import build_firmware
from tinyops.lower.compile import compile_model
from tinyops.resources import data_dir

_GENERATED = re.compile(r"(<!-- generated: (\w+) -->\n)(?:.*?\n)??(<!-- end -->)$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^(`{3,}).*?^\1$", re.DOTALL | re.MULTILINE)
#: What a document's commands need on the PATH.
_NEEDS = (
    (r"tinyops (build|run|flash|demo)(?!.*(host|riscv32))", ("arm-none-eabi-gcc", "qemu-system-arm")),
    (r"tinyops (build|run|flash|demo)\b.*riscv32", ("riscv64-unknown-elf-gcc", "qemu-system-riscv32")),
    (r"tinyops (build|run|demo)\b.*\bhost", ("cc",)),
    (r"(?m)^make\b|&& make\b", ("make", "cc")),
    (r"\bcmake\b", ("cmake", "cc")),
    (r"\barm-none-eabi-gcc\b", ("arm-none-eabi-gcc",)),
    (r"\bqemu-system-arm\b", ("qemu-system-arm",)),
)


def _id(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _texts(path: Path) -> list[str]:
    """The commands of a document that are run."""
    console = (b for b in blocks(path.read_text(encoding="utf-8")) if b.language == "console")
    return [command.text for b in console if b.comment != "not run" for command in commands(b)]


def _missing(texts: list[str]) -> list[str]:
    needed = {tool for text in texts for pattern, tools in _NEEDS if re.search(pattern, text) for tool in tools}
    return sorted(tool for tool in needed if shutil.which(tool) is None)


def _runs() -> list[Path]:
    return [path for path in documents() if _texts(path)]


@pytest.mark.slow
@pytest.mark.parametrize("path", _runs(), ids=_id)
def test_commands_print_what_is_shown(path: Path, tmp_path: Path) -> None:
    missing = _missing(_texts(path))
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    session = Session(tmp_path)
    for block in blocks(path.read_text(encoding="utf-8")):
        if block.comment == "file":
            session.write(block)
        if block.language != "console" or block.comment == "not run":
            continue
        for command in commands(block):
            status, printed = session.run(command.text)
            where = f"{_id(path)}:{command.start}: {command.text}"
            assert matches(command, printed), f"{where}\n{difference(command, printed)}"
            expected_failure = any(line.startswith("error: ") for line in command.expected)
            assert (status != 0) == expected_failure, f"{where}\nexit status {status}"


@pytest.mark.parametrize("path", documents(), ids=_id)
def test_generated_tables_are_up_to_date(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert _generate(text) == text, "run: python tests/test_docs.py --update"


def test_every_table_is_in_a_document() -> None:
    used = {name for path in documents() for _, name, _ in _GENERATED.findall(path.read_text(encoding="utf-8"))}
    assert used == set(TABLES)


@pytest.mark.parametrize("path", documents(), ids=_id)
def test_blocks_are_well_formed(path: Path) -> None:
    for block in blocks(path.read_text(encoding="utf-8")):
        where = f"{_id(path)}:{block.start}"
        assert block.language, f"{where}: the block names no language"
        assert block.comment is None or block.remark, f"{where}: the comment gives no reason"
        assert block.language != "console" or block.comment != "file", where
        if block.language == "console":
            assert commands(block)


@pytest.mark.parametrize("path", documents(), ids=_id)
def test_relative_links_resolve(path: Path) -> None:
    text = _FENCED.sub("", path.read_text(encoding="utf-8"))
    for target in _LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.is_relative_to(ROOT), f"{target} leaves the project"
        assert file.exists(), f"{target} does not exist"
        if anchor:
            assert anchor in _anchors(file), f"{target}: no such heading"


def _anchors(path: Path) -> set[str]:
    """The fragments that a Markdown file's headings have, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _FENCED.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_index_lists_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert set(_LINK.findall(index)) >= {path.name for path in (ROOT / "docs").glob("*.md") if path.name != "README.md"}


@pytest.mark.parametrize("path", mlperf_models(), ids=lambda path: path.stem)
def test_arenas_of_the_reference_models(path: Path) -> None:
    plan = compile_model(path, name="model").program.plan
    name = path.stem.removesuffix("_int8")
    row = rf"^\| {name} \|.*\| {plan.peak:,} \| {plan.lower_bound:,} \|$"
    assert re.search(row, (ROOT / "docs" / "memory.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_example_board_is_complete(tmp_path: Path) -> None:
    """It loads, and shows every table of a board's file."""
    text = (ROOT / "docs" / "boards.md").read_text(encoding="utf-8")
    example = next(b for b in blocks(text) if b.comment == "file" and b.language == "toml")
    path = tmp_path / Path(example.remark).name
    path.write_text("\n".join(example.lines) + "\n", encoding="utf-8")
    board = load_board(path)
    assert board.kind == "real"
    assert board.flash is not None
    assert board.ram is not None
    assert board.probe.backends


@pytest.mark.skipif(shutil.which("cc") is None, reason="cc is not installed")
def test_every_field_of_a_report_is_described(tmp_path: Path) -> None:
    model = data_dir("models") / "speakers" / "speakers.tflite"
    report = build_firmware(model, find_board("host"), tmp_path / "build", name="speakers").report
    text = _FENCED.sub("", (ROOT / "docs" / "reports.md").read_text(encoding="utf-8"))
    described = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", text))))
    named_by_the_build = {"flash_sections", "ram_sections"}
    assert _keys(report, named_by_the_build) <= described


def _keys(value: object, closed: set[str]) -> set[str]:
    """All keys of nested maps, but for those inside of maps called `closed`."""
    if isinstance(value, list):
        return {key for item in value for key in _keys(item, closed)}
    if not isinstance(value, dict):
        return set()
    inner = (_keys(item, closed) for key, item in value.items() if key not in closed)
    return set(value).union(*inner)


@pytest.mark.parametrize(
    ("expected", "printed", "numbers_vary", "same"),
    [
        ("a\nb", "a\nb", False, True),
        ("a\nb", "a\nc", False, False),
        ("a", "a\nb", False, False),
        ("a\n...", "a\nb\nc", False, True),
        ("a\n...\nd", "a\nd", False, True),
        ("a\n...\nd", "a\nb\nc", False, False),
        ("file … B", "file x.bin B", False, True),
        ("file … B", "file x.bin C", False, False),
        ("conv_0   1,024 B", "conv_0 96 B", False, False),
        ("conv_0   1,024 B", "conv_0 96 B", True, True),
        ("conv_0   1,024 B", "conv_1 96 B", True, False),
        ("21.7 % (x)", "3 % (x)", True, True),
        ("21.7 % (x)", "bad % (x)", True, False),
    ],
)
def test_matching(expected: str, printed: str, numbers_vary: bool, same: bool) -> None:
    remark = "<!-- numbers vary: reason -->\n" if numbers_vary else ""
    (block,) = blocks(f"{remark}```console\n$ x\n{expected}\n```\n")
    (command,) = commands(block)
    assert matches(command, printed.splitlines()) == same


def _generate(text: str) -> str:
    return _GENERATED.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", text)


def _update(path: Path) -> None:
    """Write what is printed now into a document."""
    lines = path.read_text(encoding="utf-8").splitlines()
    changes: list[tuple[int, int, list[str]]] = []
    with tempfile.TemporaryDirectory() as folder:
        session = Session(Path(folder))
        for block in blocks("\n".join(lines)):
            if block.comment == "file":
                session.write(block)
            if block.language != "console" or block.comment == "not run":
                continue
            for command in commands(block):
                status, printed = session.run(command.text)
                if status > 2:
                    sys.exit(f"{_id(path)}:{command.start}: exit status {status}\n" + "\n".join(printed))
                elided = any("…" in line or line.strip() == "..." for line in command.expected)
                if not (matches(command, printed) and (elided or not command.numbers_vary)):
                    changes.append((command.start, command.end, printed))
    for start, end, printed in reversed(changes):
        lines[start:end] = printed
    path.write_text(_generate("\n".join(lines) + "\n"), encoding="utf-8")


def _main(arguments: list[str]) -> None:
    if arguments[:1] != ["--update"]:
        sys.exit("usage: python tests/test_docs.py --update [DOCUMENT...]")
    for path in [Path(name).resolve() for name in arguments[1:]] or documents():
        before = path.read_text(encoding="utf-8")
        _update(path)
        print(_id(path), "unchanged" if path.read_text(encoding="utf-8") == before else "updated")


if __name__ == "__main__":
    _main(sys.argv[1:])
