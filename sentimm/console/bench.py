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


def print_benchmark(benchmark: Benchmark, figure: Path | None, *, as_json: bool = False) -> None:
    """Print a benchmark, for a person or as one JSON object; `figure` is the chart's file."""
    if as_json:
        print_json(benchmark.to_json())
        return
    console = make_console(sys.stdout)
    source = "generated" if benchmark.corpus == "generated" else f"from {benchmark.corpus}"
    console.print(make_line(f"{count_posts(benchmark.posts)}, {source}. {benchmark.note}", "bold"), soft_wrap=True)
    console.print()
    print_block(console, _draw_stages(benchmark))
    console.print()
    for line in _describe(benchmark):
        console.print(make_line(line), soft_wrap=True)
    if figure is not None:
        console.print(make_line(f"Chart written to {figure}"), soft_wrap=True)


def _draw_stages(benchmark: Benchmark) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("stage, alone on all cores")
    for name in ("per second", "batch size", "ms per post", "share"):
        table.add_column(name, justify="right")
    total = sum(stage.seconds_per_post for stage in benchmark.stages)
    for stage in benchmark.stages:
        seconds = stage.seconds_per_post
        table.add_row(
            stage.name + (" (GPU)" if stage.on_gpu else ""),
            f"{stage.items_per_second:,.0f}",
            f"{stage.batch or ''}",
            f"{1000 * seconds:.3f}",
            f"{seconds / total:.0%}",
        )
    for name, rate in (("reading the table", benchmark.reading), ("writing the output", benchmark.writing)):
        table.add_row(name, f"{rate:,.0f}", "", f"{1000 / rate:.3f}", "", style="dim")
    return table


def _describe(benchmark: Benchmark) -> list[str]:
    return [
        f"Limit of these stages: {describe_rate(benchmark.limit)}. A whole job: {describe_rate(benchmark.whole)}, "
        f"{benchmark.share:.0%} of the limit, after {describe_duration(benchmark.start_s)} to start.",
        f"The bottleneck is {benchmark.bottleneck.name}.",
        f"A million such posts take {describe_duration(_MILLION / benchmark.whole)}, "
        f"{benchmark.core_hours_per_million:.1f} core-hours.",
    ]
