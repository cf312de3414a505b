"""The events of training: plain dataclasses for a listener, such as the console."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sentimm.metrics.metrics import Metrics


@dataclass(frozen=True)
class PostsLoaded:
    """The tables are read: the numbers of posts to train on and to validate with, and of rows left out by reason.

    `notes` say how they are read, and which labels no post has. A resumed run continues in `resumed_epoch` (from 1; 0:
    a new run) after `resumed_step` steps.
    """

    run: Path
    training: int
    validation: int
    complete: int
    skipped: Mapping[str, int]
    resumed_epoch: int
    resumed_step: int
    processes: int
    notes: tuple[str, ...] = ()


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
class TeacherScored:
    """The teacher has scored `done` of `total` complete posts, texts and images."""

    done: int
    total: int


@dataclass(frozen=True)
class StepTrained:
    """Step `step` of `steps` of an epoch (both from 1) is done; `loss` is the epoch's mean so far."""

    epoch: int
    epochs: int
    step: int
    steps: int
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
    """Training ends after an epoch (from 1), because the last `stale` ones brought no improvement."""

    epoch: int
    stale: int


@dataclass(frozen=True)
class ComparedRun:
    """A comparison reaches run `number` of `planned` (from 1), which is new, interrupted or finished."""

    number: int
    planned: int
    name: str
    state: Literal["new", "interrupted", "finished"]


@dataclass(frozen=True)
class ImagesHashed:
    """`done` of `total` images have been hashed to find similar ones."""

    done: int
    total: int


TrainingEvent = (
    StoppedEarly | PostsLoaded | FeaturesExtracted | ThumbnailsMade | TeacherScored | StepTrained | EpochTrained
)
TrainingListener = Callable[[TrainingEvent], None]
ComparisonEvent = ComparedRun | ImagesHashed | TrainingEvent
ComparisonListener = Callable[[ComparisonEvent], None]
