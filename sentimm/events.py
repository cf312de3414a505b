"""What the library tells while it works: plain facts, which `console` turns into words.

A listener is a function of one event. It is called in the thread that runs the job, often; one that raises stops the
job there: what is committed stays, and the same command goes on from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


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
    """`--batch-size auto` has found these sizes (by modality) best; or `kept` them from an earlier attempt."""

    sizes: Mapping[str, int]
    kept: bool


@dataclass(frozen=True)
class SurveyProgress:
    """The survey has seen `rows` posts."""

    rows: int


@dataclass(frozen=True)
class Surveyed:
    """The survey is done: what the corpus holds and how it will be read.

    Attributes:
        sources: file (or folder), format and posts of each input.
        rows: posts to score.
        columns: name and type of every column that is kept.
        reasons: which columns were chosen and why, in sentences.
        texts: posts with a text.
        images_named, images_found: posts that name an image, and those whose image is there.
        repeated_texts: posts whose text was seen before.
        unreadable: records that can't be read as a row.
        notes: what a person should know besides, in sentences.
    """

    sources: tuple[tuple[str, str, int], ...]
    rows: int
    columns: tuple[tuple[str, str], ...]
    reasons: tuple[str, ...]
    texts: int
    images_named: int
    images_found: int
    repeated_texts: int
    unreadable: int
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return all fields as `sentimm score --dry-run --json` prints them."""
        return asdict(self)


@dataclass(frozen=True)
class PostsStaged:
    """`rows` posts are written to where the workers of a cluster find them."""

    rows: int


@dataclass(frozen=True)
class JobStarted:
    """Scoring starts; `done` of `rows` posts are there from an earlier attempt, `damaged` of its parts are useless."""

    output: Path
    rows: int
    done: int
    damaged: int = 0


@dataclass(frozen=True)
class PostsScored:
    """`rows` posts of the job are scored so far, committed or not."""

    rows: int


@dataclass(frozen=True)
class PartCommitted:
    """A part is safely on disk: `rows` posts of the job are there so far."""

    rows: int


@dataclass(frozen=True)
class OutputAssembled:
    """`rows` posts have been put into the final file so far."""

    rows: int


@dataclass(frozen=True)
class Counts:
    """How many posts had which label, used which modalities, and ended with which status (first to last: as shown)."""

    labels: Mapping[str, int]
    modalities: Mapping[str, int]
    statuses: Mapping[str, int]


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
