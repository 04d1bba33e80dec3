"""tinyops demo"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import platformdirs
from rich.columns import Columns
from rich.panel import Panel
from rich.text import Text

from tinyops.cli.build import print_build
from tinyops.cli.common import BoardName, console, emit_json, json_option, out, plain, progress, say
from tinyops.cli.run import print_run
from tinyops.device.demo import DemoData, DemoResult, choose_board, load_demo_data, run_demo
from tinyops.device.route import find_route

_SHOWN = 8
_SHADES, _ASCII_SHADES = " ░▒▓█", " .+*#"


@click.command("demo", short_help="Classify real images on an emulated Cortex-M4.")
@click.option("--board", "-b", type=BoardName(), default="qemu-cortex-m4", show_default=True, help="Board to run on.")
@click.option("--images", type=click.IntRange(1), help="How many test images; default: all.")
@click.option(
    "-o", "--output", "folder", type=click.Path(path_type=Path), help="Build folder; default: in the user's cache."
)
@click.option("--update", is_flag=True, help="Bring a new model to the running board, signed; then a bad one.")
@json_option
def command(board: str, images: int | None, folder: Path | None, update: bool, json_to: str | None) -> None:
    """Build firmware with a small model, boot it, stream real test images to it, and compare with TFLite Micro.

    With --update the board then gets a retrained model while it runs, and undoes one whose self-test fails.
    """
    chosen, missing = choose_board(board)
    if missing:
        console.print(f"{plain(board)} cannot be used here: {plain(missing)}", style="yellow", soft_wrap=True)
        console.print("running on the board `host`: the same code, as a process of this computer", style="yellow")
    name = f"{chosen.name}-update" if update else chosen.name
    target = folder or Path(platformdirs.user_cache_dir("tinyops")) / "demo" / name
    if update:
        from tinyops.cli.demo_update import show_update_demo

        show_update_demo(chosen, target, images, json_to)
        return
    data = load_demo_data()
    total = len(data.images[:images])
    if json_to != "-":
        say(f"[bold]digits[/] on [bold]{chosen.name}[/] ({plain(chosen.title)})")
        say(plain(find_route(chosen)), style="dim")
    with progress() as bar:
        task = bar.add_task("building", total=total)
        result = run_demo(
            data,
            chosen,
            target,
            limit=images,
            step=lambda text: bar.update(task, description=text),
            built=lambda _: bar.update(task, description="classifying"),
            advance=lambda: bar.advance(task),
        )
    if json_to:
        emit_json(_summary(result, chosen.name, total), json_to)
    if json_to != "-":
        _print(data, result, total)
    if result.mismatches:
        raise SystemExit(1)


def _summary(result: DemoResult, board: str, total: int) -> dict[str, object]:
    return {
        "board": board,
        "images": total,
        "correct": result.correct,
        "reference_correct": result.reference_correct,
        "mismatches": result.mismatches,
        "instructions": result.run.instructions,
        "kind": result.run.kind,
        "memory": result.build.report["memory"],
        "layers": [{"name": x.name, "op": x.op, "instructions": x.instructions} for x in result.run.layers],
    }


def _print(data: DemoData, result: DemoResult, total: int) -> None:
    print_build(result.build)
    say()
    wrong = [k for k in range(total) if result.predictions[k] != data.labels[k]]
    shown = [k for k in range(total) if k not in wrong][: _SHOWN - min(len(wrong), 2)] + wrong[:2]
    out.print(Columns([_picture(data, result, k) for k in shown]), width=min(out.width, 80))
    print_run(result.run, result.build.board.name, None, values=False)
    say(
        f"accuracy on {total} test images: [bold]{100 * result.correct / total:.2f} %[/] on {result.build.board.name}, "
        f"{100 * result.reference_correct / total:.2f} % with TFLite Micro"
    )
    verdict = (
        f"[green]bit-exact: all {total * 10:,} output bytes equal TFLite Micro's[/]"
        if result.mismatches == 0
        else f"[bold red]{result.mismatches:,} of {total * 10:,} output bytes differ from TFLite Micro's[/]"
    )
    say(verdict)


def _picture(data: DemoData, result: DemoResult, k: int) -> Panel:
    shades = _SHADES if out.encoding.startswith("utf") else _ASCII_SHADES
    ink = (data.images[k].reshape(8, 8).astype(np.int32) + 128) * (len(shades) - 1) // 255
    rows = "\n".join("".join(shades[v] * 2 for v in row) for row in ink)
    right = result.predictions[k] == data.labels[k]
    title = Text(f"{result.predictions[k]}", style="green" if right else "bold red")
    subtitle = None if right else f"is a {data.labels[k]}"
    return Panel(Text(rows), title=title, subtitle=subtitle, width=20)
