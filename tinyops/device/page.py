"""report.html: the page beside report.json, with the counts of the last profiled run of the same build."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from tinyops.emit.files import write_file
from tinyops.emit.html import model_page
from tinyops.errors import TinyopsError

PAGE = "report.html"
RUN = "run.json"


def write_page(folder: Path, report: Mapping[str, Any], run: Mapping[str, Any] | None = None) -> Path:
    """Write report.html for `report` into `folder`; `run` is what `tinyops run --json` gives."""
    write_file(folder / PAGE, model_page(report, run))
    return folder / PAGE


def record_run(folder: Path, report: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    """Keep a profiled run beside its build, as run.json, and show it in report.html.

    TinyopsError when `folder` cannot be written, or when its report lacks what the page shows.
    """
    try:
        page = model_page(report, run)
    except (KeyError, TypeError, ValueError, AttributeError, jinja2.TemplateError) as error:
        raise TinyopsError(
            f"{PAGE} is not renewed: the report is one of another version", where=str(folder), hint="tinyops build"
        ) from error
    write_file(folder / RUN, json.dumps(run, indent=2) + "\n")
    write_file(folder / PAGE, page)
