"""Where the posts of a job are scored: in this process (`local`), or on a cluster (`cluster.backend`)."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

from sentimm.bundle.bundle import Precision
from sentimm.events import Listener
from sentimm.scoring.job_folder.context import JobContext
from sentimm.scoring.job_folder.parts import Part
from sentimm.scoring.pipeline.chunk_scorer import Encodings


class Backend(Protocol):
    """Scores the posts of jobs."""

    @property
    def device(self) -> str:
        """Where the model runs: `cpu`, `cuda`, or `cuda:N`."""

    @property
    def precision(self) -> Precision:
        """What the model runs in."""

    @property
    def note(self) -> str:
        """Why this device and precision, in a sentence."""

    def score(self, context: JobContext, encodings: Encodings, tell: Listener) -> Generator[Part, None, None]:
        """Score the posts of a job that are in no part yet; yield the parts as they are committed.

        What was encoded is added to `encodings`.

        Raises:
            SentimmError: the job can't go on; the parts that were yielded are kept.
        """
