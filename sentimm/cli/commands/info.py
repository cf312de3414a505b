"""`sentimm info`: what is in a model bundle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sentimm.option_fields import parse_location

if TYPE_CHECKING:
    from sentimm.bundle.bundle import Bundle


def info(
    bundle: Annotated[
        Path | None,
        typer.Argument(
            metavar="[BUNDLE]", help="The bundle's folder.", show_default="the built-in model", parser=parse_location
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check a model bundle and tell what is in it: labels, inputs, precisions, measured quality, origin.

    Example: sentimm info
    """
    from sentimm.bundle.bundle import load_bundle
    from sentimm.console.facts import print_facts
    from sentimm.console.terminal import print_json

    loaded = load_bundle(bundle)
    if as_json:
        print_json(_describe(loaded))
    else:
        title = f"{loaded.name}: {' and '.join(loaded.modalities)} to {', '.join(loaded.labels)}"
        print_facts(title, _list_facts(loaded))


def _describe(bundle: Bundle) -> dict[str, Any]:
    """Return all that is in a bundle as JSON knows it; file names without their folder."""
    fields = asdict(bundle)
    fields["path"] = str(bundle.path)
    if bundle.text is not None:
        fields["text"]["tokenizer"] = bundle.text.tokenizer.name
    fields["graphs"] = {
        precision: {part: path.name for part, path in graphs.items()} for precision, graphs in bundle.graphs.items()
    }
    return fields


def _list_facts(bundle: Bundle) -> list[tuple[str, list[str]]]:
    """Return a bundle in words: a name and some lines for each fact."""
    text, image, heads = bundle.text, bundle.image, bundle.fusion.heads
    facts: list[tuple[str, list[str]]] = [("Folder", [str(bundle.path)]), ("Digest", [bundle.digest])]
    if text is not None:
        facts.append(
            ("Text", [f"{text.encoder}, at most {text.max_tokens} tokens, normalised by {text.normalization}"])
        )
    if image is not None:
        facts.append(("Image", [f"{image.encoder}, {image.size} x {image.size} pixels"]))
    alone = f"; a post of one modality is answered by a head of its own: {', '.join(heads)}" if heads else ""
    literal = ", which adds up probabilities as printed in the paper" if bundle.fusion.literal else ""
    composed = ", mixed with what the heads make together" if bundle.fusion.composed else ""
    temperatures = ", ".join(f"{name} {value:.3g}" for name, value in bundle.temperatures.items())
    return [
        *facts,
        ("Fusion", [f"{bundle.fusion.name}{literal}{composed}{alone}"]),
        ("Temperature", [temperatures]),
        ("Precision", [f"{', '.join(bundle.precisions)}; {sum(bundle.files.values()) / 1e6:,.1f} MB in all"]),
        ("Measured", list(_flatten(bundle.metrics)) or ["nothing"]),
        ("Export", list(_flatten(bundle.parity)) or ["not compared"]),
        ("Origin", list(_flatten(_leave_out_digests(bundle.provenance))) or ["unknown"]),
        *([("Notes", notes)] if (notes := [str(note) for note in bundle.provenance.get("notes", ())]) else []),
    ]


def _leave_out_digests(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what no person reads, the digests of the run's posts, and the notes, which have lines of their own."""
    kept = {key: value for key, value in provenance.items() if key != "notes"}
    if isinstance(run := kept.get("run"), Mapping):
        kept["run"] = {key: value for key, value in run.items() if key != "posts"}
    return kept


def _flatten(fields: Mapping[str, Any], name: str = "") -> Iterator[str]:
    """Write nested objects as lines: one for each object, with its plain values and their 95% intervals."""
    plain = {key: value for key, value in fields.items() if not isinstance(value, Mapping)}
    intervals = {key.removesuffix("_95"): value for key, value in plain.items() if key.endswith("_95")}
    values = [
        f"{key.replace('_', ' ') if key.isidentifier() else key} {_shorten(value)}"  # else it is a file's name
        + (f" ({' to '.join(map(_shorten, intervals[key]))})" if key in intervals else "")
        for key, value in plain.items()
        if key.removesuffix("_95") not in intervals or key in intervals
    ]
    if values:
        yield f"{name}: {', '.join(values)}" if name else ", ".join(values)
    for key, value in fields.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{name} {key}".strip())


def _shorten(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list):
        return "; ".join(map(_shorten, value)) or "none"
    return str(value)
