#!/usr/bin/env bash
# Set-up of a checkout: system packages, then the Python environment .venv.
#
#   ci/setup.sh [demo|test]
#
# demo: what `tinyops demo` needs; test: that and everything for development. Reruns do nothing when all is there
# and need no network. TINYOPS_NO_APT=1 forbids the installation of system packages.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly purpose=${1:-test}
readonly cache=.cache
readonly log=$cache/setup.log
readonly venv=.venv
interactive=
if [ -t 0 ] && [ -t 2 ] && [ -z "${CI:-}" ]; then interactive=1; fi
readonly interactive # sudo may then ask for a password (it reads the terminal, not the input)
declare -A reason=() # package -> why it is wanted
apt_updated=

say() { printf '%s\n' "$*"; }
fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

# Runs a command with its output in the log; on failure the log's end is shown.
logged() {
    printf '\n$ %s\n' "$*" >>"$log"
    "$@" >>"$log" 2>&1 </dev/null && return
    say "setup: failed: $* (the end of $log:)" >&2
    tail -n 15 "$log" >&2
    return 1
}

# ---- system packages ------------------------------------------------------------------------------------

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; elif [ -n "$interactive" ]; then sudo "$@"; else sudo -n "$@"; fi
}

apt_allowed() {
    [ -z "${TINYOPS_NO_APT:-}" ] && has apt-get && { [ "$(id -u)" -eq 0 ] || has sudo; }
}

# No `| grep -q` here: it would end the writer early, which pipefail takes for a failure.
apt_has() { [[ $(apt-cache policy "$1" 2>/dev/null) == *"Candidate: "[!\(]* ]]; }

apt_update() {
    [ -z "$apt_updated" ] || return 0
    apt_updated=1
    say "  reading the package lists (apt-get update)"
    logged as_root apt-get -q update || say "  the package lists could not be read; going on with the old ones"
}

# Installs packages, of each argument "a|b" the first that the system knows; false when one could not be had.
apt_install() {
    local wanted=() choice name found ok=0
    apt_update
    for choice in "$@"; do
        found=
        for name in ${choice//|/ }; do
            if apt_has "$name"; then
                found=$name
                break
            fi
        done
        if [ -n "$found" ]; then wanted+=("$found"); else
            say "  not among this system's packages: $choice"
            ok=1
        fi
    done
    [ ${#wanted[@]} -gt 0 ] || return 1
    say "  apt-get install ${wanted[*]}"
    logged as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "${wanted[@]}" || ok=1
    return "$ok"
}

# want PROGRAM PACKAGE... -- WHY: notes the packages when the program is missing.
want() {
    local program=$1 package
    shift
    has "$program" && return
    local packages=()
    while [ "$1" != -- ]; do
        packages+=("$1")
        shift
    done
    for package in "${packages[@]}"; do reason[$package]=$2; done
}

compiler_finds() { [[ $("$1" -print-file-name="$2" 2>/dev/null) == */* ]]; }

note_missing() {
    reason=()
    want arm-none-eabi-gcc gcc-arm-none-eabi libnewlib-arm-none-eabi -- "to compile for Cortex-M"
    if has arm-none-eabi-gcc && ! compiler_finds arm-none-eabi-gcc libc.a; then
        reason[libnewlib-arm-none-eabi]="to compile for Cortex-M"
    fi
    want qemu-system-arm qemu-system-arm -- "to emulate Cortex-M boards"
    if ! has cc && ! has gcc && ! has clang; then
        reason[gcc]="to compile for this computer"
        reason[libc6-dev]="to compile for this computer"
    fi
    [ "$purpose" = test ] || return 0
    want riscv64-unknown-elf-gcc gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf -- "to compile for RISC-V"
    if has riscv64-unknown-elf-gcc && ! compiler_finds riscv64-unknown-elf-gcc picolibc.specs; then
        reason[picolibc-riscv64-unknown-elf]="to compile for RISC-V"
    fi
    want qemu-system-riscv32 "qemu-system-riscv|qemu-system-misc" -- "to emulate a RISC-V board"
    want gcc gcc libc6-dev -- "to test the generated code"
    want clang clang -- "to test the generated code with a second compiler, sanitizers and fuzzing"
    want cmake cmake -- "to test the generated CMakeLists.txt"
    want softhsm2-util softhsm2 -- "to test keys on PKCS#11 tokens"
    want cargo "cargo-web|cargo" -- "to get the C sources of ES256 and AES for updatable firmware"
    want psql postgresql -- "to test the fleet's server with several processes on one database"
    want chromium chromium -- "to test the fleet's page in a browser"
    want espeak-ng espeak-ng -- "for real speech as input of the streaming models' tests"
}

# The sanitizers' and the fuzzer's run time: part of clang on some systems, a package of its own on others.
clang_runtime() {
    has clang || return 0
    local probe=$cache/sanitizer-probe major
    printf '#include <stddef.h>\n#include <stdint.h>\nint LLVMFuzzerTestOneInput(const uint8_t *d, size_t n) { return d[0] + (int)n; }\n' >"$probe.c"
    clang -fsanitize=address,undefined,fuzzer "$probe.c" -o "$probe" >/dev/null 2>&1 && return
    apt_allowed || {
        say "setup: clang has no sanitizers or fuzzer; the tests that need them will say so"
        return 0
    }
    major=$(clang -dumpversion | cut -d. -f1)
    say "setup: installing clang's sanitizers and fuzzer, to test the generated code and the firmware"
    apt_install "libclang-rt-$major-dev|libclang-rt-dev" || say "  without them, the tests that need them will say so"
}

system_packages() {
    local package rights="as root"
    note_missing
    if [ ${#reason[@]} -gt 0 ]; then
        say "setup: missing on this system:"
        for package in "${!reason[@]}"; do say "  ${package//|/ or }: ${reason[$package]}"; done | sort
        if apt_allowed; then
            [ "$(id -u)" -eq 0 ] || rights="with sudo"
            say "setup: installing them with apt-get, $rights (TINYOPS_NO_APT=1 forbids it; log: $log)"
            apt_install "${!reason[@]}" || true
        fi
        note_missing
    fi
    if [ ${#reason[@]} -gt 0 ]; then
        local names
        names=$(printf '%s\n' "${!reason[@]}" | sed 's/.*|//' | sort | paste -sd ' ')
        say "setup: going on without: $names"
        if ! has arm-none-eabi-gcc || ! has qemu-system-arm; then
            say "  Python packages take their places: a compiler (ziglang) and an emulator (unicorn) of Cortex-M."
        fi
        say "  To install by hand on Debian or Ubuntu: apt-get install $names"
        say "  Elsewhere: Arm GNU Toolchain, a riscv64-unknown-elf GCC with picolibc, QEMU, GCC and Clang, on the PATH."
    fi
    [ "$purpose" != test ] || clang_runtime
}

# ---- Python ---------------------------------------------------------------------------------------------

python_is() { "$1" -c "import sys; sys.exit(not (sys.version_info >= (3, 11)$2))" >/dev/null 2>&1; }
python_has_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

# Newest first, one that can make an environment before one that can't; prints a command.
find_python() {
    local name other=
    for name in python3.14 python3.13 python3.12 python3.11 python3 python; do
        python_is "$name" "" || continue
        if python_has_venv "$name"; then
            say "$name"
            return
        fi
        other=${other:-$name}
    done
    say "$other"
}

# Sets `python`; on Debian and Ubuntu installs what is missing for it.
choose_python() {
    local version name
    python=$(find_python)
    if [ -n "$python" ] && python_has_venv "$python"; then return; fi
    if apt_allowed; then
        apt_update
        if [ -z "$python" ]; then
            for name in python3.14 python3.13 python3.12 python3.11; do
                apt_has "$name" || continue
                say "setup: installing $name: tinyops needs Python 3.11 or newer"
                apt_install "$name" "$name-venv" || true
                break
            done
        else
            version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
            say "setup: installing the module venv of Python $version, to make the environment $venv"
            apt_install "python$version-venv|python3-venv" || true
        fi
        python=$(find_python)
    fi
    [ -n "$python" ] || fail "no Python 3.11 or newer was found. Install one (apt-get install python3 python3-venv, or from python.org)."
    python_has_venv "$python" ||
        fail "$python cannot make virtual environments. Install its venv module (apt-get install python3-venv)."
}

# detools, which makes deltas of firmware images, comes as source alone.
python_headers() {
    local version
    "$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' && return
    apt_allowed || fail "the headers of $python are missing (apt-get install python3-dev)"
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    say "setup: installing the headers of Python $version, to compile detools"
    apt_install "python$version-dev|python3-dev" || true
}

digest() { if has sha256sum; then sha256sum; else shasum -a 256; fi | cut -d' ' -f1; }

# stamp EXTRAS: what an installation depends on.
stamp() { { cat pyproject.toml && pwd -P && say "$1"; } | digest; }

stamped() { [ -x "$venv/bin/tinyops" ] && grep -qsx "$(stamp "$1")" "$venv/tinyops-stamp"; }

python_environment() {
    local extras=reference,update
    if ! has arm-none-eabi-gcc || ! has qemu-system-arm; then extras=$extras,sim; fi
    [ "$purpose" = demo ] || extras=dev,all
    if "$venv/bin/python" -c '' 2>/dev/null && { stamped dev,all || stamped "$extras"; }; then return; fi
    choose_python
    if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1 || ! grep -qsxF "$(pwd -P)" "$venv/tinyops-home"; then
        say "setup: making the Python environment $venv ($("$python" --version))"
        rm -rf "$venv"
        logged "$python" -m venv "$venv" || fail "the environment could not be made"
        pwd -P >"$venv/tinyops-home"
    fi
    [ "$purpose" = demo ] || python_headers
    say "setup: installing tinyops and its Python packages (a minute or two; log: $log)"
    rm -f "$venv/tinyops-stamp"
    logged "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --editable ".[$extras]" ||
        fail "the Python packages could not be installed; is the network there?"
    stamp "$extras" >"$venv/tinyops-stamp"
}

case $purpose in demo | test) ;; *) fail "unknown purpose '$purpose' (allowed: demo, test)" ;; esac
mkdir -p "$cache"
if has flock; then # one set-up at a time
    exec 9>"$cache/setup.lock"
    flock 9
fi
: >"$log"
system_packages
python_environment
