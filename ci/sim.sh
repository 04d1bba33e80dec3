#!/usr/bin/env bash
# The route without system packages: a clean environment with `.[sim]` alone, the demo on its compiler and emulator.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly cache=$PWD/.cache/sim
python=$(command -v .venv/bin/python || command -v python3)
mkdir -p "$cache/bin"
trap 'rm -rf "$cache"' EXIT

"$python" -m venv --clear "$cache/venv"
"$cache/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input ".[sim]"

# No compiler and no emulator of the system is in this PATH, which holds nothing but an empty folder.
sim=("$(command -v env)" -u CC -u PYTHONPATH "XDG_CACHE_HOME=$cache/user" "PATH=$cache/bin" "$cache/venv/bin/tinyops")
cd "$cache"
"${sim[@]}" doctor --board qemu-cortex-m4
"${sim[@]}" demo --board qemu-cortex-m4 --output "$cache/demo" --json "$cache/demo.json"
"$cache/venv/bin/python" - "$cache/demo.json" "$cache/demo/report.json" <<'CHECK'
import json, sys

demo, report = (json.load(open(name, encoding="utf-8")) for name in sys.argv[1:])
assert demo["mismatches"] == 0 and demo["images"] > 100, demo
assert demo["kind"] == "emulated-instructions" and demo["instructions"] > 0, demo
assert report["toolchain"]["package"] == "ziglang", report["toolchain"]
CHECK
