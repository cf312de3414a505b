"""How far a job is, and what is in its output: the share of each label, what was used, what went wrong."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sentimm.console.terminal import (
    count_posts,
    describe_duration,
    describe_rate,
    draw_bar,
    make_console,
    make_line,
    print_block,
)
from sentimm.events import Counts

if TYPE_CHECKING:
    from sentimm.scoring.job_folder.progress import JobProgress

_COLORS = {"negative": "red", "neutral": "bright_black", "positive": "green"}
_OTHER_COLORS = ("cyan", "magenta", "blue", "yellow")

_MODALITY_NAMES = {
    "text+image": "by text and image",
    "text": "by text alone",
    "image": "by image alone",
    "none": "not scored",
}
_WRONG = {
    "row_unreadable": ("row can't be read", "rows can't be read"),
    "image_unreadable": ("image can't be decoded", "images can't be decoded"),
    "image_missing": ("image not found", "images not found"),
    "empty": ("post has neither text nor image", "posts have neither text nor image"),
    "unsupported": ("post has nothing this model can read", "posts have nothing this model can read"),
}


def print_progress(progress: JobProgress) -> None:
    """Print how far a job is on stdout."""
    console = make_console(sys.stdout)
    if progress.counts is not None:
        console.print(make_line(f"{progress.output} is done: {count_posts(progress.rows)}.", "bold"), soft_wrap=True)
        console.print()
        print_block(console, draw_counts(progress.counts))
        return
    share = progress.scored / progress.rows if progress.rows else 1.0
    bar = Text.assemble(*draw_bar(share, "cyan"), f" {share:4.0%}  {progress.scored:,} of {progress.rows:,} posts")
    state = "being written" if progress.state == "running" else "not finished"
    console.print(make_line(f"{progress.output} is {state}.", "bold"), soft_wrap=True)
    console.print(bar)
    if progress.state == "stopped":
        console.print("No process is working on it. To resume, run the command that started it again.", soft_wrap=True)
        return
    details = []
    if progress.posts_per_second:
        left = (progress.rows - progress.scored) / progress.posts_per_second
        details.append(f"{describe_rate(progress.posts_per_second)}, {describe_duration(left)} left")
    if progress.last_part_s is not None:
        details.append(f"last part finished {describe_duration(progress.last_part_s)} ago")
    console.print("; ".join(details) or "The first part is being scored.")


def draw_counts(counts: Counts) -> RenderableType:
    """Draw the share of each label as bars, what was used, and what went wrong."""
    if not any(counts.statuses.values()):
        return make_line("  No posts: the output has all columns and no rows.")
    total = sum(counts.labels.values())
    bars = Table.grid(padding=(0, 2))
    bars.add_column()
    bars.add_column()
    bars.add_column(justify="right")
    bars.add_column(justify="right")
    for number, (label, posts) in enumerate(counts.labels.items()):
        share = posts / total if total else 0.0
        color = _COLORS.get(label, _OTHER_COLORS[number % len(_OTHER_COLORS)])
        bars.add_row(make_line(label), Text.assemble(*draw_bar(share, color)), f"{share:.1%}", f"{posts:,}")
    parts: list[RenderableType] = [bars, Text(), _draw_used(counts.modalities)]
    wrong = {status: number for status, number in counts.statuses.items() if number and status in _WRONG}
    if wrong:
        parts += [Text(), _draw_wrong(wrong)]
    return Padding(Group(*parts), (0, 0, 0, 2))


def _draw_used(modalities: Mapping[str, int]) -> Text:
    return Text(" · ".join(f"{number:,} {_MODALITY_NAMES[name]}" for name, number in modalities.items() if number))


def _draw_wrong(wrong: Mapping[str, int]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="yellow")
    table.add_column()
    table.add_column(style="dim")
    for status, number in wrong.items():
        one, many = _WRONG[status]
        table.add_row(f"{number:,}", one if number == 1 else many, f"status = {status}")
    return table
