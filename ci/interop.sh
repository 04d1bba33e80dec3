#!/usr/bin/env bash
# pycose and taylor-suit in an environment of their own, .cache/interop: tests/suit/interop asks them to verify what
# tinyops signs and encrypts. Without a network it is left out, and those tests with it.
#
#   ci/interop.sh [make]
#
# make: renews tests/suit/interop/fixtures.json, which is what they make for us to verify.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly folder=.cache/interop
readonly tests=tests/suit/interop
# pycose 1.1.0 does not work with cbor2 6
readonly packages=("cbor2==5.9.0" "pycose==1.1.0" "taylor-suit==0.2.2")

python=python3
if [ -x .venv/bin/python ]; then python=.venv/bin/python; fi

if ! grep -qsxF "${packages[*]}" "$folder/stamp"; then
    rm -rf "$folder"
    mkdir -p .cache
    if ! { "$python" -m venv "$folder" &&
        "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "${packages[@]}"; } \
        >.cache/interop.log 2>&1 </dev/null; then
        rm -rf "$folder"
        echo "interop: left out, pycose and taylor-suit cannot be installed (.cache/interop.log)"
        exit 0
    fi
    printf '%s\n' "${packages[*]}" >"$folder/stamp"
fi

if [ "${1:-}" = make ]; then
    PYTHONPATH=$PWD "$python" -m tests.suit.interop.test_interop |
        "$folder/bin/python" "$tests/other_side.py" make >"$folder/fixtures.json"
    mv "$folder/fixtures.json" "$tests/fixtures.json"
fi
