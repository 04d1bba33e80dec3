"""As test_operators, for operators that rearrange, join, part and resize."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.harness import Kernels
from tests.kernels.test_operators import Bench, verify
from tests.ops import layout, test_movement, test_resize
from tests.support.compare import SEEDS
from tests.support.tflite_writer import ModelBuilder
from tinyops.graph import DType
from tinyops.ops.movement import DTYPES


@pytest.mark.parametrize("kind", sorted(layout.REARRANGEMENTS))
@given(data=st.data(), dtype=st.sampled_from(DTYPES), seed=SEEDS)
def test_rearrangements(c: Kernels, kind: str, data: st.DataObject, dtype: DType, seed: int) -> None:
    verify(c, layout.REARRANGEMENTS[kind](data.draw, dtype), seed)


LAYOUT = {
    "space_to_batch": layout.batched(DTYPES),
    "gather": layout.gathers(computed=False, dtypes=DTYPES),
    "gather_computed": layout.gathers(computed=True, dtypes=DTYPES),
    "gather_nd": layout.coordinates(computed=False, dtypes=DTYPES),
    "gather_nd_computed": layout.coordinates(computed=True, dtypes=DTYPES),
    "update_slice": layout.updates(DTYPES),
    "nearest": test_resize.resizes(test_resize.NEAREST, DTYPES),
    "bilinear": test_resize.resizes(test_resize.BILINEAR),
}


@pytest.mark.parametrize("kind", LAYOUT)
@given(data=st.data())
def test_layouts(c: Kernels, kind: str, data: st.DataObject) -> None:
    verify(c, *data.draw(LAYOUT[kind]))


@given(st.data(), test_movement.SHAPES, st.sampled_from(DTYPES), SEEDS)
def test_parts(c: Kernels, data: st.DataObject, shape: tuple[int, ...], dtype: DType, seed: int) -> None:
    axis, parts = data.draw(st.integers(0, len(shape) - 1)), data.draw(st.integers(1, 4))
    verify(c, layout.split((*shape[:axis], shape[axis] * parts, *shape[axis + 1 :]), parts, axis, dtype), seed)
    verify(c, layout.unpack(shape, axis, dtype), seed)
    verify(c, layout.pack(shape, parts, data.draw(st.integers(0, len(shape))), dtype), seed)
    verify(c, layout.padv2(shape, [(1, axis)] * len(shape), parts % 2, dtype), seed)
    verify(c, layout.expand_dims(shape, axis, dtype), seed)
    verify(c, layout.fill(shape, dtype), seed)
    verify(c, layout.squeeze((*shape, 1), [-1], dtype), seed)
    verify(c, layout.embedding_lookup((*shape, parts), 3, dtype), seed)


@given(test_resize.resizes(test_resize.NEAREST))
def test_whole_factors_need_no_table(case: tuple[ModelBuilder, int]) -> None:
    model, _ = case[0].build()
    view = next(model.main.views())
    (call,) = Bench(view, dict.fromkeys((0, *view.op.outputs), 0)).calls()
    factors = [out % n for n, out in zip(view.input(0).shape, view.output().shape, strict=True)]
    if not any(factors) and not view.attrs.align_corners:
        assert call.kernel == "to_copy_any_b_c"


def test_more_than_six_dimensions_are_several_copies(c: Kernels) -> None:
    builder = layout.tile((2, 3, 2, 3), [2, 2, 3, 2], DType.INT16)
    verify(c, builder, 1)
    view = next(builder.build()[0].main.views())
    calls = Bench(view, dict.fromkeys((0, *view.op.outputs), 0)).calls()
    assert [call.kernel for call in calls] == ["to_copy_any_b_c"] * 2
