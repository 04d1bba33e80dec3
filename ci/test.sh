#!/usr/bin/env bash
# All checks, cheap ones first; `fast` leaves out the slow tests. ci/setup.sh has run before.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PWD/.venv/bin:$PATH"

step() {
    printf '== %s\n' "$*"
    "$@"
}

step ruff check --quiet .
step ruff format --check --quiet .
step mypy
step lint-imports --no-logo
step ci/format.sh --check
step shellcheck ci/*.sh .ci/run

pytest=(python -m pytest -n 2)
[ "${1:-}" != fast ] || pytest+=(-m "not slow")
step "${pytest[@]}"
[ "${1:-}" = fast ] || step ci/sim.sh
