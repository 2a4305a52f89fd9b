"""The thin layer between what callers hand in and what the kernels want.

Kernels work on blocks of one-dimensional, contiguous float64 arrays of one length. An argument that
is one number for all rows is not blown up to their number: it stays one block of equal values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    Column = NDArray[Any]

BLOCK = 2048


class _Unlocked:
    """Presents a read-only array, such as a column of a data frame, as a writable one.

    Kernels do not write to their inputs, but numba would compile them anew for read-only ones.
    """

    def __init__(self, array: Column) -> None:
        self.owner = array
        interface = dict(array.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        self.__array_interface__ = interface


class Batch:
    """Arguments of a batch of options, broadcast against each other.

    Attributes:
        shape: The broadcast shape.
        size: Number of options.

    Raises:
        ValueError: The arguments do not broadcast, or are no numbers.
    """

    def __init__(self, numbers: Sequence[ArrayLike], is_call: ArrayLike) -> None:
        columns: list[Column] = [np.asarray(x, dtype=np.float64) for x in numbers]
        columns.append(np.asarray(is_call, dtype=np.bool_))
        self.shape = np.broadcast_shapes(*(column.shape for column in columns))
        self.size = int(np.prod(self.shape, dtype=np.int64))
        self._columns = [self._flat(column) for column in columns]

    def _flat(self, column: Column) -> Column:
        if column.size == 1 and self.size != 1:
            return np.full(min(BLOCK, self.size), column.reshape(1)[0])
        if column.shape != self.shape:
            column = np.broadcast_to(column, self.shape)
        flat = np.ascontiguousarray(column).reshape(-1)
        return flat if flat.flags.writeable else np.asarray(_Unlocked(flat))

    def full_columns(self) -> list[Any]:
        """Return all columns at full length."""
        return [
            column if column.size == self.size else np.full(self.size, column[0])
            for column in self._columns
        ]

    def flat_outputs(self, outputs: Sequence[Column]) -> list[Column]:
        """Return flat views of arrays that a kernel shall fill.

        Raises:
            ValueError: One is not a contiguous float64 array of the batch's shape.
        """
        for output in outputs:
            fits = output.shape == self.shape and output.dtype == np.float64
            if not (fits and output.flags.c_contiguous):
                raise ValueError(f"an output must be a contiguous float64 array of {self.shape}")
        return [output.reshape(-1) for output in outputs]

    def run(self, kernel: Callable[..., None], outputs: Sequence[Column]) -> None:
        """Call a kernel on all rows, in blocks if an argument is shared by all of them.

        Args:
            kernel: Takes the columns in the order given, then the outputs.
            outputs: Flat arrays of the batch's size.
        """
        if all(column.size == self.size for column in self._columns):
            kernel(*self._columns, *outputs)
            return
        for start in range(0, self.size, BLOCK):
            stop = min(start + BLOCK, self.size)
            kernel(
                *(
                    column[start:stop] if column.size == self.size else column[: stop - start]
                    for column in self._columns
                ),
                *(output[start:stop] for output in outputs),
            )
