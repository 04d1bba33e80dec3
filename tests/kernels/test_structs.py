"""Parameter structs as Python lays them out, and which of their fields and of the constants are numbers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tinyops.kernels import portable_kernels
from tinyops.kernels.structs import arguments, constant_numbers, field_numbers, params_struct

#: Fields that shape, place or count: whatever else a struct has must be listed as a number in numbers.toml.
_FIELDS = """
a_batch a_depth a_row a_size a_stride after axis b_batch b_column b_depth b_size b_stride batch batches before
channels columns condition_stride count depth depth_multiplier descending dilation_h dilation_w dims element_size
exclusive extents features filters flip groups half_pixel_centers in_batch in_c in_extents in_h in_n in_step in_stride
in_w inner input_size is_tanh kept_extents kept_strides kernel_h kernel_w largest left_shift mask memory mode most n
offset_h offset_w out_batch out_c out_h out_n out_step out_stride out_w outer output_size pad_left pad_top rank
reduced_extents reduced_strides reverse rows run scale_h scale_w scaled size smallest state_is_int16 steps stride
stride_h stride_w tanh units
"""
STRUCTURE = frozenset(_FIELDS.split())
#: Arguments that a kernel reads places from, or whose content is the same in every model; and what it writes.
STRUCTURAL_ARGUMENTS = {
    "to_gather_any_b_c": {"indices"},
    "to_take_any_b_c": {"offsets"},
    "to_update_any_b_c": {"start"},
    "to_select_any_b_c": {"condition"},
    "to_sigmoid_any_s16_c": {"table"},
    "to_softmax_any_s16_c": {"exp_table", "reciprocal_table"},
    "to_lstm_any_s8_c": {"table"},
    "to_lstm_any_s16_c": {"table"},
}
#: Arguments that are never constants of numbers: activations, states and outputs.
COMPUTED = frozenset({"in", "out", "hidden_in", "cell_in", "hidden", "cell", "state", "state_in"})

TYPES = sorted({kernel.params_type for kernel in portable_kernels().values()})


def test_every_field_is_either_structure_or_a_number() -> None:
    for name in TYPES:
        numbers = set(field_numbers(name))
        fields = {field.name for field in params_struct(name).fields}
        assert numbers <= fields, name
        assert fields - numbers <= STRUCTURE, name
        assert not numbers & STRUCTURE, name


def test_shifts_are_numbers_with_a_range() -> None:
    """A shift that is too far is undefined behaviour."""
    for name in TYPES:
        for field in params_struct(name).fields:
            if field.name.endswith("shift") and field.name not in STRUCTURE:
                assert field_numbers(name)[field.name] is not None, (name, field.name)
    for name in portable_kernels():
        for argument in arguments(name):
            if argument == "shift":
                assert constant_numbers(name)[argument] is not None, name


def test_ranges_are_in_their_types() -> None:
    bits = {"int8_t": 8, "int16_t": 16, "int32_t": 32}
    for name in TYPES:
        for field in params_struct(name).fields:
            allowed = field_numbers(name).get(field.name)
            if allowed is not None:
                limit = 1 << (bits[field.ctype] - 1)
                assert -limit <= allowed[0] <= allowed[1] < limit, (name, field.name)


def test_every_argument_is_classified() -> None:
    for name in portable_kernels():
        numbers = {argument.removesuffix("[0]") for argument in constant_numbers(name)}
        known = numbers | STRUCTURAL_ARGUMENTS.get(name, set()) | COMPUTED
        assert set(arguments(name)) <= known, name
        assert numbers <= set(arguments(name)), name
        assert not numbers & STRUCTURAL_ARGUMENTS.get(name, set()), name


@pytest.mark.parametrize(
    "compiler",
    [
        ("gcc",),
        ("arm-none-eabi-gcc", "-mcpu=cortex-m0plus", "-mthumb"),
        ("riscv64-unknown-elf-gcc", "-march=rv32imac", "-mabi=ilp32", "--specs=picolibc.specs"),
    ],
    ids=lambda command: str(command[0]),
)
def test_compilers_lay_structs_out_alike(compiler: tuple[str, ...], tmp_path: Path) -> None:
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"{compiler[0]} is not installed")
    entries = portable_kernels().values()
    headers = {path.name: path.parent for kernel in entries for path in kernel.files if path.suffix == ".h"}
    lines = ["#include <stddef.h>", *(f'#include "{name}"' for name in sorted(headers))]
    for name in TYPES:
        struct = params_struct(name)
        checks = [f"sizeof({name}) == {struct.nbytes}"]
        checks += [f"offsetof({name}, {field.name}) == {field.offset}" for field in struct.fields]
        checks += [f"sizeof((({name} *)0)->{field.name}) == {field.nbytes}" for field in struct.fields]
        lines += [f"typedef char check_{name}_{i}[{check} ? 1 : -1];" for i, check in enumerate(checks)]
    source = tmp_path / "structs.c"
    source.write_text("\n".join(lines) + "\n")
    folder = next(iter(headers.values()))
    command = [*compiler, "-std=c99", "-fsyntax-only", f"-I{folder}", str(source)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
