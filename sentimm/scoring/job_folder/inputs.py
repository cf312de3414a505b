"""What a job has to do, and where: what scoring in one process and on a cluster begin with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentimm.bundle.bundle import Bundle, Precision
from sentimm.corpus import Chunk, CorpusReader, Survey
from sentimm.errors import SentimmError
from sentimm.options import ScoreOptions
from sentimm.scoring.job_folder.earlier_answers import EarlierAnswers
from sentimm.scoring.job_folder.fingerprint import InputStates, check_unchanged
from sentimm.scoring.job_folder.folder import JobFolder
from sentimm.scoring.output.columns import OutputColumns

if TYPE_CHECKING:
    from sentimm.runtime.engine import Engine
    from sentimm.scoring.cluster.ray_cluster import Cluster


@dataclass(frozen=True)
class Place:
    """Where posts are scored: in this process, by `engine`, or on a `cluster`."""

    device: str
    precision: Precision
    bundle: Bundle
    engine: Engine | None = None
    cluster: Cluster | None = None


@dataclass(frozen=True)
class Work:
    """What there is to do."""

    folder: JobFolder
    survey: Survey
    columns: OutputColumns
    metadata: dict[str, Any]
    inputs: InputStates
    problems: Path
    options: ScoreOptions
    earlier: EarlierAnswers | None


def read_posts(reader: CorpusReader, rows: int, inputs: InputStates) -> Iterator[Chunk]:
    """Read so many posts of `inputs`, as one chunk or, where they are large, some.

    Raises:
        TableError, OSError: they can't be read, or an input changed.
    """
    while rows:
        try:
            chunk = reader.read(rows)
        except (SentimmError, OSError):
            check_unchanged(inputs, inputs)  # says more
            raise
        assert chunk is not None, "the reader gives as many posts as the survey counted"
        rows -= chunk.rows
        yield chunk
