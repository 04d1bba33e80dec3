"""YAML from files that may be hostile: the safe loader, bounded, without aliases, repeated keys or deep nesting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinyops.errors import MissingToolError, UsageError

MAX_BYTES = 1 << 16
MAX_DEPTH = 24


def read_yaml(file: Path) -> Any:
    """The content of a YAML file; UsageError names the line of what cannot be read."""
    try:
        if not file.is_file() or file.stat().st_size > MAX_BYTES:
            raise UsageError("is no description", where=str(file), allowed=f"a YAML file of up to {MAX_BYTES:,} bytes")
        return parse_yaml(file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(file), allowed="a YAML file") from error


def parse_yaml(text: str, where: str) -> Any:
    """The one document of a YAML text."""
    try:
        import yaml
    except ImportError as error:
        raise MissingToolError("the package pyyaml is not installed", hint='pip install "tinyops[update]"') from error

    class Loader(yaml.SafeLoader):  # type: ignore[misc]  # the package has no annotations
        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.composer.ComposerError(None, None, "aliases are not allowed", self.peek_event().start_mark)
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise yaml.composer.ComposerError(None, None, "nested too deeply", self.peek_event().start_mark)
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for key, _ in node.value:
                if key.tag == "tag:yaml.org,2002:merge" or not isinstance(key, yaml.ScalarNode) or key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {str(key.value)!r:.40} is repeated, or is no text", key.start_mark
                    )
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(text, Loader=Loader)  # noqa: S506 - Loader is a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UsageError(f"is no YAML that can be used: {problem}", where=f"{where}{line}") from error
