"""`sentimm bench`: how fast scoring is on this machine, and what limits it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentimm.cli import scoring_options as shared
from sentimm.cli.declare import declare
from sentimm.options import BenchOptions, CorpusOptions

if TYPE_CHECKING:
    from sentimm.bench.benchmark import Benchmark


def bench(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="INPUT", help="The corpus to measure with.", show_default="a generated one"),
    ] = None,
    images: shared.Images = None,
    text_column: shared.TextColumn = None,
    image_column: shared.ImageColumn = None,
    id_column: shared.IdColumn = None,
    only: shared.Only = None,
    allow_missing: shared.AllowMissing = False,
    posts: Annotated[int, declare(shared.INPUT, "Use the first N posts.", metavar="N")] = BenchOptions.posts,
    model: shared.Model = None,
    device: shared.Device = "auto",
    precision: shared.Precision = "auto",
    threads: shared.Threads = None,
    figure: Annotated[
        Path | None, declare(shared.OUTPUT, "Draw the result into this PNG.", metavar="FILE", show_default=False)
    ] = None,
    quiet: Annotated[bool, declare(shared.RUNNING, "No progress.", "--quiet", "-q")] = False,
    as_json: shared.AsJson = False,
) -> None:
    """Measure each stage of scoring alone, the limit that they set, and how near to it a whole job comes.

    Takes about half a minute on two cores. Use posts of your own to know how long a corpus will take.

    Example: sentimm bench tweets.csv --images photos/
    """
    options = BenchOptions(
        inputs=tuple(inputs or ()),
        corpus=CorpusOptions(
            images=images,
            text_column=text_column,
            image_column=image_column,
            id_column=id_column,
            only=only,
            allow_missing=allow_missing,
        ),
        posts=posts,
        model=model,
        device=device,
        precision=precision,
        threads=threads,
    )
    if figure is not None:
        from sentimm.cli.extras import FIGURES, require

        require("sentimm bench --figure", FIGURES)
        _check_figure(figure)
    shared.limit_threads(threads)
    from sentimm.bench.benchmark import run_benchmark
    from sentimm.console.bench import print_benchmark
    from sentimm.console.scoring import ScoreConsole

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


def _draw(found: Benchmark, path: Path) -> None:
    from sentimm.plots import draw_stages

    stages = [(stage.name, 1000 * stage.seconds_per_post) for stage in found.stages]
    draw_stages(stages, [("limit", found.limit), ("a whole job", found.whole)], path)
