"""Adapting a model to a corpus: what one `adapt` command does."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from sentimm.bundle.bundle import Bundle, load_bundle
from sentimm.errors import UsageError
from sentimm.findings.adaptation.adapted_bundle import Origin, check_output, write_adapted
from sentimm.findings.adaptation.choice import HEAD_LABELS, Comparison, compare_methods, list_methods
from sentimm.findings.adaptation.fitting import Examples, make_basis
from sentimm.findings.adaptation.options import AdaptOptions
from sentimm.findings.features.table import read_features
from sentimm.findings.quality.contents import LabelledSheet, read_labelled_sheet


@dataclass(frozen=True)
class Adapted:
    """What one `adapt` command found.

    Attributes:
        model: the name of the model that is adapted.
        labels: contents with a label.
        posts: of the corpus that they speak for.
        compared: how the methods did.
        output: the bundle that was written; None: none was.
        notes: what a reader must know, in sentences.
    """

    model: str
    labels: int
    posts: int
    compared: Comparison
    output: Path | None
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """Return what was found as JSON has it."""
        best = self.compared.best
        return {
            "format": 1,
            "model": self.model,
            "labels": self.labels,
            "posts": self.posts,
            "before": {"log_loss": self.compared.log_loss, "accuracy": self.compared.accuracy},
            "candidates": [asdict(each) for each in self.compared.candidates],
            "best": best.method,
            "is_gain": self.compared.is_gain,
            "output": None if self.output is None else str(self.output),
            "notes": list(self.notes),
        }


def run_adapt(options: AdaptOptions) -> Adapted:
    """Fit corrections to a sheet, choose the best, and write it as a bundle if it is a gain.

    Raises:
        SentimmError: see `read_labelled_sheet`, `load_bundle` and `read_features`.
        UsageError: the bundle is not the model whose answers the design has, or the features are of other posts.
        OutputError: the bundle can't be written.
    """
    check_output(options.output, overwrite=options.overwrite)
    sheet = read_labelled_sheet(options.sheets, options.design)
    bundle = load_bundle(options.model)
    check_model(bundle, sheet)
    examples = make_examples(sheet, bundle, options.features)
    compared = compare_methods(sheet.contents, examples)
    origin = Origin(
        tuple(Path(name).name for name in options.sheets),
        len(set(sheet.contents.ids)),
        int(sheet.contents.sizes.sum()),
    )
    output = None
    if compared.is_gain or options.anyway:
        fit = list_methods(origin.labels, has_features=examples.basis is not None)[compared.best.method]
        write_adapted(options.output, bundle, fit(examples), compared, origin)
        output = options.output
    notes = [*sheet.labels.notes, *sheet.contents.notes]
    if options.features is not None and origin.labels < HEAD_LABELS:
        notes.append(f"--features is used from {HEAD_LABELS} labels on: there are {origin.labels:,}.")
    return Adapted(bundle.name, origin.labels, origin.posts, compared, output, tuple(notes))


def check_model(bundle: Bundle, sheet: LabelledSheet) -> None:
    """Check that a bundle is the model whose answers a design has.

    Raises:
        UsageError: it is not, or it is adapted already.
    """
    design = sheet.design
    if bundle.adaptation is not None:
        raise UsageError(
            f"{bundle.path} is adapted already: score the posts with the model that it was made of, draw the sheet "
            "from those, and adapt that."
        )
    differs = design.bundle is not None and design.bundle != bundle.name
    if design.model is not None:
        differs = design.model != bundle.digest
    if differs or design.labels != bundle.labels:
        raise UsageError(
            f"{sheet.path} has the answers of another model ({design.bundle or 'not named'}) than {bundle.path}: name "
            "the one that scored the posts with --model."
        )


def make_examples(sheet: LabelledSheet, bundle: Bundle, features: Path | None) -> Examples:
    """Return the labelled contents with their features, where they are given.

    Raises:
        UsageError: the features are of another model, or of other posts.
    """
    contents = sheet.contents
    if features is None:
        return Examples(contents.p, contents.y, contents.weight, {})
    digests = dict(sheet.design.posts.select("sheet_id", "content").iter_rows())
    names = list(dict.fromkeys(digests[each] for each in contents.ids))
    vectors, there, digest = read_features(features, names)
    if digest != bundle.digest:
        raise UsageError(f"{features} has the features of another model than {bundle.path}: make it with that model.")
    if not there.all():
        raise UsageError(
            f"{features} lacks {int((~there).sum()):,} of the {len(names):,} labelled texts and images: make it of the "
            "same posts, with --images if the sheet was drawn with it, and without if not."
        )
    place = {name: number for number, name in enumerate(names)}
    rows = np.array([place[digests[each]] for each in contents.ids])
    own = {modality: vectors[modality][rows] for modality in bundle.modalities if modality in vectors}
    return Examples(contents.p, contents.y, contents.weight, own, make_basis(own))
