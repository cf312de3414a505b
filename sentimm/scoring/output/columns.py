"""The columns that scoring adds to a post's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from sentimm.corpus.labels import NO_LABEL
from sentimm.errors import UsageError
from sentimm.events import Counts
from sentimm.scoring.scores import STATUSES, USED_MODALITIES, Scores

IMAGES = "images"


@dataclass(frozen=True)
class OutputColumns:
    """The columns of an output: those kept from the input, then those that scoring adds.

    Attributes:
        own: the columns of the input, with their types.
        labels: the model's.
        prefix: goes before the names of the added columns.
        views: what the model makes of text and image alone is added.
        images: how many images of a post were used is added.

    Raises:
        UsageError: a column that is added has the name of one that is kept.
    """

    own: Mapping[str, pl.DataType]
    labels: tuple[str, ...]
    prefix: str = ""
    views: bool = False
    images: bool = False

    def __post_init__(self) -> None:
        clashes = [name for name in self.added if name in self.own]
        if clashes:
            kind = "a column" if len(clashes) == 1 else "columns"
            raise UsageError(
                f"The input already has {kind} named {', '.join(map(repr, clashes))}: rename the added columns with "
                "--prefix (such as --prefix model_), or leave out the input's with --columns."
            )

    @property
    def added(self) -> dict[str, pl.DataType]:
        """Name and type of the columns that scoring adds, in order."""
        probabilities: dict[str, pl.DataType] = {f"p_{label}": pl.Float32() for label in self.labels}
        columns: dict[str, pl.DataType] = {"sentiment": pl.String(), "confidence": pl.Float32()}
        columns |= probabilities | {"modality": pl.String(), "status": pl.String()}
        if self.images:
            columns |= {IMAGES: pl.Int32()}
        if self.views:
            columns |= {"text_sentiment": pl.String(), "image_sentiment": pl.String(), "conflict": pl.Float32()}
        return {self.prefix + name: dtype for name, dtype in columns.items()}

    @property
    def arrow_schema(self) -> pa.Schema:
        """The Arrow schema of the output's files."""
        return pl.DataFrame(schema={**self.own, **self.added}).to_arrow().schema

    def add_scores(self, frame: pl.DataFrame, scores: Scores) -> pl.DataFrame:
        """Add the scores of its posts to `frame`, which has the kept columns."""
        scored = pl.Series(scores.labels != NO_LABEL)
        probabilities = scores.probabilities.reshape(-1, len(self.labels))
        best = probabilities[np.arange(len(probabilities)), np.maximum(scores.labels, 0)]
        columns = [
            _pick(scores.labels, self.labels),
            _keep(best, scored),
            *(_keep(probabilities[:, index], scored) for index in range(len(self.labels))),
            _pick(scores.modalities, USED_MODALITIES),
            _pick(scores.statuses, STATUSES),
        ]
        if self.images:
            used = np.zeros(len(frame), np.int64) if scores.images is None else scores.images
            columns.append(pl.Series(used, dtype=pl.Int32))
        if scores.views is not None:
            conflict = scores.views.conflict
            columns += [_pick(scores.views.text, self.labels), _pick(scores.views.image, self.labels)]
            columns.append(_keep(conflict, pl.Series(~np.isnan(conflict))))
        names = zip(columns, self.added, strict=True)
        return frame.with_columns([column.alias(name) for column, name in names])

    def count(self, frame: pl.DataFrame) -> Counts:
        """Count the labels, modalities and statuses of `frame`, which has the added columns."""
        return Counts(
            labels=_count_values(frame[self.prefix + "sentiment"], self.labels),
            modalities=_count_values(frame[self.prefix + "modality"], USED_MODALITIES),
            statuses=_count_values(frame[self.prefix + "status"], STATUSES),
        )


def add_counts(counts: Iterable[Counts], labels: Sequence[str]) -> Counts:
    """Add up the counts of several files."""
    total = Counts(dict.fromkeys(labels, 0), dict.fromkeys(USED_MODALITIES, 0), dict.fromkeys(STATUSES, 0))
    for each in counts:
        total = Counts(
            {label: number + each.labels.get(label, 0) for label, number in total.labels.items()},
            {modality: number + each.modalities.get(modality, 0) for modality, number in total.modalities.items()},
            {status: number + each.statuses.get(status, 0) for status, number in total.statuses.items()},
            total.partial + each.partial,
        )
    return total


def _pick(indices: npt.NDArray[np.int64], names: Sequence[str]) -> pl.Series:
    """Return the names at `indices` (String); null at NO_LABEL."""
    rows = pl.Series(indices, dtype=pl.Int64)
    return pl.Series(names, dtype=pl.String).gather(rows.set(rows == NO_LABEL, None))


def _keep(values: npt.NDArray[np.float32], where: pl.Series) -> pl.Series:
    return pl.Series(values.astype(np.float32, copy=False)).set(~where, None)


def _count_values(values: pl.Series, names: Sequence[str]) -> dict[str, int]:
    counted = dict(values.value_counts().iter_rows())
    return {name: counted.get(name, 0) for name in names}
