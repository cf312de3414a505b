"""What the library reports while it works: plain facts, which `console` puts into words.

A listener is a function of one event. It is called often, in the thread that runs the job. One that raises stops the
job: what is committed stays, and the same command resumes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # it would load polars, and the commands' help has no use for it
    from sentimm.corpus import Survey


@dataclass(frozen=True)
class ModelReady:
    """The model is loaded; `note` says in a sentence why this device and precision."""

    name: str
    embedded: bool
    device: str
    precision: str
    note: str


@dataclass(frozen=True)
class BatchesChosen:
    """`--batch-size auto` found these sizes (by modality) fastest; `is_stored`: an earlier attempt did."""

    sizes: Mapping[str, int]
    is_stored: bool


@dataclass(frozen=True)
class SurveyProgress:
    """The survey has seen `rows` posts."""

    rows: int


@dataclass(frozen=True)
class Surveyed:
    """The survey is done: what the corpus holds and how it will be read."""

    survey: Survey


@dataclass(frozen=True)
class PostsStaged:
    """`rows` posts are written where the workers of a cluster can read them."""

    rows: int


@dataclass(frozen=True)
class JobStarted:
    """Scoring starts; `done` of `rows` posts are there from an earlier attempt, `damaged` of its parts are useless.

    `output` is None where the answers are not written.
    """

    output: Path | None
    rows: int
    done: int
    damaged: int = 0


@dataclass(frozen=True)
class PostsScored:
    """`rows` posts of the job are scored so far, committed or not."""

    rows: int


@dataclass(frozen=True)
class PartCommitted:
    """A part is safely on disk: `rows` posts of the job are committed so far."""

    rows: int


@dataclass(frozen=True)
class OutputAssembled:
    """`rows` posts have been put into the final file so far."""

    rows: int


@dataclass(frozen=True)
class Counts:
    """How many posts had which label, used which modalities, and ended with which status (first to last: as shown).

    Attributes:
        labels, modalities, statuses: posts by their names.
        partial: posts that are `ok`, though one of their images could not be used.
    """

    labels: Mapping[str, int]
    modalities: Mapping[str, int]
    statuses: Mapping[str, int]
    partial: int = 0


@dataclass(frozen=True)
class JobFinished:
    """The output is complete.

    Attributes:
        output: the file or folder.
        rows: posts in it.
        scored: posts that this process scored; the others are from earlier attempts.
        seconds: how long scoring these took.
        counts: over all posts.
        already: the output was complete before this command.
        saved_texts, saved_images: texts and images of these posts that were not encoded, as the same ones had been.
        problems: the CSV that lists the posts with a problem, where there are any.
    """

    output: Path
    rows: int
    scored: int
    seconds: float
    counts: Counts
    already: bool = False
    saved_texts: int = 0
    saved_images: int = 0
    problems: Path | None = None

    def to_json(self, model: ModelReady | None) -> dict[str, Any]:
        """Return what `sentimm score --json` prints; `model` scored the posts, None where nothing was scored."""
        return {
            "output": str(self.output),
            "rows": self.rows,
            "scored": self.scored,
            "already_done": self.already,
            "seconds": round(self.seconds, 3),
            "posts_per_second": round(self.scored / self.seconds, 2) if self.seconds else None,
            "saved_texts": self.saved_texts,
            "saved_images": self.saved_images,
            "problems": None if self.problems is None else str(self.problems),
            **asdict(self.counts),
            "model": None if model is None else asdict(model),
        }


Event = (
    ModelReady
    | BatchesChosen
    | SurveyProgress
    | Surveyed
    | PostsStaged
    | JobStarted
    | PostsScored
    | PartCommitted
    | OutputAssembled
    | JobFinished
)
Listener = Callable[[Event], None]
