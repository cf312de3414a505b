"""What `sentimm evaluate` was asked to do."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from sentimm.errors import UsageError
from sentimm.option_fields import Panel, argument, check_options, option
from sentimm.options import (
    BundleName,
    CorpusOptions,
    Device,
    EncoderBatchSize,
    PrecisionName,
    Threads,
    split_label_values,
)


@dataclass(frozen=True)
class EvaluateOptions:
    """What `sentimm evaluate` was asked to do.

    Attributes:
        inputs: files and globs of labelled posts, or of posts that `score` labelled.
        label_column: the column of labels.
        labels: what the table's labels are; None: the model's. Each must be one of the model's. Given as pairs
            (`0=negative`), they become the labels alone, and `label_values` the pairs.
        by: a column; figures for each of its values.
        corpus: how to read them.
        without_seen: a table whose posts are left out.
        seen_images: the folder of its images; None: that of the inputs.
        model: the bundle's folder, or the name of one that ships; None: the default one, or the answers that are in
            the table.
        device, precision, threads, batch_size: as in `ScoreOptions`.

    Raises:
        UsageError: an option has a value that can't be used.
    """

    inputs: Annotated[
        tuple[str, ...],
        argument(
            "Tables of labelled posts; a Parquet file that `score` wrote, or a labelling sheet that `sample` drew, is "
            "evaluated as it is.",
            metavar="INPUT...",
            shown=False,
        ),
    ]
    corpus: CorpusOptions = field(default_factory=CorpusOptions)
    label_column: Annotated[str, option(Panel.INPUT, "The column of labels.", metavar="C")] = "label"
    labels: Annotated[
        tuple[str, ...] | None,
        option(
            Panel.INPUT,
            "What the table's labels are, in the order of its numbers; or what its values stand for.",
            metavar="A,B,...|VALUE=A,...",
            shown="the model's",
        ),
    ] = None
    label_values: tuple[str, ...] = ()
    by: Annotated[
        str | None,
        option(Panel.INPUT, "Figures for each value of this column, such as a language, too.", metavar="C"),
    ] = None
    model: BundleName = None
    without_seen: Annotated[
        str | None,
        option(
            Panel.INPUT,
            "Leave out posts whose text or image (by perceptual hash) occurs in this table.",
            metavar="TRAIN",
        ),
    ] = None
    seen_images: Annotated[
        Path | None,
        option(Panel.INPUT, "The folder of TRAIN's images.", metavar="DIR", shown="--images", is_url=True),
    ] = None
    device: Device = "auto"
    precision: PrecisionName = "auto"
    threads: Threads = None
    batch_size: EncoderBatchSize = None

    def __post_init__(self) -> None:
        check_options(self)
        if self.labels is not None:
            labels, pairs = split_label_values(self.labels)
            object.__setattr__(self, "labels", labels)
            object.__setattr__(self, "label_values", pairs or self.label_values)
        # No other column is written: whether the inputs agree in these does not matter.
        required = (self.label_column,) if self.by is None else (self.label_column, self.by)
        object.__setattr__(self, "corpus", replace(self.corpus, required=required))
        if "-" in self.inputs:
            raise UsageError("`evaluate` reads its posts twice, so it can't read standard input (-): give a file.")
        if self.seen_images is not None and self.without_seen is None:
            raise UsageError("--seen-images is the folder of the images of --without-seen, which was not given.")
