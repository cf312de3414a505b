"""The driver's side of scoring on a cluster: cut a job into parts, stage their posts, take in what workers commit."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

from sentimm.corpus import CorpusReader, holds_rows, join_chunks, write_chunk
from sentimm.errors import ClusterError
from sentimm.events import Listener, PostsStaged
from sentimm.scoring.cluster.ray_cluster import can_be_read_anywhere
from sentimm.scoring.cluster.worker import ClusterJob
from sentimm.scoring.job_folder.context import Place, Work, read_posts
from sentimm.scoring.job_folder.fingerprint import check_unchanged
from sentimm.scoring.job_folder.parts import Part, stage_path
from sentimm.scoring.pipeline.chunk_scorer import Encodings
from sentimm.storage import is_remote
from sentimm.storage.atomic import commit_file, remove_file

_CLUSTER_ROWS = 3072  # of a part: 30 seconds of work for one core with the built-in model
_FEWEST_ROWS = 256
_PARTS_PER_WORKER = 4  # at least, that all of them end at about the same time


def score_on_cluster(work: Work, place: Place, encodings: Encodings, tell: Listener) -> Generator[Part, None, None]:
    """Let the workers of a cluster score the rest; gives the parts as they are committed.

    Raises:
        ClusterError: see `Cluster.score`, or parts are missing in the end.
        TableError, OSError: posts can't be read to be staged, or an input changed.
        OutputError: the job folder can't be written, or a worker's part can't be read.
    """
    cluster, folder = place.cluster, work.folder
    assert cluster is not None
    rows = work.options.chunk_rows or _choose_rows(work.survey.rows - folder.parts.rows, cluster.workers)
    ranges = [
        (start, min(start + rows, end))
        for first, end in folder.parts.find_gaps(work.survey.rows)
        for start in range(first, end, rows)
    ]
    if not ranges:
        return
    by_reference = can_be_read_anywhere(work.survey)
    if not by_reference:
        _stage(work, ranges, tell)
    job = ClusterJob(
        Path.cwd(),
        folder.path.absolute(),
        folder.output,
        work.survey,
        work.options,
        work.columns,
        work.metadata,
        work.inputs if by_reference else {},
        "cpu" if place.device == "cpu" else "cuda",
        place.precision,
        by_reference,
    )
    rows_of = {start: end - start for start, end in ranges}
    for committed in cluster.score(job, ranges, encodings):
        if work.earlier is not None:
            work.earlier.retried += committed.retried
        yield folder.adopt_part(committed.start, rows_of[committed.start], committed.counts)
        if not by_reference and not is_remote(folder.path):  # where each removal takes long: they go in the end
            remove_file(stage_path(folder.path, committed.start))
    if folder.parts.find_gaps(work.survey.rows):
        raise ClusterError(
            "Ray ended without some of the parts. What was scored is kept, and the same command goes on."
        )


def _choose_rows(posts: int, workers: int) -> int:
    """Choose the posts of a part: fewer where a job is so small that some workers would have none."""
    return min(_CLUSTER_ROWS, max(_FEWEST_ROWS, posts // (_PARTS_PER_WORKER * workers) + 1))


def _stage(work: Work, ranges: Sequence[tuple[int, int]], tell: Listener) -> None:
    """Write the posts of the `ranges` to files, but for those that an earlier attempt has written."""
    folder = work.folder.path
    staged = 0
    reader, at = None, -1
    for start, end in ranges:
        path = stage_path(folder, start)
        if not holds_rows(path, end - start):
            if reader is None or at != start:
                reader = CorpusReader(work.survey, work.options.corpus, start)
            chunks = list(read_posts(reader, end - start, work.inputs))
            check_unchanged(work.inputs, work.survey.find_paths(start, end - start))
            with commit_file(path) as temporary:
                write_chunk(temporary, join_chunks(chunks))
            at = end
        staged += end - start
        tell(PostsStaged(work.folder.parts.rows + staged))
