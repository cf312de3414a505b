"""A worker of a cluster: scores parts of a job and commits them, one behind the other without a stop between them.

Ray Data calls a worker from several threads, each with the numbers of some parts. They wait while one thread of the
worker's own takes the parts through the pipeline, in which the next one is started before the one before is committed.
"""

from __future__ import annotations

import json
import math
import os
import platform
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from sentimm import __version__
from sentimm.bundle.bundle import Precision, load_bundle
from sentimm.corpus import Chunk, CorpusReader, Survey, open_images, read_chunk
from sentimm.errors import ClusterError, SentimmError, TableError
from sentimm.events import Counts
from sentimm.options import ScoreOptions
from sentimm.scoring.job_folder.earlier_answers import EarlierAnswers
from sentimm.scoring.job_folder.inputs import InputStates, check_unchanged, read_posts
from sentimm.scoring.job_folder.parts import PartWriter, stage_path
from sentimm.scoring.output.columns import OutputColumns
from sentimm.scoring.output.problems import list_problems
from sentimm.scoring.pipeline.chunk_scorer import ChunkScorer
from sentimm.scoring.scores import Scores

_ROWS_PER_TASK = 8  # at most: Ray takes some 4 ms for each row that reaches the driver


@dataclass(frozen=True)
class ClusterJob:
    """What a worker needs to know of a job.

    Attributes:
        directory: the working directory, from which relative paths start.
        folder: the job folder.
        output: what the job writes in the end; where it retries, the finished output.
        survey, options, columns, metadata, inputs: as the driver has them.
        device, precision: what workers run on.
        by_reference: they read the posts from the tables; else from what was staged.
    """

    directory: Path
    folder: Path
    output: Path
    survey: Survey
    options: ScoreOptions
    columns: OutputColumns
    metadata: Mapping[str, Any]
    inputs: InputStates
    device: Literal["cpu", "cuda"]
    precision: Precision
    by_reference: bool


@dataclass
class _Part:
    """A part on its way: what was scored of it, and the answer for which a caller waits."""

    start: int
    rows: int
    frames: list[pl.DataFrame] = field(default_factory=list)
    problems: list[pl.DataFrame] = field(default_factory=list)
    answer: Future[dict[str, Any]] = field(default_factory=Future)

    def holds(self, row: int) -> bool:
        return self.start <= row < self.start + self.rows

    def wait(self) -> dict[str, Any]:
        """Wait until it is done; return what became of it."""
        try:
            return {"start": self.start, **self.answer.result(), "error": ""}
        except SentimmError as error:
            return {"start": self.start, "error": str(error)}


class PartWorker:
    """Scores parts, in a process of a cluster; one that can't start reports why in place of every part."""

    def __init__(self, job: ClusterJob, threads: int) -> None:
        self._failure: SentimmError | None = None
        try:
            self._begin(job, threads)
        except SentimmError as error:
            self._failure = error

    def _begin(self, job: ClusterJob, threads: int) -> None:
        from sentimm.runtime.batch_sizes import open_engine

        try:
            os.chdir(job.directory)
        except OSError as error:
            raise ClusterError(
                f"{platform.node()} has no folder {job.directory}, in which the command was run: run it in a folder "
                "that all machines have."
            ) from error
        self._job = job
        bundle = load_bundle(job.options.model)
        own = {"version": __version__, "digest": bundle.digest}
        if any(job.metadata[name] != value for name, value in own.items()):
            raise ClusterError(
                f"{platform.node()} has another model, or another version of sentimm ({__version__}), than the machine "
                f"on which the command was run ({job.metadata['version']}): make them the same."
            )
        engine = open_engine(bundle, job.device, job.precision, threads, job.options.batch_size)
        retry = job.options.retry
        self._earlier = EarlierAnswers(job.output, job.columns, retry) if retry else None
        self._scorer = ChunkScorer(bundle, engine, views=job.options.views, dedupe=job.options.dedupe)
        self._last_count = self._count()
        images = job.options.corpus.images
        self._images = open_images(images) if images is not None and job.by_reference else None
        # Two workers may write the same part, where one was given up too early: not under the same temporary name.
        self._writer = PartWriter(job.folder, job.columns, job.metadata, suffix=f".{os.getpid()}")
        self._queue: SimpleQueue[_Part] = SimpleQueue()
        threading.Thread(target=self._work, name="parts", daemon=True).start()

    def __call__(self, batch: dict[str, npt.NDArray[np.int64]]) -> Iterator[dict[str, npt.NDArray[Any]]]:
        """Score and commit the parts that begin at `start` and have so many `rows`.

        Yields:
            A row for each eighth of the parts, in order, when they are committed: a list in JSON, with an object for
            each part. It has its `start`, what was done since the one before (`retried` posts, and what `Encodings`
            counts), its `counts`, and the `error` for which it could not be, or "". Ray leaves out as many rows of a
            task that it gives out again as arrived before: the n-th must always be of the same parts.
        """
        parts = [
            _Part(start, rows) for start, rows in zip(batch["start"].tolist(), batch["rows"].tolist(), strict=True)
        ]
        for part in parts:
            if self._failure is None:
                self._queue.put(part)
            else:
                part.answer.set_exception(self._failure)
        together = math.ceil(len(parts) / _ROWS_PER_TASK)
        for at in range(0, len(parts), together):
            yield {"parts": np.array([json.dumps([part.wait() for part in parts[at : at + together]])])}

    def _work(self) -> None:
        while True:
            under_way = [self._queue.get()]
            try:
                for chunk, scores in self._scorer.score_all(self._read_all(under_way), lambda *_: None):
                    self._take(under_way, chunk, scores)
            except BaseException as error:  # whatever it is (polars' panics are no Exception): a caller waits
                for part in under_way:
                    part.answer.set_exception(error if isinstance(error, Exception) else RuntimeError(str(error)))

    def _read_all(self, under_way: list[_Part]) -> Iterator[Chunk]:
        """Read the first part, and then others for as long as some are wanted; those are under way then."""
        part = under_way[0]
        while True:
            try:
                # It is there where a worker was lost behind the commit.
                if (found := self._writer.find(part.start, part.rows)) is not None:
                    self._finish(under_way, part, found.facts.counts)
                else:
                    chunks = self._read(part)
                    yield from self._earlier.leave_out(chunks) if self._earlier else chunks
            except SentimmError as error:
                under_way.remove(part)
                part.answer.set_exception(error)
            try:
                part = self._queue.get_nowait()
            except Empty:
                return
            under_way.append(part)

    def _read(self, part: _Part) -> Iterator[Chunk]:
        if self._job.by_reference:
            reader = CorpusReader(self._job.survey, self._job.options.corpus, part.start, self._images)
            yield from read_posts(reader, part.rows, self._job.inputs)
            return
        chunk = read_chunk(stage_path(self._job.folder, part.start), part.start)
        if chunk.rows != part.rows:
            raise TableError(f"The staged posts from {part.start} on are {chunk.rows} instead of {part.rows}.")
        yield chunk

    def _take(self, under_way: list[_Part], chunk: Chunk, scores: Scores) -> None:
        """Take what was scored of a part, and commit it when it is all there."""
        part = next((each for each in under_way if each.holds(chunk.start)), None)
        if part is None:  # the rest of it could not be read
            return
        frame = self._job.columns.add_scores(chunk.frame, scores)
        if self._earlier is not None:
            frame, scores = self._earlier.keep(chunk, frame, scores)
        part.frames.append(frame)
        part.problems.append(list_problems(chunk, scores))
        if sum(map(len, part.frames)) < part.rows:
            return
        try:
            check_unchanged(self._job.inputs, self._job.survey.find_paths(part.start, part.rows))
            committed = self._writer.commit(part.start, pl.concat(part.frames), pl.concat(part.problems))
        except SentimmError as error:
            under_way.remove(part)
            part.answer.set_exception(error)
        else:
            self._finish(under_way, part, committed.facts.counts)

    def _finish(self, under_way: list[_Part], part: _Part, counts: Counts) -> None:
        before, self._last_count = self._last_count, self._count()
        under_way.remove(part)
        done = {name: number - before[name] for name, number in self._last_count.items()}
        part.answer.set_result({**done, "counts": [counts.labels, counts.modalities, counts.statuses]})

    def _count(self) -> dict[str, int]:
        retried = 0 if self._earlier is None else self._earlier.retried
        return {"retried": retried, **asdict(self._scorer.encodings)}
