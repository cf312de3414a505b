"""The limit on unreadable images."""

from __future__ import annotations

from sentimm.errors import FailuresError
from sentimm.events import Counts

_FEWEST_IMAGES = 100  # below that, the share of a corpus's first images means little


class FailureLimit:
    """The share of unreadable images at which a job ends (`--max-failed`).

    Args:
        most: percent of the images that may be unreadable; None: all.
        counts: of the posts that are scored already.
    """

    def __init__(self, most: float | None, counts: Counts) -> None:
        self._most = most
        self._failed = self._images = 0
        self.add(counts)

    def add(self, counts: Counts) -> None:
        """Count more posts."""
        failed = counts.statuses["image_unreadable"]
        self._failed += failed
        self._images += failed + counts.modalities["text+image"] + counts.modalities["image"]

    def check(self, *, final: bool = False) -> None:
        """Check the share, once enough images were tried for it to mean something, or all of them (`final`).

        Raises:
            FailuresError: it is too large.
        """
        if self._most is None or self._images < (1 if final else _FEWEST_IMAGES):
            return
        if 100 * self._failed > self._most * self._images:
            raise FailuresError(
                f"{self._failed:,} of {self._images:,} images can't be read ({self._failed / self._images:.1%}), and "
                f"--max-failed allows {self._most:g}%."
            )
