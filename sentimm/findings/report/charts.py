"""Charts of shares as SVG: a few shapes, classes for their colours, and words for those who can't see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sentimm.findings.report.html import escape
from sentimm.findings.report.style import LIGHT_STYLE

_WIDTH = 420
_NAMES_WIDTH = 96  # for names
_COLOURED_LABELS = ("negative", "neutral", "positive")
_LONGEST_NAME = 14


@dataclass(frozen=True)
class Mark:
    """A share and its interval, 0 to 1; None: not known.

    Attributes:
        name: of the row or the period.
        label: which label's share.
        share, low, high: the estimate and its interval.
        model_share: the share of the model's labels.
    """

    name: str
    label: str
    share: float | None
    low: float | None
    high: float | None
    model_share: float


def draw_bars(marks: Sequence[Mark], labels: Sequence[str], title: str) -> str:
    """Return a bar for each mark, with its interval as a whisker and what was counted as a dashed line."""
    rows = _list_rows(marks)
    height = 26 * len(rows) + 44
    most = max(
        [mark.high or mark.share or mark.model_share for mark in marks] + [mark.model_share for mark in marks] + [0.1]
    )
    scale = (_WIDTH - _NAMES_WIDTH - 70) / most
    parts = [_axis(most, scale, height - 26)]
    for row, mark in enumerate(rows):
        top = 26 * row + 10
        if isinstance(mark, str):
            parts.append(f'<text class="strong" x="0" y="{top + 14}">{escape(mark)}</text>')
            continue
        value = mark.model_share if mark.share is None else mark.share
        parts.append(f'<text x="0" y="{top + 13}">{escape(_shorten(mark.name))}</text>')
        parts.append(_bar(_NAMES_WIDTH, top, value * scale, 16, _class(mark.label, labels)))
        end = value
        if mark.low is not None and mark.high is not None:
            parts.append(_whisker(_NAMES_WIDTH + mark.low * scale, _NAMES_WIDTH + mark.high * scale, top + 8))
            end = mark.high
        if mark.share is not None:
            x = _NAMES_WIDTH + mark.model_share * scale
            parts.append(f'<line class="counted" x1="{x:.1f}" x2="{x:.1f}" y1="{top - 2}" y2="{top + 18}"/>')
            end = max(end, mark.model_share)
        parts.append(f'<text x="{_NAMES_WIDTH + end * scale + 6:.1f}" y="{top + 13}">{100 * value:.1f}%</text>')
    return _wrap(parts, height, title, _describe(marks))


def _list_rows(marks: Sequence[Mark]) -> list[Mark | str]:
    """Return the rows of a chart: a heading for each label where rows are called otherwise."""
    rows: list[Mark | str] = []
    label = ""
    for mark in marks:
        if mark.label not in (label, mark.name):
            rows.append(mark.label)
        label = mark.label
        rows.append(mark)
    return rows


def draw_lines(marks: Sequence[Mark], labels: Sequence[str], title: str) -> str:
    """Return a panel for each label: its share in each period, and the interval as a band."""
    periods = list(dict.fromkeys(mark.name for mark in marks))
    panel = 118
    height = panel * len(labels) + 22
    step = (_WIDTH - 60) / max(1, len(periods) - 1)
    parts = []
    for number, label in enumerate(labels):
        own = {mark.name: mark for mark in marks if mark.label == label}
        top = panel * number
        most = max([mark.high or mark.share or mark.model_share for mark in own.values()] + [0.1])
        scale = (panel - 36) / most
        base = top + panel - 10
        parts.append(f'<text x="0" y="{top + 13}">{escape(label)}, up to {100 * most:.0f}%</text>')
        parts.append(f'<line class="grid" x1="40" x2="{_WIDTH - 20}" y1="{base}" y2="{base}"/>')
        parts += _panel(own, periods, step, base, scale, _class(label, labels))
    every = max(1, -(-len(periods) // 6))
    for index in range(0, len(periods), every):
        x, anchor = 40 + index * step, "start" if index == 0 else "middle"
        if x > _WIDTH - 40:
            x, anchor = _WIDTH, "end"
        parts.append(
            f'<text class="small" text-anchor="{anchor}" x="{x:.1f}" y="{height - 6}">'
            f"{escape(_shorten(periods[index]))}</text>"
        )
    return _wrap(parts, height, title, _describe(marks))


def draw_reliability(points: Sequence[tuple[float, float, int]], title: str) -> str:
    """Return how often answers of a confidence are right: (mean confidence, share right, labels) of each bin."""
    side = 210
    parts = [f'<line class="grid" x1="40" y1="{side}" x2="{40 + side - 20}" y2="20"/>']
    parts.append(f'<line class="grid" x1="40" y1="{side}" x2="{20 + side}" y2="{side}"/>')
    parts.append(f'<line class="grid" x1="40" y1="20" x2="40" y2="{side}"/>')
    largest = max((count for *_, count in points), default=1)
    for confidence, right, count in points:
        x, y = 40 + confidence * (side - 20), side - right * (side - 20)
        radius = 3 + 6 * (count / largest) ** 0.5
        parts.append(f'<circle class="positive dot" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/>')
    parts.append(f'<text x="40" y="{side + 18}">the model is this sure</text>')
    parts.append(f'<text x="{side + 40}" y="40">above the line: better</text>')
    parts.append(f'<text x="{side + 40}" y="58">than it says; below: worse</text>')
    described = "; ".join(f"sure by {100 * a:.0f}%: right in {100 * b:.0f}%" for a, b, _ in points)
    return _wrap(parts, side + 28, title, described)


def export_svg(charts: Sequence[str], key: str = "") -> str:
    """Return charts as a file of its own, below each other, with their titles, style and a `key` to what they show."""
    parts, top = [], 0.0
    for chart in charts:
        height = float(chart.partition('viewBox="0 0 ')[2].partition('"')[0].split()[1])
        title = chart.partition("<title>")[2].partition("</title>")[0]
        parts.append(f'<text class="strong" x="0" y="{top + 14:.0f}">{title}</text>')
        place = f'y="{top + 22:.0f}" width="{_WIDTH}" height="{height:.0f}"'
        parts.append(f"<svg {place}{chart.removeprefix('<svg')}")
        top += height + 36
    for line in filter(None, key.split("; ")):
        parts.append(f'<text class="small" x="0" y="{top:.0f}">{escape(line)}</text>')
        top += 15
    box = f'viewBox="-10 -6 {_WIDTH + 20} {top + 12:.0f}"'
    sheet = f'<rect x="-10" y="-6" width="{_WIDTH + 20}" height="{top + 12:.0f}" fill="#fff"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box} width="{2 * _WIDTH}">'
    return f"{head}<style>{LIGHT_STYLE}</style>{sheet}{''.join(parts)}</svg>"


def _panel(
    own: dict[str, Mark], periods: Sequence[str], step: float, base: float, scale: float, kind: str
) -> list[str]:
    parts: list[str] = []
    upper, lower, line = [], [], []
    for index, period in enumerate(periods):
        mark = own.get(period)
        if mark is None:
            continue
        x = 40 + index * step
        value = mark.model_share if mark.share is None else mark.share
        line.append(f"{x:.1f},{base - value * scale:.1f}")
        if mark.low is not None and mark.high is not None:
            upper.append(f"{x:.1f},{base - mark.high * scale:.1f}")
            lower.append(f"{x:.1f},{base - mark.low * scale:.1f}")
            if len(periods) == 1:
                parts.append(_whisker_up(x, base - mark.high * scale, base - mark.low * scale))
    if len(upper) > 1:
        parts.append(f'<polygon class="band {kind}" points="{" ".join([*upper, *reversed(lower)])}"/>')
    if len(line) > 1:
        parts.append(f'<polyline class="{kind} line" fill="none" points="{" ".join(line)}"/>')
    parts += [
        f'<circle class="{kind} dot" cx="{point.split(",")[0]}" cy="{point.split(",")[1]}" r="3"/>' for point in line
    ]
    return parts


def _bar(x: float, y: float, width: float, height: float, kind: str) -> str:
    bar = f'<rect class="{kind} bar" x="{x}" y="{y}" width="{max(width, 0.5):.1f}" height="{height}"/>'
    if kind != "negative":
        return bar
    lines = "".join(
        f'<line class="hatch" x1="{x + offset:.1f}" x2="{x + offset + 6:.1f}" y1="{y + height}" y2="{y}"/>'
        for offset in range(2, int(max(width - 6, 0)), 8)
    )
    return bar + lines


def _whisker(low: float, high: float, y: float) -> str:
    return f'<path class="whisker" d="M{low:.1f} {y - 4}v8M{low:.1f} {y}H{high:.1f}M{high:.1f} {y - 4}v8"/>'


def _whisker_up(x: float, top: float, bottom: float) -> str:
    left = f"{x - 4:.1f}"
    return f'<path class="whisker" d="M{left} {top:.1f}h8M{x:.1f} {top:.1f}V{bottom:.1f}M{left} {bottom:.1f}h8"/>'


def _axis(most: float, scale: float, bottom: float) -> str:
    step = next(step for step in (0.02, 0.05, 0.1, 0.2, 0.25) if most / step <= 6 or step == 0.25)
    parts = []
    for number in range(int(most / step) + 1):
        x = _NAMES_WIDTH + number * step * scale
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{bottom}"/>')
        parts.append(
            f'<text class="small" text-anchor="middle" x="{x:.1f}" y="{bottom + 16}">{100 * number * step:.0f}%</text>'
        )
    return "".join(parts)


def _class(label: str, labels: Sequence[str]) -> str:
    if label in _COLOURED_LABELS:
        return label
    return f"other-{[each for each in labels if each not in _COLOURED_LABELS].index(label) % 3}"


def _describe(marks: Sequence[Mark]) -> str:
    """Return the chart in words, for who can't see it."""
    sentences = []
    for mark in marks:
        value = mark.model_share if mark.share is None else mark.share
        span = "" if mark.low is None or mark.high is None else f" ({100 * mark.low:.1f} to {100 * mark.high:.1f}%)"
        sentences.append(f"{mark.name}, {mark.label}: {100 * value:.1f}%{span}")
    return "; ".join(sentences)


def _wrap(parts: Sequence[str], height: float, title: str, description: str) -> str:
    described = f"<title>{escape(title)}</title><desc>{escape(description)}</desc>"
    return f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img">{described}{"".join(parts)}</svg>'


def _shorten(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
