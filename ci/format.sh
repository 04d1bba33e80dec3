#!/usr/bin/env bash
# Formats the tree; with --check it only looks, and only at C (ruff has a check of its own).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PWD/.venv/bin:$PATH"

mode=(-i)
if [ "${1:-}" = --check ]; then
    mode=(--dry-run --Werror)
else
    ruff check --fix --quiet .
    ruff format --quiet .
fi
find firmware tinyops/kernels tinyops/features tests -type f \( -name '*.c' -o -name '*.h' \) -print0 |
    xargs -0 -r clang-format --style=file "${mode[@]}"
