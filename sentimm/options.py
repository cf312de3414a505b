"""What a command was asked to do: frozen dataclasses, with the checks that need no file and no model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sentimm.errors import UsageError

Modality = Literal["text", "image"]
BatchSize = int | Literal["auto"]
SENTIMENTS = ("negative", "neutral", "positive")  # the labels, unless others are named
RETRIABLE = ("image_missing", "image_unreadable")  # statuses that may be others when a post is scored again
MAX_CHUNK_ROWS = 100_000  # the most rows that a part, and a row group of the output, may have


@dataclass(frozen=True)
class CorpusOptions:
    """How a corpus is to be read.

    Attributes:
        images: the folder of the posts' images; None: a column of image names is ignored.
        text_column, image_column, id_column: columns to use instead of the detected ones.
        infer_types: give columns of text formats the types that all their values survive.
        limit: read the first `limit` posts only.
        only: use this modality alone.
        allow_missing: go on where no post finds its image.
        columns: the input columns to keep in the output; None: all.
        prefix: goes before the names of all columns that are added.
    """

    images: Path | None = None
    text_column: str | None = None
    image_column: str | None = None
    id_column: str | None = None
    infer_types: bool = True
    limit: int | None = None
    only: Modality | None = None
    allow_missing: bool = False
    columns: tuple[str, ...] | None = None
    prefix: str = ""

    def __post_init__(self) -> None:
        _check_at_least(self.limit, 1, "--limit")
        if self.only not in (None, "text", "image"):
            raise UsageError(f"--only is {self.only!r}, but it must be text or image.")
        if any("\ud800" <= character <= "\udfff" for character in self.prefix):
            raise UsageError(f"--prefix is {self.prefix!r}, which is no UTF-8, as names of columns are.")


@dataclass(frozen=True)
class ScoreOptions:
    """What `sentimm score` was asked to do.

    Attributes:
        inputs: files, globs and folders of posts; "-" is NDJSON from standard input.
        corpus: how to read them.
        output: the Parquet file or folder to write; None: named after the input, in the working directory.
        model: the bundle's folder; None: the embedded default.
        device, precision: what to run on ("auto" chooses).
        threads: threads of the model; None: as many as the machine has cores.
        batch_size: posts in a batch of the model; None: the engine's choice; "auto": what is fastest in a trial.
        chunk_rows: posts in a part; None: what takes about 15 seconds.
        dedupe: encode each distinct text and image once.
        views: add what the model makes of text and image alone, and how far they are apart.
        overwrite: replace the output of another job.
        retry: of a finished output, score again only the posts with these statuses (of RETRIABLE).
        ray: the Ray cluster to score on: `auto`, `local` or an address; None: this process.
        max_failed: percent of the images that may be unreadable; None: all of them.
        problems: the CSV that lists posts with a problem; None: named after the output.
    """

    inputs: tuple[str, ...]
    corpus: CorpusOptions = field(default_factory=CorpusOptions)
    output: Path | None = None
    model: Path | None = None
    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    batch_size: BatchSize | None = None
    chunk_rows: int | None = None
    dedupe: bool = True
    views: bool = False
    overwrite: bool = False
    retry: tuple[str, ...] = ()
    ray: str | None = None
    max_failed: float | None = None
    problems: Path | None = None

    def __post_init__(self) -> None:
        if not self.inputs:
            raise UsageError("No INPUT was given: name a table of posts, or a folder of images.")
        if "-" in self.inputs and len(self.inputs) > 1:
            raise UsageError("Standard input (-) can't be combined with other inputs: give it alone.")
        _check_at_least(self.threads, 1, "--threads")
        _check_at_least(self.batch_size, 1, "--batch-size")
        _check_at_least(self.chunk_rows, 1, "--chunk-rows")
        if self.chunk_rows is not None and self.chunk_rows > MAX_CHUNK_ROWS:
            raise UsageError(f"--chunk-rows is {self.chunk_rows}, but a part has at most {MAX_CHUNK_ROWS:,} rows.")
        if unknown := [status for status in self.retry if status not in RETRIABLE]:
            raise UsageError(
                f"--retry takes the statuses {' and '.join(RETRIABLE)}, and not {unknown[0]!r}: others do not change."
            )
        if self.retry and self.overwrite:
            raise UsageError("--retry keeps the answers that --overwrite would replace: give one of them.")
        if self.max_failed is not None and not 0 <= self.max_failed <= 100:
            raise UsageError(f"--max-failed is {self.max_failed:g}, but it is a percentage, from 0 to 100.")


@dataclass(frozen=True)
class EvaluateOptions:
    """What `sentimm evaluate` was asked to do.

    Attributes:
        inputs: files and globs of labelled posts, or of posts that `score` labelled.
        corpus: how to read them.
        label_column: the column of labels.
        labels: what the table's labels are; None: the model's. Each must be one of the model's.
        model: the bundle's folder; None: the embedded default, or the answers that are in the table.
        without_seen: a table whose posts are left out.
        seen_images: the folder of its images; None: that of the inputs.
        device, precision, threads, batch_size: as in `ScoreOptions`.
    """

    inputs: tuple[str, ...]
    corpus: CorpusOptions = field(default_factory=CorpusOptions)
    label_column: str = "label"
    labels: tuple[str, ...] | None = None
    model: Path | None = None
    without_seen: str | None = None
    seen_images: Path | None = None
    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    batch_size: BatchSize | None = None

    def __post_init__(self) -> None:
        if "-" in self.inputs:
            raise UsageError("Standard input (-) can't be evaluated, which reads its posts twice: give a file.")
        if self.seen_images is not None and self.without_seen is None:
            raise UsageError("--seen-images is the folder of the images of --without-seen, which was not given.")
        _check_at_least(self.threads, 1, "--threads")
        _check_at_least(self.batch_size, 1, "--batch-size")


@dataclass(frozen=True)
class BenchOptions:
    """What `sentimm bench` was asked to do.

    Attributes:
        inputs: the corpus; none: one is generated.
        corpus: how to read it.
        posts: how many of its first posts are used.
        model, device, precision, threads: as in `ScoreOptions`.
    """

    inputs: tuple[str, ...] = ()
    corpus: CorpusOptions = field(default_factory=CorpusOptions)
    posts: int = 1000
    model: Path | None = None
    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None

    def __post_init__(self) -> None:
        if "-" in self.inputs:
            raise UsageError("Standard input (-) can't be used for `sentimm bench`, which reads its posts twice.")
        if self.corpus.images is not None and not self.inputs:
            raise UsageError("--images is the folder of a corpus's images: name its table too.")
        _check_at_least(self.threads, 1, "--threads")
        _check_at_least(self.posts, 1, "--posts")


def _check_at_least(value: int | str | None, lowest: int, option: str) -> None:
    if isinstance(value, int) and value < lowest:
        raise UsageError(f"{option} is {value}, but it must be at least {lowest}.")
