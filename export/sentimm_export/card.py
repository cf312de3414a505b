"""The model card of a bundle, for the people who use its answers.

It is written from what the run and the export know. Who made the model knows more: `--card FILE` gives sections in
Markdown, each under a heading `## `, which replace those of the same name or follow them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sentimm.bundle.bundle import Bundle, Precision
from sentimm.errors import InputError
from sentimm.metrics.intervals import Interval
from sentimm.metrics.report import Report
from sentimm.storage.atomic import write_file
from sentimm.training.run_folder import Run
from sentimm_export.calibration import Finding
from sentimm_export.parity import Parity

_KINDS = {"text+image": "text and image", "text": "text alone", "image": "image alone"}
# The options that decide what a model is, and their words in the card.
_RECIPE = {
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
    "class_weights": "weights of the labels in the loss",
    "head_weight": "weight of the heads in the loss",
    "teacher": "run whose answers were learnt, and their share beside the labels",
    "composed": "share of what the heads make together in answers to complete posts",
    "ema": "decay of the weights' moving average",
    "table_weights": "how often each table is seen in an epoch",
    "freeze": "encoders left as they were",
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
    findings: Mapping[str, Finding],
    written: Mapping[str, str],
) -> None:
    """Write MODEL_CARD.md into the bundle's folder; `written` are the hand-written sections."""
    sections: Sections = {
        "": "\n".join(_introduce(bundle, run)),
        "Data": "\n".join(_describe_data(bundle, run)),
        "Recipe": "\n".join(_describe_recipe(run)),
        "Figures": "\n".join(_describe_figures(bundle, findings)),
        "Calibration": "\n".join(_describe_calibration(bundle, findings)),
        "Precisions": "\n".join(_describe_precisions(parity)),
        "Known failures": "\n".join(_describe_failures(findings)),
        "Licences": "\n".join(_describe_licences(bundle)),
    }
    if "" in written:
        sections[""] += f"\n\n{written['']}"
    sections |= {heading: body for heading, body in written.items() if heading}
    parts = [f"## {heading}\n\n{body}" if heading else body for heading, body in sections.items()]
    text = f"# {bundle.name}\n\n" + "\n\n".join(parts) + "\n"
    write_file(bundle.path / "MODEL_CARD.md", text.encode())


def _introduce(bundle: Bundle, run: Run) -> Iterator[str]:
    yield f"Labels posts on social media as {', '.join(bundle.labels)}. Made by sentimm {run.provenance['sentimm']}."
    yield ""
    heads = bundle.fusion.heads
    alone = f"; posts of {' or '.join(heads)} alone are answered by a head of their own" if heads else ""
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
    yield (
        f"with the labels {', '.join(bundle.labels)}. Some of the posts were held out: they chose the epoch and the "
        "temperatures, and the figures below are theirs. Repeated texts and images are on one side, unless a table of "
        "its own was named for validation."
    )


def _describe_recipe(run: Run) -> Iterator[str]:
    options = dict(run.options)
    if "batch_size" in options:
        options["batch_size"] *= options.get("accumulate", 1)
    if options.get("teacher") is not None:
        options["teacher"] = (Path(options["teacher"]).name, *options["teacher_weight"])
    yield from _draw_table(
        ("option", "value"),
        [
            (words, _write_value(options[name]))
            for name, words in _RECIPE.items()
            if options.get(name) not in (None, [], ())
        ],
    )


def _describe_figures(bundle: Bundle, findings: Mapping[str, Finding]) -> Iterator[str]:
    tables = bundle.metrics.get("validation", {})
    if findings:
        yield "On held-out posts, with 95% bootstrap intervals:"
        yield ""
        columns = ("what is scored", "posts", "accuracy", "macro F1", "macro recall")
        yield from _draw_table(
            columns,
            [
                (
                    _KINDS[kind],
                    f"{each.report.posts:,}",
                    _write_percent(each.report.accuracy),
                    _write_figure(each.report.macro_f1),
                    _write_figure(each.report.macro_recall),
                )
                for kind, each in findings.items()
            ],
        )
        yield ""
    yield "By table, as training measured all of its held-out posts:"
    yield ""
    yield from _draw_table(
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


def _describe_calibration(bundle: Bundle, findings: Mapping[str, Finding]) -> Iterator[str]:
    yield (
        "Probabilities are softmax(scores / temperature). The error is the expected calibration error (15 bins, Guo et "
        "al. 2017); cross-fitted: each half of the posts at the temperature that was fitted on the other half."
    )
    yield ""
    rows = []
    for kind, temperature in bundle.temperatures.items():
        found = findings[kind].calibration if kind in findings else None
        figures = ["too few", "", "", ""]
        if found is not None:
            errors = (found.before, found.after, found.cross_fitted)
            figures = [f"{found.posts:,}", *(f"{error:.3f}" for error in errors)]
        rows.append([_KINDS[kind], f"{temperature:.3f}", *figures])
    yield from _draw_table(("what is scored", "temperature", "posts", "before", "after", "cross-fitted"), rows)


def _describe_precisions(parity: Mapping[Precision, Parity]) -> Iterator[str]:
    yield "Against the PyTorch model, on held-out posts that were not used for the scales of int8:"
    yield ""
    yield from _draw_table(
        ("precision", "posts", "same label", "largest difference", "alone against in a batch", "accuracy"),
        [
            (
                precision,
                f"{found.posts:,}",
                f"{found.agreement:.1%}",
                f"{found.largest_difference:.1e}",
                f"{found.neighbour_difference:.1e}",
                f"{found.accuracy:.1%} (PyTorch {found.accuracy_pytorch:.1%})",
            )
            for precision, found in parity.items()
        ],
    )


def _describe_failures(findings: Mapping[str, Finding]) -> Iterator[str]:
    for kind, each in findings.items():
        if (worst := _find_worst(each.report)) is not None:
            yield f"- {_KINDS[kind].capitalize()}: {worst}"
    yield "- Not measured: irony, other languages than the training posts', other topics and times."


def _find_worst(report: Report) -> str | None:
    """Say which label is missed most often, and what it is taken for; None where none is missed."""
    rows = [row for row, each in enumerate(report.labels) if each.posts]
    row = min(rows, key=lambda row: report.labels[row].recall.value)
    wrong = [0 if column == row else posts for column, posts in enumerate(report.confusion[row])]
    if not sum(wrong):
        return None
    label, taken = report.labels[row], report.labels[wrong.index(max(wrong))]
    return (
        f"`{label.label}` is missed most often: {sum(wrong):,} of {label.posts:,} held-out posts, of which "
        f"{max(wrong):,} are taken for `{taken.label}`."
    )


def _describe_licences(bundle: Bundle) -> Iterator[str]:
    encoders = [f"`{spec.encoder}`" for spec in (bundle.text, bundle.image) if spec is not None]
    yield (
        f"The licences of the pretrained weights of {' and '.join(encoders)} and of the training posts apply. sentimm "
        "itself is under Apache-2.0."
    )


def _draw_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for cells in (columns, ["---"] * len(columns), *rows):
        yield f"| {' | '.join(cells)} |"


def _write_percent(found: Interval) -> str:
    return f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%})"


def _write_figure(found: Interval) -> str:
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def _write_value(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
