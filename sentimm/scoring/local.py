"""Scoring in this process: chunks of posts through the pipeline, each of them a part in the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterator

from sentimm.bundle.bundle import Bundle
from sentimm.corpus import Chunk, CorpusReader
from sentimm.events import BatchesChosen, Listener, PostsScored
from sentimm.options import ScoreOptions
from sentimm.runtime.engine import Engine
from sentimm.scoring.job_folder.context import JobContext
from sentimm.scoring.job_folder.folder import Job
from sentimm.scoring.job_folder.inputs import check_unchanged, read_posts
from sentimm.scoring.job_folder.parts import Part
from sentimm.scoring.output.problems import list_problems
from sentimm.scoring.pipeline.chunk_scorer import ChunkScorer, Encodings

_log = logging.getLogger(__name__)

_FIRST_CHUNK_ROWS = 256
_PART_SECONDS = 15.0
_FASTEST_GROWTH = 4
_MOST_ROWS = 16_384  # unless the number is set: memory is the same for 100,000 posts and for millions


class LocalBackend:
    """Scores in this process, with one engine; a `Backend`.

    Raises:
        BundleError, DeviceError, UsageError: see `Engine`.
    """

    def __init__(self, bundle: Bundle, options: ScoreOptions) -> None:
        self._bundle = bundle
        self._engine = Engine(
            bundle,
            device=options.device,
            precision=options.precision,
            threads=options.threads,
            batch_size=None if options.batch_size == "auto" else options.batch_size,
        )
        self.device = self._engine.device
        self.precision = self._engine.precision
        self.note = self._engine.note

    def score(self, context: JobContext, encodings: Encodings, tell: Listener) -> Generator[Part, None, None]:
        """Score the posts of a job that are in no part yet; see `Backend`."""
        job, options, earlier = context.job, context.options, context.earlier
        if options.batch_size == "auto":
            _choose_batch_sizes(job, self._engine, tell)
        size = ChunkSize(options.chunk_rows)

        def advance(chunk: Chunk, share: float) -> None:
            tell(PostsScored(job.parts.rows + int(share * chunk.rows)))

        began = time.monotonic()
        with ChunkScorer(
            self._bundle, self._engine, views=options.views, dedupe=options.dedupe, encodings=encodings
        ) as scorer:
            chunks = _read_gaps(context, size)
            for chunk, scores in scorer.score_all(earlier.leave_out(chunks) if earlier else chunks, advance):
                check_unchanged(context.inputs, context.survey.find_paths(chunk.start, chunk.rows))
                frame = context.columns.add_scores(chunk.frame, scores)
                if earlier is not None:
                    frame, scores = earlier.keep(chunk, frame, scores)
                part = job.commit_part(chunk.start, frame, list_problems(chunk, scores))
                now = time.monotonic()
                _log.debug("posts %d to %d took %.2f s", part.start, part.end - 1, now - began)
                size.adapt(chunk.rows, now - began)
                began = now
                yield part


def _choose_batch_sizes(job: Job, engine: Engine, tell: Listener) -> None:
    """Find the best batch sizes, unless an earlier attempt at the job has."""
    from sentimm.runtime.batch_sizes import find_batch_sizes

    device = f"{engine.device}, {engine.precision}, {engine.threads} threads"
    sizes = job.find_batch_sizes(device)
    is_stored = sizes is not None
    if sizes is None:
        sizes = find_batch_sizes(engine)
        job.keep_batch_sizes(device, sizes)
    engine.use_batch_sizes(sizes)
    tell(BatchesChosen(sizes, is_stored))


def _read_gaps(context: JobContext, size: ChunkSize) -> Iterator[Chunk]:
    """Read the posts that are in no part."""
    for start, end in context.job.parts.find_gaps(context.survey.rows):
        reader = CorpusReader(context.survey, context.options.corpus, start)
        while start < end:
            chunk = next(read_posts(reader, min(size.rows, end - start), context.inputs))
            start += chunk.rows
            yield chunk


class ChunkSize:
    """How many posts the next chunk has: what takes _PART_SECONDS, by the last part, unless the number is `fixed`."""

    def __init__(self, fixed: int | None) -> None:
        self.rows = fixed or _FIRST_CHUNK_ROWS
        self._is_fixed = fixed is not None

    def adapt(self, rows: int, seconds: float) -> None:
        """Learn how many seconds so many posts took."""
        if not self._is_fixed:
            wanted = int(rows / max(seconds, 0.001) * _PART_SECONDS)
            self.rows = max(1, min(wanted, _FASTEST_GROWTH * self.rows, _MOST_ROWS))
