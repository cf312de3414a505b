"""What is in a model bundle: its facts, and its figures as tables."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.padding import Padding

from sentimm.console.facts import Fact, draw_facts
from sentimm.console.terminal import make_console, make_line, make_table, print_block

if TYPE_CHECKING:
    from sentimm.bundle.bundle import Bundle

_TITLES = {
    "validation": "Validation posts, before the export",
    "held_out": "Held-out posts, after the export",
    "calibration": "Calibration error on held-out posts",
    "adaptation": "Labelled posts that it was adapted on, cross-fitted",
}
_COLUMNS = {
    "accuracy_pytorch": "in PyTorch",
    "agreement": "same label",
    "cross_fitted": "cross-fitted",
    "largest_difference": "max difference",
    "macro_f1": "macro F1",
    "neighbour_difference": "with neighbours",
}
_SHARES = frozenset({"accuracy", "accuracy_pytorch", "agreement"})  # shown in percent
_INTERVAL = "_95"  # ends the name of a figure's 95% interval


def print_bundle(bundle: Bundle) -> None:
    """Print what is in a bundle on stdout."""
    console = make_console(sys.stdout)
    title = f"{bundle.name}: {' and '.join(bundle.modalities)} to {', '.join(bundle.labels)}"
    console.print(make_line(title, "bold"), soft_wrap=True)
    for line in draw_facts(_list_facts(bundle)):
        console.print(line, soft_wrap=True)
    for name, figures in bundle.metrics.items():
        _print_figures(_TITLES.get(name, name), figures)
    if bundle.parity:
        _print_figures("Compared with PyTorch", bundle.parity)
    console.print()
    for line in draw_facts(_list_origin(bundle.provenance)):
        console.print(line, soft_wrap=True)


def print_shipped(bundles: Mapping[str, Bundle]) -> None:
    """Print the names by which `--model` finds the models that ship, with their languages and sizes."""
    console = make_console(sys.stdout)
    console.print()
    for line in draw_facts([("Ships", [_describe_shipped(name, bundle) for name, bundle in bundles.items()])]):
        console.print(line, soft_wrap=True)


def _describe_shipped(name: str, bundle: Bundle) -> str:
    languages = f"{len(bundle.languages)} languages ({', '.join(bundle.languages)}), " if bundle.languages else ""
    return f"--model {name}: {languages}{_measure(bundle)}"


def _measure(bundle: Bundle) -> str:
    return f"{sum(bundle.files.values()) / 1e6:,.1f} MB"


def _list_facts(bundle: Bundle) -> Iterator[Fact]:
    text, image, fusion = bundle.text, bundle.image, bundle.fusion
    yield "Folder", [str(bundle.path)]
    yield "Digest", [bundle.digest]
    if text is not None:
        yield "Text", [f"{text.encoder}, at most {text.max_tokens} tokens, normalised by {text.normalization}"]
    if image is not None:
        yield "Image", [f"{image.encoder}, {image.size} x {image.size} pixels"]
    literal = ", adding up probabilities as printed in the paper" if fusion.literal else ""
    composed = ", blended with the answers of the heads" if fusion.composed else ""
    yield "Fusion", [f"{fusion.name}{literal}{composed}"]
    if fusion.heads:
        yield "Heads", [f"{', '.join(fusion.heads)}: each answers posts that have this modality alone"]
    yield "Temperature", [", ".join(f"{name} {value:.3g}" for name, value in bundle.temperatures.items())]
    if (adaptation := bundle.adaptation) is not None:
        origin = bundle.provenance.get("adaptation")
        labels = f" by {origin['labels']} labels" if isinstance(origin, Mapping) and "labels" in origin else ""
        yield "Adapted", [f"{adaptation.method}{labels}; other figures are from before it was adapted"]
    yield "Precision", [f"{', '.join(bundle.precisions)}; {_measure(bundle)} in all"]
    if bundle.languages:
        yield "Languages", [", ".join(bundle.languages)]
    if not bundle.metrics:
        yield "Measured", ["nothing"]
    if not bundle.parity:
        yield "Export", ["not compared with PyTorch"]


def _print_figures(title: str, figures: Any) -> None:
    """Print a table with a row for each object in `figures`; its plain values belong to the title."""
    rows = list(_list_rows(figures)) if isinstance(figures, Mapping) else [("", {"value": figures})]
    if len(rows) > 1 and not rows[0][0]:
        title += "".join(f", {_name_column(key)} {_format(key, value)}" for key, value in rows.pop(0)[1].items())
    has_intervals = any(key.endswith(_INTERVAL) for _, fields in rows for key in fields)
    names = [key for key in dict.fromkeys(key for _, fields in rows for key in fields) if not key.endswith(_INTERVAL)]
    table = make_table("", *(_name_column(name) for name in names))
    for row, fields in rows:
        table.add_row(make_line(row or "all"), *(make_line(_format_figure(fields, name)) for name in names))
    console = make_console(sys.stdout)
    console.print()
    console.print(make_line(f"  {title}{', with 95% intervals' if has_intervals else ''}", "bold"), soft_wrap=True)
    print_block(console, Padding(table, (0, 0, 0, 2)))


def _list_rows(figures: Mapping[str, Any], name: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the name and the plain values of an object and of those in it, outer ones first."""
    plain = {key: value for key, value in figures.items() if not isinstance(value, Mapping)}
    if plain:
        yield name, plain
    for key, value in figures.items():
        if isinstance(value, Mapping):
            yield from _list_rows(value, f"{name} {key}".strip())


def _format_figure(fields: Mapping[str, Any], name: str) -> str:
    if name not in fields:
        return ""
    figure = _format(name, fields[name])
    interval = fields.get(name + _INTERVAL)
    if not isinstance(interval, list) or len(interval) != 2:
        return figure
    low, high = (_format(name, bound).removesuffix("%") for bound in interval)
    return f"{figure} ({low}-{high})"


def _name_column(key: str) -> str:
    return _COLUMNS.get(key, key.replace("_", " "))


def _format(key: str, value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1%}" if key in _SHARES else f"{value:.3f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def _list_origin(provenance: Mapping[str, Any]) -> Iterator[Fact]:
    """Yield where a bundle comes from, without the digests of the run's posts, which no person reads."""
    fields = {key: value for key, value in provenance.items() if key != "notes"}
    if isinstance(run := fields.get("run"), Mapping):
        fields["run"] = {key: value for key, value in run.items() if key != "posts"}
    lines = [
        (f"{name}: " if name else "") + ", ".join(f"{_name_key(key)} {_join(value)}" for key, value in plain.items())
        for name, plain in _list_rows(fields)
    ]
    yield "Origin", lines or ["unknown"]
    yield "Notes", [str(note) for note in provenance.get("notes", ())]


def _name_key(key: str) -> str:
    return key.replace("_", " ") if key.isidentifier() else key  # else it is a file's name


def _join(value: object) -> str:
    return "; ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
