"""The figures of a benchmark."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from sentimm.console.terminal import (
    count_posts,
    describe_duration,
    describe_rate,
    make_console,
    make_line,
    print_block,
    print_json,
)

if TYPE_CHECKING:
    from sentimm.bench.benchmark import Benchmark

_MILLION = 1_000_000


def print_benchmark(found: Benchmark, figure: Path | None, *, as_json: bool = False) -> None:
    """Print a benchmark, for a person or as one JSON object; `figure` is the chart's file."""
    if as_json:
        print_json(found.to_json())
        return
    console = make_console(sys.stdout)
    source = "generated" if found.corpus == "generated" else f"from {found.corpus}"
    console.print(make_line(f"{count_posts(found.posts)}, {source}. {found.note}", "bold"), soft_wrap=True)
    console.print()
    print_block(console, _draw_stages(found))
    console.print()
    for line in _describe(found):
        console.print(make_line(line), soft_wrap=True)
    if figure is not None:
        console.print(make_line(f"Chart written to {figure}"), soft_wrap=True)


def _draw_stages(found: Benchmark) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("stage, alone on all cores")
    for name in ("per second", "batch size", "ms per post", "share"):
        table.add_column(name, justify="right")
    total = sum(stage.seconds_per_post for stage in found.stages)
    for stage in found.stages:
        seconds = stage.seconds_per_post
        table.add_row(
            stage.name + (" (GPU)" if stage.on_gpu else ""),
            f"{stage.items_per_second:,.0f}",
            f"{stage.batch or ''}",
            f"{1000 * seconds:.3f}",
            f"{seconds / total:.0%}",
        )
    for name, rate in (("reading the table", found.reading), ("writing the output", found.writing)):
        table.add_row(name, f"{rate:,.0f}", "", f"{1000 / rate:.3f}", "", style="dim")
    return table


def _describe(found: Benchmark) -> list[str]:
    return [
        f"Limit of these stages: {describe_rate(found.limit)}. A whole job: {describe_rate(found.whole)}, "
        f"{found.share:.0%} of the limit, after {describe_duration(found.start_s)} to start.",
        f"The bottleneck is {found.bottleneck.name}.",
        f"A million such posts take {describe_duration(_MILLION / found.whole)}, "
        f"{found.core_hours_per_million:.1f} core-hours.",
    ]
