"""What training tells while it works; see `sentimm.events` for the idea."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sentimm.metrics.metrics import Metrics


@dataclass(frozen=True)
class PostsLoaded:
    """The tables are read: posts to train on and to validate with, rows left out by reason.

    A resumed run goes on in `resumed_epoch` (from 1; 0: it starts) after `resumed_step` steps.
    """

    run: Path
    training: int
    validation: int
    complete: int
    skipped: Mapping[str, int]
    resumed_epoch: int
    resumed_step: int
    processes: int


@dataclass(frozen=True)
class FeaturesExtracted:
    """`done` of `total` texts or images have gone through a frozen backbone."""

    modality: str
    done: int
    total: int


@dataclass(frozen=True)
class ThumbnailsMade:
    """`done` of `total` images are decoded into the image cache."""

    done: int
    total: int


@dataclass(frozen=True)
class TeacherAsked:
    """The teacher has answered `done` of `total` questions: complete posts, texts and images."""

    done: int
    total: int


@dataclass(frozen=True)
class BatchTrained:
    """Batch `batch` of `batches` of an epoch (both from 1) is done; `loss` is the epoch's mean so far."""

    epoch: int
    epochs: int
    batch: int
    batches: int
    posts: int
    loss: float


@dataclass(frozen=True)
class EpochTrained:
    """An epoch (from 1) is done and saved; `metrics` are those of each table's validation posts.

    `waiting` is the share of the training time (validation apart) in which a step waited for its posts.
    """

    epoch: int
    epochs: int
    loss: float
    seconds: float
    waiting: float
    metrics: Mapping[str, Metrics]
    score: float
    is_best: bool


@dataclass(frozen=True)
class StoppedEarly:
    """Training ends after an epoch (from 1), because the last `stale` ones brought nothing better."""

    epoch: int
    stale: int


@dataclass(frozen=True)
class ComparedRun:
    """A comparison comes to run `number` of `planned` (from 1): a new one, an interrupted one, or a finished one."""

    number: int
    planned: int
    name: str
    state: Literal["new", "interrupted", "finished"]


@dataclass(frozen=True)
class ImagesHashed:
    """`done` of `total` images have been hashed, to find those that look like another."""

    done: int
    total: int


TrainingEvent = (
    StoppedEarly | PostsLoaded | FeaturesExtracted | ThumbnailsMade | TeacherAsked | BatchTrained | EpochTrained
)
TrainingListener = Callable[[TrainingEvent], None]
ComparisonEvent = ComparedRun | ImagesHashed | TrainingEvent
ComparisonListener = Callable[[ComparisonEvent], None]
