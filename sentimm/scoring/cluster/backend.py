"""The driver's side of scoring on a cluster: cut a job into parts, stage their posts, take in what workers commit."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

from sentimm.bundle.bundle import Bundle
from sentimm.corpus import CorpusReader, holds_rows, join_chunks, write_chunk
from sentimm.errors import HOW_TO_RESUME, ClusterError
from sentimm.events import Listener, PostsStaged
from sentimm.options import ScoreOptions
from sentimm.scoring.cluster.ray_cluster import Cluster, can_be_read_anywhere
from sentimm.scoring.cluster.worker import ClusterJob
from sentimm.scoring.job_folder.context import JobContext
from sentimm.scoring.job_folder.inputs import check_unchanged, read_posts
from sentimm.scoring.job_folder.parts import Part, stage_path
from sentimm.scoring.pipeline.chunk_scorer import Encodings
from sentimm.storage import is_remote
from sentimm.storage.atomic import commit_file, remove_file

_CLUSTER_ROWS = 3072  # of a part: 30 seconds of work for one core with the default model
_FEWEST_ROWS = 256
_PARTS_PER_WORKER = 4  # at least, that all of them end at about the same time


class RayBackend:
    """Scores on a Ray cluster, whose workers commit the parts; a `Backend`.

    Raises:
        DeviceError, UsageError: see `Cluster.place`.
    """

    def __init__(self, cluster: Cluster, bundle: Bundle, options: ScoreOptions) -> None:
        self._cluster = cluster
        self.device, self.precision, self.note = cluster.place(bundle, options)

    def score(self, context: JobContext, encodings: Encodings, tell: Listener) -> Generator[Part, None, None]:
        """Score the posts of a job that are in no part yet; see `Backend`.

        Raises:
            ClusterError: see `Cluster.score`, or parts are missing in the end.
            TableError, OSError: posts can't be read to be staged, or an input changed.
            OutputError: the job folder can't be written, or a worker's part can't be read.
        """
        job = context.job
        ranges = self._cut(context)
        if not ranges:
            return
        by_reference = can_be_read_anywhere(context.survey)
        if not by_reference:
            _stage(context, ranges, tell)
        cluster_job = ClusterJob(
            directory=Path.cwd(),
            folder=job.path.absolute(),
            output=job.output,
            survey=context.survey,
            options=context.options,
            columns=context.columns,
            metadata=context.metadata,
            inputs=context.inputs if by_reference else {},
            device=self.device,
            precision=self.precision,
            by_reference=by_reference,
        )
        rows_of = {start: end - start for start, end in ranges}
        for committed in self._cluster.score(cluster_job, ranges, encodings):
            if context.earlier is not None:
                context.earlier.retried += committed.retried
            yield job.adopt_part(committed.start, rows_of[committed.start], committed.counts)
            if not by_reference and not is_remote(job.path):  # where each removal takes long: they go in the end
                remove_file(stage_path(job.path, committed.start))
        if job.parts.find_gaps(context.survey.rows):
            raise ClusterError(f"Ray ended without some of the parts. {HOW_TO_RESUME}")

    def _cut(self, context: JobContext) -> list[tuple[int, int]]:
        """Cut the posts that are in no part into ranges, each from a first one up to another one."""
        parts, total = context.job.parts, context.survey.rows
        rows = context.options.chunk_rows or _choose_rows(total - parts.rows, self._cluster.workers)
        return [
            (start, min(start + rows, end))
            for first, end in parts.find_gaps(total)
            for start in range(first, end, rows)
        ]


def _choose_rows(posts: int, workers: int) -> int:
    """Choose the posts of a part: fewer where a job is so small that some workers would have none."""
    return min(_CLUSTER_ROWS, max(_FEWEST_ROWS, posts // (_PARTS_PER_WORKER * workers) + 1))


def _stage(context: JobContext, ranges: Sequence[tuple[int, int]], tell: Listener) -> None:
    """Write the posts of the `ranges` to files, except for those that an earlier attempt has written."""
    folder = context.job.path
    staged = 0
    reader, at = None, -1
    for start, end in ranges:
        path = stage_path(folder, start)
        if not holds_rows(path, end - start):
            if reader is None or at != start:
                reader = CorpusReader(context.survey, context.options.corpus, start)
            chunks = list(read_posts(reader, end - start, context.inputs))
            check_unchanged(context.inputs, context.survey.find_paths(start, end - start))
            with commit_file(path) as temporary:
                write_chunk(temporary, join_chunks(chunks))
            at = end
        staged += end - start
        tell(PostsStaged(context.job.parts.rows + staged))
