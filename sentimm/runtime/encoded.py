"""The outputs of a model's graphs, in arrays: of the encoders, and of a fusion with heads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Encoded:
    """Encoded texts or images.

    Attributes:
        features: float32 (rows, width).
        sequence: float32 (rows, tokens, width), where the model's fusion attends, else None.
        lengths: int64 (rows,), how many of the tokens are real, the rest is padding; None with `sequence`.
    """

    features: npt.NDArray[np.float32]
    sequence: npt.NDArray[np.float32] | None = None
    lengths: npt.NDArray[np.int64] | None = None

    @staticmethod
    def reserve(rows: int, width: int, tokens: int | None) -> Encoded:
        """Make room for `rows` rows, to be filled with `put`; `tokens` is the longest sequence's number of them."""
        features = np.zeros((rows, width), np.float32)
        if tokens is None:
            return Encoded(features)
        return Encoded(features, np.zeros((rows, tokens, width), np.float32), np.zeros(rows, np.int64))

    def __len__(self) -> int:
        return len(self.features)

    def put(self, rows: npt.NDArray[np.int64] | slice, other: Encoded) -> None:
        """Write `other` at `rows`; its padding may be longer, not its sequences."""
        self.features[rows] = other.features
        if self.sequence is not None and self.lengths is not None:
            assert other.sequence is not None and other.lengths is not None
            tokens = min(self.sequence.shape[1], other.sequence.shape[1])
            self.sequence[rows, :tokens] = other.sequence[:, :tokens]
            self.lengths[rows] = other.lengths

    def head(self, rows: int) -> Encoded:
        """Return the first rows."""
        return Encoded(
            self.features[:rows],
            None if self.sequence is None else self.sequence[:rows],
            None if self.lengths is None else self.lengths[:rows],
        )

    def take(self, index: npt.NDArray[np.int64]) -> tuple[Encoded, npt.NDArray[np.int64]]:
        """Keep the rows that occur in `index`, with no more padding than they need.

        Returns:
            these rows, and the index into them; the number of rows stands for no row before and after.
        """
        rows, renumbered = np.unique(np.append(index, len(self)), return_inverse=True)
        rows, renumbered = rows[:-1], renumbered[:-1].astype(np.int64)
        if self.sequence is None or self.lengths is None:
            return Encoded(self.features[rows]), renumbered
        lengths = self.lengths[rows]
        return Encoded(self.features[rows], self.sequence[rows, : lengths.max(initial=1)], lengths), renumbered

    @property
    def mask(self) -> npt.NDArray[np.int64]:
        """Which tokens are real, int64 (rows, tokens); only with `sequence`."""
        assert self.sequence is not None and self.lengths is not None
        return (np.arange(self.sequence.shape[1]) < self.lengths[:, None]).astype(np.int64)


@dataclass(frozen=True)
class Views:
    """What a model with both heads says of posts, and what its heads say of their text and of their image alone.

    All are calibrated probabilities, float32 (posts, labels), NaN where a post has nothing of that kind.
    """

    probabilities: npt.NDArray[np.float32]
    text: npt.NDArray[np.float32]
    image: npt.NDArray[np.float32]
