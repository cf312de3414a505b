"""The model card of a bundle, for the people who use its answers.

It is generated from the run and the checks of the export. `--card FILE` adds hand-written sections in Markdown, each
under a heading `## `, which replace those of the same name or follow them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sentimm.bundle.bundle import Bundle, Precision
from sentimm.corpus.labels import describe_pairs
from sentimm.errors import InputError
from sentimm.metrics.intervals import Interval
from sentimm.metrics.report import Report
from sentimm.storage.atomic import write_file
from sentimm.training.run_folder import Run
from sentimm_export.card_tables import KIND_NAMES, PRECISION_COLUMNS, draw_table, list_precisions
from sentimm_export.held_out import HeldOutResult
from sentimm_export.parity import Parity

# The options that shape a model, and their names in the card.
_OPTION_NAMES = {
    "epochs": "epochs",
    "batch_size": "posts in a step",
    "learning_rate": "learning rate of the encoders",
    "image_lr": "learning rate of the image encoder",
    "head_lr": "learning rate of all else",
    "weight_decay": "weight decay",
    "warmup": "warm-up (share of the steps)",
    "label_smoothing": "label smoothing",
    "dropout": "dropout",
    "modality_dropout": "modality dropout",
    "image_noise": "share of images that lose detail in training",
    "class_weights": "weights of the labels in the loss",
    "head_weight": "weight of the heads in the loss",
    "auxiliary": "columns learned beside the labels",
    "teacher": "models whose answers were learned, and their share beside the labels",
    "composed": "share of what the heads make together in answers to complete posts",
    "ema": "decay of the weights' moving average",
    "table_weights": "weight of each table in an epoch",
    "balance": "column whose values an epoch balances, and the power of their counts",
    "normalization": "normalisation of texts",
    "labels_by": "posts learnt among the labels of their own",
    "freeze": "frozen encoders",
    "seed": "seed",
}

Sections = dict[str, str]


def read_sections(path: Path) -> Sections:
    """Read hand-written sections by their headings; text before the first heading has the heading "".

    Raises:
        InputError: the file can't be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise InputError(f"The file of --card, {path}, can't be read: {reason}.") from error
    sections: Sections = {}
    heading, lines = "", list[str]()
    for line in [*text.splitlines(), "## "]:
        if not line.startswith("## "):
            lines.append(line)
            continue
        if body := "\n".join(lines).strip():
            sections[heading] = body
        heading, lines = line[3:].strip(), []
    return sections


def write_card(
    bundle: Bundle,
    run: Run,
    parity: Mapping[Precision, Parity],
    results: Mapping[str, HeldOutResult],
    handwritten: Mapping[str, str],
) -> None:
    """Write MODEL_CARD.md into the bundle's folder; `handwritten` are sections by heading."""
    sections: Sections = {
        "": "\n".join(_introduce(bundle, run)),
        "Data": "\n".join(_describe_data(bundle, run)),
        "Recipe": "\n".join(_describe_recipe(run)),
        "Figures": "\n".join(_describe_figures(bundle, results)),
        "Calibration": "\n".join(_describe_calibration(bundle, results)),
        "Precisions": "\n".join(_describe_precisions(bundle, parity)),
        "Known failures": "\n".join(_describe_failures(results)),
        "Licences": "\n".join(_describe_licences(bundle)),
    }
    if "" in handwritten:
        sections[""] += f"\n\n{handwritten['']}"
    sections |= {heading: body for heading, body in handwritten.items() if heading}
    write_sections(bundle, sections)


def write_sections(bundle: Bundle, sections: Sections) -> None:
    """Write MODEL_CARD.md into the bundle's folder: sections by heading, the first of them without one."""
    parts = [f"## {heading}\n\n{body}" if heading else body for heading, body in sections.items()]
    text = f"# {bundle.name}\n\n" + "\n\n".join(parts) + "\n"
    write_file(bundle.path / "MODEL_CARD.md", text.encode())


def _introduce(bundle: Bundle, run: Run) -> Iterator[str]:
    yield f"Labels posts on social media as {', '.join(bundle.labels)}. Made by sentimm {run.provenance['sentimm']}."
    yield ""
    heads = bundle.fusion.heads
    alone = f"; posts of {' or '.join(heads)} alone are answered by their own head" if heads else ""
    composed = ""
    if share := run.fusion.composed:
        composed = f", mixed with what the heads of text and image make together (share {share:g})"
    yield f"- Fusion: `{bundle.fusion.name}`{composed}{alone}"
    if bundle.text is not None:
        yield f"- Text encoder: `{bundle.text.encoder}`, up to {bundle.text.max_tokens} tokens"
    if bundle.image is not None:
        levels = run.image.levels if run.image is not None else 1
        maps = f", the last maps of {levels} resolutions" if levels > 1 else ""
        yield f"- Image encoder: `{bundle.image.encoder}`{maps}, {bundle.image.size} x {bundle.image.size} pixels"


def _describe_data(bundle: Bundle, run: Run) -> Iterator[str]:
    yield "Trained on"
    yield ""
    for name, posts in run.provenance["tables"].items():
        yield f"- {posts:,} posts of {name}"
    yield ""
    pairs = describe_pairs(run.options.get("label_values", ()))
    meant = f" (in the tables {', '.join(f'`{value}` is {label}' for value, label in pairs.items())})" if pairs else ""
    yield (
        f"with the labels {', '.join(bundle.labels)}{meant}. Some of the posts were held out: the epoch and the "
        "temperatures were chosen on them, and the figures below are theirs. Repeated texts and images are on one "
        "side, unless a separate table was named for validation."
    )


def _describe_recipe(run: Run) -> Iterator[str]:
    options = dict(run.options)
    if "batch_size" in options:
        options["batch_size"] *= options.get("accumulate", 1)
    teacher = options.get("teacher") or ()  # one path in runs of earlier versions
    names = (teacher,) if isinstance(teacher, str) else teacher
    options["teacher"] = (*(Path(name).name for name in names), *options["teacher_weight"]) if names else None
    yield from draw_table(
        ("option", "value"),
        [
            (label, _format_value(options[name]))
            for name, label in _OPTION_NAMES.items()
            if options.get(name) not in (None, [], ())
        ],
    )


def _describe_figures(bundle: Bundle, results: Mapping[str, HeldOutResult]) -> Iterator[str]:
    tables = bundle.metrics.get("validation", {})
    if results:
        yield "On held-out posts, with 95% bootstrap intervals:"
        yield ""
        columns = ("what is scored", "posts", "accuracy", "macro F1", "macro recall")
        yield from draw_table(
            columns,
            [
                (
                    KIND_NAMES[kind],
                    f"{each.report.posts:,}",
                    _format_percent(each.report.accuracy),
                    _format_figure(each.report.macro_f1),
                    _format_figure(each.report.macro_recall),
                )
                for kind, each in results.items()
            ],
        )
        yield ""
    yield "By table, as measured in training on all held-out posts:"
    yield ""
    yield from draw_table(
        ("table", "posts", "accuracy", "macro F1", "macro recall"),
        [
            (
                name,
                f"{figures['posts']:,}",
                f"{figures['accuracy']:.1%}",
                f"{figures['macro_f1']:.3f}",
                f"{figures['macro_recall']:.3f}",
            )
            for name, figures in tables.items()
        ],
    )


def _describe_calibration(bundle: Bundle, results: Mapping[str, HeldOutResult]) -> Iterator[str]:
    yield (
        "Probabilities are softmax(scores / temperature). The error is the expected calibration error (15 bins, Guo et "
        "al. 2017); cross-fitted: each half of the posts at the temperature fitted on the other half."
    )
    yield ""
    rows = []
    for kind, temperature in bundle.temperatures.items():
        calibration = results[kind].calibration if kind in results else None
        figures = ["too few", "", "", ""]
        if calibration is not None:
            errors = (calibration.before, calibration.after, calibration.cross_fitted)
            figures = [f"{calibration.posts:,}", *(f"{error:.3f}" for error in errors)]
        rows.append([KIND_NAMES[kind], f"{temperature:.3f}", *figures])
    yield from draw_table(("what is scored", "temperature", "posts", "before", "after", "cross-fitted"), rows)


def _describe_precisions(bundle: Bundle, parity: Mapping[Precision, Parity]) -> Iterator[str]:
    yield "Against the PyTorch model, on held-out posts that were not used for the scales of int8:"
    yield ""
    accuracies = (f"{each.accuracy:.1%} (PyTorch {each.accuracy_pytorch:.1%})" for each in parity.values())
    rows = [(*cells, accuracy) for cells, accuracy in zip(list_precisions(parity), accuracies, strict=True)]
    yield from draw_table((*PRECISION_COLUMNS, "accuracy"), rows)
    graphs = bundle.graphs.get("int8", {})
    for modality in [name for name, path in graphs.items() if path.name == f"{name}.fp32.onnx"]:
        yield ""
        yield (
            f"In int8 the {modality} graph is that of fp32: quantised, it was slower on the machine that exported it."
        )


def _describe_failures(results: Mapping[str, HeldOutResult]) -> Iterator[str]:
    for kind, each in results.items():
        if (worst := _describe_worst_label(each.report)) is not None:
            yield f"- {KIND_NAMES[kind].capitalize()}: {worst}"
    yield "- Not measured: irony, languages, topics and times other than those of the training posts."


def _describe_worst_label(report: Report) -> str | None:
    """Return a sentence on the label that is missed most often and what it is mistaken for; None if none is."""
    rows = [row for row, each in enumerate(report.labels) if each.posts]
    row = min(rows, key=lambda row: report.labels[row].recall.value)
    wrong = [0 if column == row else posts for column, posts in enumerate(report.confusion[row])]
    if not sum(wrong):
        return None
    label, mistaken = report.labels[row], report.labels[wrong.index(max(wrong))]
    return (
        f"`{label.label}` is missed most often: {sum(wrong):,} of {label.posts:,} held-out posts, of which "
        f"{max(wrong):,} are mistaken for `{mistaken.label}`."
    )


def _describe_licences(bundle: Bundle) -> Iterator[str]:
    encoders = [f"`{spec.encoder}`" for spec in (bundle.text, bundle.image) if spec is not None]
    yield (
        f"The licences of the pretrained weights of {' and '.join(encoders)} and of the training posts apply. sentimm "
        "itself is under Apache-2.0."
    )


def _format_percent(interval: Interval) -> str:
    return f"{interval.value:.1%} ({interval.low:.1%} to {interval.high:.1%})"


def _format_figure(interval: Interval) -> str:
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def _format_value(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
