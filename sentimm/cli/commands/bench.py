"""`sentimm bench`: how fast scoring is on this machine, and what limits it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from sentimm.bench.options import BenchOptions
from sentimm.cli.options_from import options_from
from sentimm.cli.scoring import AsJson, limit_threads
from sentimm.option_fields import Panel, option

if TYPE_CHECKING:
    from sentimm.bench.benchmark import Benchmark


@options_from(BenchOptions, without=("infer_types", "limit", "columns", "prefix"))
def bench(
    options: BenchOptions,
    *,
    figure: Annotated[
        Path | None, option(Panel.OUTPUT, "Draw the result into this PNG.", metavar="FILE", shown=False)
    ] = None,
    quiet: Annotated[bool, option(Panel.RUNNING, "No progress.", "-q")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure each stage of scoring alone, the limit that they set, and how near to it a whole job comes.

    Takes about half a minute on two cores. Use your own posts to learn how long a corpus will take.

    Example: sentimm bench tweets.csv --images photos/
    """
    if figure is not None:
        from sentimm.cli.extras import FIGURES, require

        require("sentimm bench --figure", FIGURES)
        _check_figure(figure)
    limit_threads(options.threads)
    from sentimm.bench.benchmark import run_benchmark
    from sentimm.console.bench import print_benchmark
    from sentimm.console.scoring.progress import ScoreConsole

    with ScoreConsole(quiet=quiet) as progress:
        found = run_benchmark(options, progress.show)
    if figure is not None:
        _draw(found, figure)
    print_benchmark(found, figure, as_json=as_json)


def _check_figure(path: Path) -> None:
    """Check what can be known of the figure's file before anything is measured."""
    from sentimm.errors import OutputError

    if path.is_dir() or not path.parent.is_dir():
        raise OutputError(f"The figure can't be written to {path}: name a file in a folder that is there.")


def _draw(benchmark: Benchmark, path: Path) -> None:
    from sentimm.plots import draw_stages

    stages = [(stage.name, 1000 * stage.seconds_per_post) for stage in benchmark.stages]
    draw_stages(stages, [("limit", benchmark.limit), ("a whole job", benchmark.whole)], path)
