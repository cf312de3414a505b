"""Scoring again only those posts of a finished output that lacked something, such as an image that is there now."""

from __future__ import annotations

import bisect
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from sentimm.corpus import Chunk
from sentimm.errors import OutputError
from sentimm.scoring.finished import list_parts
from sentimm.scoring.output import STATUSES, OutputColumns, Scores
from sentimm.storage import download, is_folder, is_remote


class EarlierAnswers:
    """The answers in a finished output, of which those with some statuses are to be found anew.

    Args:
        output: the file or folder.
        columns: its columns.
        statuses: those that are scored again.

    Attributes:
        retried: how many posts were scored again so far.
    """

    def __init__(self, output: Path, columns: OutputColumns, statuses: Sequence[str]) -> None:
        self.retried = 0
        self._output = output
        self._files = list_parts(output) if is_folder(output) else [output]
        self._starts = [int(file.stem.removeprefix("part-")) for file in self._files] if is_folder(output) else [0]
        self._copies: Path | None = None
        if is_remote(output):
            self._copies = Path(tempfile.mkdtemp(prefix="sentimm-"))
            weakref.finalize(self, shutil.rmtree, self._copies, ignore_errors=True)
        self._columns = columns
        self._status = columns.prefix + "status"
        self._statuses = list(statuses)
        self._answers: dict[int, pl.DataFrame] = {}

    def leave_out(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """Leave texts and images of the other posts out of `chunks`: scoring them costs nothing then.

        Raises:
            OutputError: the output can't be read.
        """
        for chunk in chunks:
            answers = self._answers[chunk.start] = self._read(chunk)
            again = self._find_again(answers)
            images = [image if wanted else None for image, wanted in zip(chunk.images, again, strict=True)]
            texts = chunk.texts.set(~pl.Series(again), None) if len(again) else chunk.texts
            yield replace(chunk, texts=texts, images=images)

    def keep(self, chunk: Chunk, frame: pl.DataFrame, scores: Scores) -> tuple[pl.DataFrame, Scores]:
        """Put the answers that are kept into `frame` and `scores`, those of a chunk that `leave_out` gave."""
        answers = self._answers.pop(chunk.start)
        again = self._find_again(answers)
        self.retried += int(again.sum())
        before = answers[self._status].cast(pl.Enum(STATUSES)).to_physical().to_numpy()
        mask = pl.Series(again)
        kept = [
            frame[name].zip_with(mask, answers[name].cast(dtype)).alias(name)
            for name, dtype in self._columns.added.items()
        ]
        return frame.with_columns(kept), replace(scores, statuses=np.where(again, scores.statuses, before))

    def _read(self, chunk: Chunk) -> pl.DataFrame:
        first = bisect.bisect_right(self._starts, chunk.start) - 1
        files = self._files[first : max(first + 1, bisect.bisect_left(self._starts, chunk.start + chunk.rows))]
        try:
            scan = pl.scan_parquet([self._fetch(file) for file in files], glob=False, hive_partitioning=False)
            skipped = chunk.start - self._starts[first]
            return scan.select(list(self._columns.added)).slice(skipped, chunk.rows).collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise OutputError(f"{self._output} can't be read: {error}.") from error

    def _fetch(self, file: Path) -> Path:
        if self._copies is None:
            return file
        copied = self._copies / file.name
        if not copied.exists():
            temporary = copied.with_name(f"{copied.name}.tmp")
            download(file, temporary)
            temporary.rename(copied)
        return copied

    def _find_again(self, answers: pl.DataFrame) -> npt.NDArray[np.bool_]:
        return answers[self._status].is_in(self._statuses).to_numpy()
