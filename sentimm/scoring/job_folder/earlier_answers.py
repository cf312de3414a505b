"""Scoring again only the posts of a finished output that lacked something, such as an image that exists now."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from sentimm.corpus import Chunk
from sentimm.errors import OutputError
from sentimm.scoring.job_folder.finished_output import list_parts
from sentimm.scoring.output.columns import IMAGES, OutputColumns
from sentimm.scoring.output.parquet_files import open_parquet, read_rows
from sentimm.scoring.scores import STATUSES, Scores
from sentimm.storage import is_folder


class EarlierAnswers:
    """The answers in a finished output, of which those with some statuses are scored again.

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
        self._opened: tuple[Path, pq.ParquetFile] | None = None
        self._closing = ExitStack()
        self._columns = columns
        self._status = columns.prefix + "status"
        self._statuses = list(statuses)
        self._answers: dict[int, pl.DataFrame] = {}
        self._again: dict[int, npt.NDArray[np.bool_]] = {}

    def leave_out(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """Leave texts and images of the other posts out of `chunks`: scoring them costs nothing then.

        Raises:
            OutputError: the output can't be read.
        """
        with self._closing:  # what is open could not be replaced everywhere
            for chunk in chunks:
                answers = self._answers[chunk.start] = self._read(chunk)
                again = self._again[chunk.start] = self._find_again(chunk, answers)
                images = [image if wanted else None for image, wanted in zip(chunk.images, again, strict=True)]
                texts = chunk.texts.set(~pl.Series(again), None) if len(again) else chunk.texts
                yield replace(chunk, texts=texts, images=images)
        self._opened = None

    def keep(self, chunk: Chunk, frame: pl.DataFrame, scores: Scores) -> tuple[pl.DataFrame, Scores]:
        """Put the answers that are kept into `frame` and `scores`, those of a chunk from `leave_out`."""
        answers, again = self._answers.pop(chunk.start), self._again.pop(chunk.start)
        self.retried += int(again.sum())
        before = answers[self._status].cast(pl.Enum(STATUSES)).to_physical().to_numpy()
        mask = pl.Series(again)
        columns = [
            frame[name].zip_with(mask, answers[name].cast(dtype)).alias(name)
            for name, dtype in self._columns.added.items()
        ]
        return frame.with_columns(columns), replace(scores, statuses=np.where(again, scores.statuses, before))

    def _read(self, chunk: Chunk) -> pl.DataFrame:
        first = bisect.bisect_right(self._starts, chunk.start) - 1
        tables, start, left = [], chunk.start - self._starts[first], chunk.rows
        try:
            for path in self._files[first:]:
                tables.append(read_rows(self._open(path), list(self._columns.added), start, left))
                start, left = 0, left - tables[-1].num_rows
                if not left:
                    break
        except (pa.ArrowException, OSError) as error:
            raise OutputError(f"{self._output} can't be read: {error}.") from error
        return cast(pl.DataFrame, pl.from_arrow(pa.concat_tables(tables)))

    def _open(self, path: Path) -> pq.ParquetFile:
        if self._opened is None or self._opened[0] != path:
            self._opened = None
            self._closing.close()
            self._opened = path, self._closing.enter_context(open_parquet(path))
        return self._opened[1]

    def _find_again(self, chunk: Chunk, answers: pl.DataFrame) -> npt.NDArray[np.bool_]:
        """Find the posts that are scored again: those that lacked one of several images too."""
        again = answers[self._status].is_in(self._statuses).to_numpy(writable=True)
        if self._columns.images:
            used = answers[self._columns.prefix + IMAGES].to_list()
            for post, images in enumerate(chunk.images):
                again[post] |= isinstance(images, tuple) and used[post] < len(images)
        return again
