#!/usr/bin/env bash
# All checks, cheap ones first; `fast` leaves out the slow tests and most random examples. ci/setup.sh has run before.
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

[ "${1:-}" = fast ] || step ci/interop.sh
pytest=(python -m pytest -n 2)
if [ "${1:-}" = fast ]; then
    pytest+=(-m "not slow")
    export HYPOTHESIS_PROFILE=quick
fi
step "${pytest[@]}"
[ "${1:-}" = fast ] || step ci/sim.sh
