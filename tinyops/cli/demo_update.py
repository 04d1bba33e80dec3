"""tinyops demo --update: what it shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.progress import TaskID

from tinyops.cli.common import emit_json, plain, progress, say
from tinyops.device.board import Board
from tinyops.device.demo import load_demo_data
from tinyops.device.route import find_route
from tinyops.update.demo import Answers, Sent, UpdateDemo, run_update_demo


def show_update_demo(board: Board, folder: Path, images: int | None, json_to: str | None) -> None:
    """Run the demo of updates on `board`; exits with 1 where an output is not the reference's."""
    data = load_demo_data()
    total = len(data.images[:images])
    if json_to != "-":
        say(f"[bold]digits[/] v1 on [bold]{board.name}[/] ({plain(board.title)}), updated while it runs")
        say(plain(find_route(board)), style="dim")
    with progress() as bar:
        task = bar.add_task("building", total=3 * total)
        result = run_update_demo(
            data,
            board,
            folder,
            limit=images,
            step=_describe(lambda text: bar.update(task, description=text)),
            advance=lambda: bar.advance(TaskID(task)),
        )
    if json_to:
        emit_json(_summary(result, board.name), json_to)
    if json_to != "-":
        _print(result)
    if result.v1.mismatches + result.v2.mismatches + result.kept.mismatches:
        raise SystemExit(1)


def _describe(show: Callable[[str], None]) -> Callable[[str], None]:
    return lambda text: show(plain(text))


def _summary(result: UpdateDemo, board: str) -> dict[str, object]:
    def answers(of: Answers) -> dict[str, int]:
        return {"correct": of.correct, "mismatches": of.mismatches}

    def sent(of: Sent) -> dict[str, int]:
        return {"manifest": of.manifest_bytes, "payload": of.payload_bytes, "capsule": of.capsule_bytes}

    return {
        "board": board,
        "images": result.images,
        "v1": answers(result.v1),
        "v2": answers(result.v2),
        "after_v3": answers(result.kept),
        "sent_bytes": {"v2": sent(result.update), "v3": sent(result.bad)},
        "delta_bytes": {"v1_to_v2": result.fresh_delta_bytes, "v2_to_v3": result.bad.payload_bytes},
        "v3_refused": result.refusal.slug,
        "memory": result.build.report["memory"],
        "console": result.console.splitlines(),
    }


def _print(result: UpdateDemo) -> None:
    total, memory = result.images, result.build.report["memory"]
    room = result.build.report["update"]["region"]
    say(
        f"firmware: {memory['flash_bytes']:,} B of flash, {memory['ram_bytes']:,} B of RAM; "
        f"updates: two banks of {room['bank_bytes']:,} B and a journal ({memory['kind']})"
    )
    say()
    say(f"v1  {_verdict(result.v1, total)}")
    say(
        f"v2  sent over CoAP: a signed manifest of {result.update.manifest_bytes:,} B, "
        f"a capsule of {result.update.payload_bytes:,} B (trained anew: other weights, other scales)"
    )
    say("    verified, self-tested, swapped in at an inference boundary, no reset")
    say(f"    {_verdict(result.v2, total)}")
    share = 100 * result.bad.payload_bytes / result.bad.capsule_bytes
    say(
        f"v3  a bad one, sent as a delta of {result.bad.payload_bytes:,} B: {share:.0f} % of the capsule "
        "(all weights moved by at most 2, as fine-tuning does; simulated)"
    )
    say(f"    undone: {plain(result.refusal.text)} ([bold]{result.refusal.slug}[/]); v2 runs on")
    say(f"    {_verdict(result.kept, total)}")
    say()
    say("the device's console:", style="dim")
    for line in result.console.splitlines():
        if line.startswith("update: "):
            say(f"  {plain(line)}", style="dim")


def _verdict(answers: Answers, total: int) -> str:
    right = f"{answers.correct} of {total} test images right"
    if answers.mismatches:
        return f"{right}, [bold red]{answers.mismatches:,} output bytes differ from TFLite Micro's[/]"
    return f"{right}, [green]all {total * 10:,} output bytes equal TFLite Micro's[/]"
