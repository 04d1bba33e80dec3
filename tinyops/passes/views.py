"""A value as another tensor seen through a permutation of its axes and then another shape: views, and their algebra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Axes = tuple[int, ...]


def inverse(permutation: Sequence[int]) -> Axes:
    """The permutation that undoes another."""
    return tuple(sorted(range(len(permutation)), key=permutation.__getitem__))


def permuted(values: Sequence[int], permutation: Sequence[int]) -> Axes:
    return tuple(values[k] for k in permutation)


def keeps_order(shape: Sequence[int], permutation: Sequence[int]) -> bool:
    """Whether transposing a tensor of that shape leaves its elements where they are."""
    moved = [k for k in permutation if shape[k] != 1]
    return moved == sorted(moved)


@dataclass(frozen=True, slots=True)
class View:
    """value = stored.transpose(permutation).reshape(shape), where tensor `index` is stored with shape `stored`."""

    index: int
    stored: Axes
    permutation: Axes
    shape: Axes

    @classmethod
    def of(cls, index: int, shape: Axes) -> View:
        """A tensor as it is."""
        return cls(index, shape, tuple(range(len(shape))), shape)

    @property
    def transposed(self) -> Axes:
        """The shape between the permutation and the final one."""
        return permuted(self.stored, self.permutation)

    @property
    def is_settled(self) -> bool:
        """Without a final reshape, so that each axis of the value is one of the stored tensor."""
        return self.shape == self.transposed

    @property
    def is_plain(self) -> bool:
        return self.is_settled and self.permutation == tuple(range(len(self.stored)))

    @property
    def keeps_order(self) -> bool:
        """Whether the stored elements stand in the value's order."""
        return keeps_order(self.stored, self.permutation)

    def same_place(self, other: View) -> bool:
        """Whether elements of equal index are stored at equal places."""
        return (self.stored, self.permutation, self.shape) == (other.stored, other.permutation, other.shape)

    def settled(self) -> tuple[Axes, Axes, Axes]:
        """(order, shape, permutation): stored.transpose(order).reshape(shape) gives the value without a final reshape.

        The axes fall into blocks, each with as many elements before the final reshape as after it. A block's axes
        must stand together and in order to be divided and merged; it then stands where its last axis stood. Axes
        of one element come first, where the axes have another order than the value's.
        """
        units = [axis for axis, n in enumerate(self.stored) if n == 1]
        blocks = [
            ([self.permutation[a] for a in before], after) for before, after in _blocks(self.transposed, self.shape)
        ]
        blocks.sort(key=lambda block: max(block[0]))
        order = [*units, *(axis for before, _ in blocks for axis in before)]
        axes = [axis for axis, n in enumerate(self.shape) if n == 1]
        axes += [axis for _, after in blocks for axis in after]
        wide = axes[self.shape.count(1) :]
        if wide == sorted(wide):
            axes = sorted(axes)
        return tuple(order), permuted(self.shape, axes), inverse(axes)


def _blocks(before: Axes, after: Axes) -> list[tuple[list[int], list[int]]]:
    """The axes of more than one element before and after, in the finest blocks of equally many elements."""
    blocks = []
    left, right = ([axis for axis, n in enumerate(shape) if n != 1] for shape in (before, after))
    while left:
        block = [left.pop(0)], [right.pop(0)]
        sizes = [before[block[0][0]], after[block[1][0]]]
        while sizes[0] != sizes[1]:
            if sizes[0] < sizes[1]:
                block[0].append(left.pop(0))
                sizes[0] *= before[block[0][-1]]
            else:
                block[1].append(right.pop(0))
                sizes[1] *= after[block[1][-1]]
        blocks.append(block)
    return blocks
