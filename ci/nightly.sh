#!/usr/bin/env bash
# What takes too long for every change: millions of power cuts, deep fuzzing, fresh random examples.
# ci/setup.sh has run before. TINYOPS_NIGHTLY_MINUTES: how long each fuzzer runs (10).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PWD/.venv/bin:$PATH"

minutes=${TINYOPS_NIGHTLY_MINUTES:-10}
export TINYOPS_POWERCUT_SCENARIOS=${TINYOPS_POWERCUT_SCENARIOS:-2000000}
export TINYOPS_POWERCUT_SEED=${TINYOPS_POWERCUT_SEED:-$(date -u +%Y%m%d)} # other cases every night
export TINYOPS_MUTANTS=${TINYOPS_MUTANTS:-100000} TINYOPS_SEED=${TINYOPS_SEED:-$(date -u +%Y%m%d)}
export TINYOPS_UPDATE_CUT_STRIDE=${TINYOPS_UPDATE_CUT_STRIDE:-1} # every write into a bank
export TINYOPS_FUZZ_SECONDS=$((minutes * 60))

printf '== power cuts: %s scenarios, seed %s\n' "$TINYOPS_POWERCUT_SCENARIOS" "$TINYOPS_POWERCUT_SEED"
python -m pytest -n 2 tests/firmware/test_powercut.py tests/firmware/test_update_cuts.py
printf '== fuzzing: %s minutes each\n' "$minutes"
python -m pytest -n 2 -k fuzz tests
printf '== random examples\n'
HYPOTHESIS_PROFILE=deep TINYOPS_FUZZ_SECONDS=15 python -m pytest -n 2 tests/firmware tests/update tests/suit
