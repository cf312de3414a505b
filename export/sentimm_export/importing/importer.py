"""The import: from published classifiers to a bundle, checked like the export of a run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sentimm
from sentimm.bundle.bundle import load_bundle, write_manifest
from sentimm.errors import InputError, UsageError
from sentimm.models.sentiment_model import SentimentModel
from sentimm.models.text_encoder import TextEncoderConfig, first_line
from sentimm.training.run_folder import Run
from sentimm_export.bundle_graphs import quiet_exporters, write_precisions
from sentimm_export.exporter import ExportResult, check_output, write_whole
from sentimm_export.graphs import write_graphs
from sentimm_export.held_out import HeldOutResult, describe_results, list_temperatures, measure_held_out
from sentimm_export.importing.card import write_import_card
from sentimm_export.importing.image_classifier import ImageClassifier, ImageSource, load_image_classifier
from sentimm_export.importing.joined import join_classifiers
from sentimm_export.importing.labels import LabelChoice, choose_labels
from sentimm_export.importing.options import ImportOptions
from sentimm_export.importing.posts import TrialPosts, load_shipped_posts, read_own_posts
from sentimm_export.importing.source import find_task, shorten_source
from sentimm_export.importing.text_classifier import TextClassifier, TextSource, load_text_classifier
from sentimm_export.manifest import describe_run
from sentimm_export.parity import check_precisions, describe_parity

_MOST_BYTES = 2**31 - 2**24  # of the weights of one graph's file


class _Classifiers:
    """The classifiers of an import, their labels, and the model that they make."""

    def __init__(self, options: ImportOptions) -> None:
        text, image = _name_sources(options)
        self.text: TextSource | None = None if text is None else load_text_classifier(text, options.max_tokens)
        self.image: ImageSource | None = None if image is None else load_image_classifier(image)
        _check_options(options, self.text)
        own = {name: source.labels for name, source in self.sources.items()}
        self.labels: LabelChoice = choose_labels(own, options.labels)
        groups = self.labels.groups
        self.model: SentimentModel = join_classifiers(
            self.labels.labels,
            None if self.text is None else TextClassifier(self.text.network, groups["text"]),
            None if self.image is None else ImageClassifier(self.image, groups["image"]),
            options.composed,
        )
        self.normalization = options.normalization or ("none" if self.text is None else self.text.normalization)
        _check_sizes(self.model, self.sources)

    @property
    def sources(self) -> dict[str, TextSource | ImageSource]:
        """The classifiers by modality."""
        return {name: source for name, source in (("text", self.text), ("image", self.image)) if source is not None}

    def list_notes(self, options: ImportOptions) -> list[str]:
        """List what a person should know of how the classifiers are used."""
        notes = list(self.labels.notes)
        if self.text is not None:
            notes += self.text.notes
            if options.normalization is None:
                notes.append(f"normalisation of texts: {self.normalization} (--normalization names another)")
        if self.image is not None and (difference := self.image.preparation.describe_difference()) is not None:
            notes.append(difference)
        if self.text is not None and self.image is not None:
            share = self.model.config.composed
            notes.append(f"composed: what both classifiers make together is {share:g} of the answers to complete posts")
        return notes

    def make_run(self, folder: Path) -> Run:
        """Return a run as the export knows it, in whose folder is the tokenizer."""
        text, image = self.text, self.model.image
        if text is not None:
            (folder / "tokenizer.json").write_bytes(text.tokenizer)
        width = len(self.labels.labels)
        return Run(
            path=folder,
            labels=self.labels.labels,
            fusion=self.model.config,
            text=None
            if text is None
            else TextEncoderConfig(
                shorten_source(text.name), {"pad_token_id": text.pad_id}, width, "cls", text.max_tokens, dropout=0.0
            ),
            image=None if image is None else image.config,
            normalization=self.normalization,
            options={},
            provenance={},
        )

    def describe(self, posts: TrialPosts, notes: list[str]) -> dict[str, Any]:
        """Return the provenance of bundle.json."""
        groups = self.labels.groups
        imported = {
            modality: {
                "classifier": shorten_source(source.name),
                "licence": source.licence or "not stated",
                "labels": {
                    label: [source.labels[number] for number in numbers]
                    for label, numbers in zip(self.labels.labels, groups[modality], strict=True)
                },
            }
            for modality, source in self.sources.items()
        }
        return {
            "sentimm": sentimm.__version__,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "imported": imported,
            "posts": posts.origin,
            "notes": notes,
        }


def import_classifier(options: ImportOptions, tell: Callable[[str], None]) -> ExportResult:
    """Import a published classifier; `tell` receives a few words on each step.

    Raises:
        InputError: a classifier can't be loaded, or is of a kind that a bundle can't be made of; --calibration can't
            be read.
        UsageError: its labels say too little, an option does not fit, or the output exists.
        ParityError: a precision does not answer like the classifier; nothing is written then.
        OutputError: the bundle can't be written.
    """
    check_output(options.output, overwrite=options.overwrite)
    tell("loading the classifier")
    classifiers = _Classifiers(options)
    return write_whole(options.output, lambda folder: _write_bundle(folder, classifiers, options, tell))


def _name_sources(options: ImportOptions) -> tuple[str | None, str | None]:
    """Return the names of the classifiers of texts and of images."""
    if options.classifier is None:
        return options.text, options.image
    task = find_task(options.classifier)
    return (options.classifier, None) if task == "text" else (None, options.classifier)


def _check_options(options: ImportOptions, text: TextSource | None) -> None:
    if text is None and (options.normalization is not None or options.max_tokens is not None):
        raise UsageError("--normalization and --max-tokens are about texts, and this classifier reads none: leave out.")


def _check_sizes(model: SentimentModel, sources: dict[str, TextSource | ImageSource]) -> None:
    for modality, source in sources.items():
        weights = sum(tensor.numel() * 4 for tensor in source.network.parameters())
        if weights > _MOST_BYTES:
            raise InputError(
                f"The {modality} classifier {source.name!r} has {weights / 1e9:.1f} GB of weights, and a graph's file "
                "holds 2 GB: import a smaller one."
            )


def _write_bundle(
    folder: Path, classifiers: _Classifiers, options: ImportOptions, tell: Callable[[str], None]
) -> ExportResult:
    """Write all files of the bundle; the manifest after each step, as the next one loads the bundle."""
    run, model = classifiers.make_run(folder), classifiers.model
    posts = load_shipped_posts(run) if options.calibration is None else read_own_posts(run, options)
    notes = classifiers.list_notes(options)
    with tempfile.TemporaryDirectory() as work, quiet_exporters():
        tell("writing the graphs")
        graphs = write_precisions(
            folder,
            _write_graphs(model, Path(work)),
            run,
            options.precisions,
            posts.scale,
            tell,
            shared=options.share_weights,
        )
    notes += graphs.notes
    fields = describe_run(run, model, options.name or options.output.name, "best", graphs.files)
    fields["provenance"] = classifiers.describe(posts, notes)
    write_manifest(folder, fields)

    results: dict[str, HeldOutResult] = {}
    if (posts.held_out.labels >= 0).any():
        tell("measuring labelled posts")
        bundle = load_bundle(folder)
        results = measure_held_out(bundle, posts.held_out)
        fields["temperatures"] |= list_temperatures(results)
        fields["metrics"] |= describe_results(results, bundle)
    unfitted = [kind for kind in fields["temperatures"] if kind not in list_temperatures(results)]
    if unfitted:
        notes.append(
            f"probabilities of {', '.join(unfitted)} posts are the classifier's own (temperature 1): --calibration "
            "fits them to 50 or more posts with labels"
        )
    write_manifest(folder, fields)

    parity = check_precisions(
        model, load_bundle(folder), options.precisions, posts.held_out, options.min_agreement, tell
    )
    fields["parity"] = {precision: describe_parity(each) for precision, each in parity.items()}
    write_manifest(folder, fields)
    bundle = load_bundle(folder)
    write_import_card(bundle, parity, results)
    return ExportResult(bundle, parity, tuple(notes))


def _write_graphs(model: SentimentModel, work: Path) -> dict[str, Path]:
    from torch.onnx import OnnxExporterError

    try:
        return write_graphs(model, work)
    except OnnxExporterError as error:
        raise InputError(
            f"The classifier can't be written as a graph ({first_line(error)}): use one of BERT's family, or of timm."
        ) from error
