"""An evaluation by a labelling sheet: how good the answers are, to all posts that the sheet was drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sentimm.errors import InputError, UsageError
from sentimm.evaluation.options import EvaluateOptions
from sentimm.findings.quality.contents import read_labelled_sheet
from sentimm.findings.quality.figures import FEWEST, Figure, Quality, measure_quality
from sentimm.findings.sheets.labels import find_design
from sentimm.findings.statistics.agreement import measure_alpha
from sentimm.option_fields import list_fields
from sentimm.options import CorpusOptions


@dataclass(frozen=True)
class SheetAssessment:
    """The results of an evaluation by a sheet.

    Attributes:
        inputs: the sheets.
        design: their design file.
        model: whose answers they are; None: not stated.
        labels: the model's.
        posts: of the corpus, for which the figures hold.
        labelled: contents that have a label.
        blank: contents that have none.
        unsure: judgements that were marked as unsure.
        annotators: people who labelled.
        notes: what else matters, in sentences.
        report: the figures.
        alpha, alpha_ordinal: how far people agree (Krippendorff's); None: nobody labelled the same content.
    """

    inputs: tuple[str, ...]
    design: str
    model: str | None
    labels: tuple[str, ...]
    posts: int
    labelled: int
    blank: int
    unsure: int
    annotators: int
    notes: tuple[str, ...]
    report: Quality
    alpha: float | None
    alpha_ordinal: float | None

    def to_json(self) -> dict[str, Any]:
        """Return all fields as report.json and `sentimm evaluate --json` have them."""
        return {"format": 1, **asdict(self)}


def check_sheet_options(options: EvaluateOptions) -> None:
    """Check that nothing is asked that a sheet, which is evaluated as it is, can't answer.

    Raises:
        UsageError: an option has no meaning here.
    """
    defaults = EvaluateOptions(options.inputs)
    ignored = ("inputs", "model", "device", "threads", "batch_size")
    pairs = [(EvaluateOptions, options, defaults), (CorpusOptions, options.corpus, defaults.corpus)]
    for kind, given, usual in pairs:
        for field in list_fields(kind):
            if field.name not in ignored and getattr(given, field.name) != getattr(usual, field.name):
                raise UsageError(
                    f"{field.flag} does not go with a labelling sheet, which is compared with the answers in its "
                    "design file: leave it out."
                )


def assess_sheet(sheets: Sequence[str], design: Path | None = None) -> SheetAssessment:
    """Compare the labels of sheets with the answers that the model gave to the corpus that they were drawn from.

    Raises:
        InputError: there is no design file.
        SentimmError: see `read_labelled_sheet`.
    """
    path = find_design([Path(name) for name in sheets], design)
    if not path.exists():
        raise InputError(
            f"{sheets[0]} is a labelling sheet, but {path}, which says how it was drawn, is not there: name it with "
            "--design, or name a model with --model to measure that on the rows of the sheet alone."
        )
    sheet = read_labelled_sheet(sheets, path)
    names, labels = sheet.design.labels, sheet.labels
    report = measure_quality(sheet.contents, names)
    return SheetAssessment(
        inputs=tuple(sheets),
        design=str(sheet.path),
        model=sheet.design.bundle,
        labels=names,
        posts=report.posts,
        labelled=len(set(sheet.contents.ids)),
        blank=labels.blank,
        unsure=labels.unsure,
        annotators=labels.votes["annotator"].n_unique(),
        notes=(*labels.notes, *sheet.contents.notes, *_note_missing(report)),
        report=report,
        alpha=measure_alpha(labels.votes, len(names), "nominal"),
        alpha_ordinal=measure_alpha(labels.votes, len(names), "ordinal"),
    )


def _note_missing(report: Quality) -> list[str]:
    """Explain figures without an interval."""
    figures: list[Figure] = [report.accuracy, report.macro_f1]
    figures += [each for label in report.labels for each in (label.precision, label.recall, label.f1)]
    if all(figure.low is not None for figure in figures):
        return []
    return [f"Figures of fewer than {FEWEST} labels, or where all labels agree with the model, have no interval."]
