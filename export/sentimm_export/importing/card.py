"""The model card of an imported classifier: what it was made of, how it is used, and what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sentimm.bundle.bundle import Bundle, Precision
from sentimm_export.card import write_sections
from sentimm_export.card_tables import KIND_NAMES, PRECISION_COLUMNS, draw_table, list_precisions
from sentimm_export.held_out import HeldOutResult
from sentimm_export.parity import Parity


def write_import_card(bundle: Bundle, parity: Mapping[Precision, Parity], results: Mapping[str, HeldOutResult]) -> None:
    """Write MODEL_CARD.md into the bundle's folder."""
    sections = {
        "": "\n".join(_introduce(bundle)),
        "Labels": "\n".join(_describe_labels(bundle)),
        "Use": "\n".join(f"- {note}" for note in bundle.provenance["notes"]),
        "Figures": "\n".join(_describe_figures(bundle, results)),
        "Precisions": "\n".join(_describe_precisions(bundle, parity)),
        "Known failures": "Those of the published classifier; see its own description.",
        "Licences": "\n".join(_describe_licences(bundle)),
    }
    write_sections(bundle, sections)


def _introduce(bundle: Bundle) -> Iterator[str]:
    sources = bundle.provenance["imported"]
    names = " and ".join(f"`{source['classifier']}` ({modality})" for modality, source in sources.items())
    yield f"Labels posts on social media as {', '.join(bundle.labels)}."
    yield f"Imported from {names} by sentimm {bundle.provenance['sentimm']}; nothing was trained."
    yield ""
    if bundle.text is not None:
        yield f"- Texts: normalised by `{bundle.text.normalization}`, up to {bundle.text.max_tokens} tokens"
    if bundle.image is not None:
        yield f"- Images: {bundle.image.size} x {bundle.image.size} pixels"
    if len(sources) > 1:
        yield (
            "- Complete posts: what both classifiers make together; a text alone and an image alone are answered by "
            "their own classifier"
        )


def _describe_labels(bundle: Bundle) -> Iterator[str]:
    yield "Where several of a classifier's own labels stand for one, their probabilities are added up."
    yield ""
    sources = bundle.provenance["imported"]
    yield from draw_table(
        ("label", *(f"in the {modality} classifier" for modality in sources)),
        [
            (label, *(", ".join(source["labels"][label]) or "none" for source in sources.values()))
            for label in bundle.labels
        ],
    )


def _describe_figures(bundle: Bundle, results: Mapping[str, HeldOutResult]) -> Iterator[str]:
    if not results:
        yield "None were measured here: no labelled posts were given (`--calibration`)."
        return
    yield f"On labelled posts {bundle.provenance['posts']}, to which the temperatures were fitted:"
    yield ""
    yield from draw_table(
        ("what is scored", "posts", "accuracy", "macro F1", "temperature"),
        [
            (
                KIND_NAMES[kind],
                f"{each.report.posts:,}",
                f"{each.report.accuracy.value:.1%}",
                f"{each.report.macro_f1.value:.3f}",
                f"{bundle.temperatures[kind]:.3f}" if each.calibration is not None else "1 (too few posts to fit it)",
            )
            for kind, each in results.items()
        ],
    )


def _describe_precisions(bundle: Bundle, parity: Mapping[Precision, Parity]) -> Iterator[str]:
    yield f"Against the published classifier in PyTorch, on posts {bundle.provenance['posts']}."
    if "int8" in parity:
        yield "The scales of int8 are from others of the same kind."
    yield ""
    yield from draw_table(PRECISION_COLUMNS, list_precisions(parity))


def _describe_licences(bundle: Bundle) -> Iterator[str]:
    for source in bundle.provenance["imported"].values():
        yield f"- `{source['classifier']}`, by its README or configuration: {source['licence']}"
    yield ""
    yield "sentimm itself is under Apache-2.0."
