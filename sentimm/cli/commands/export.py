"""`sentimm export`: a bundle for `score` from a run of `train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sentimm.cli.declare import parse_path
from sentimm.errors import UsageError


def export(
    run: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN]", help="The run folder.", show_default="the newest in runs/"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="BUNDLE", help="The bundle folder to write.", show_default="bundles/<run>"
        ),
    ] = None,
    precision: Annotated[str, typer.Option(metavar="P,...", help="fp32, fp16 (CUDA), int8 (CPUs).")] = "fp32,fp16,int8",
    weights: Annotated[str, typer.Option(metavar="best|last", help="Which epoch's weights.")] = "best",
    min_agreement: Annotated[
        float, typer.Option(help="On how many held-out posts a precision must give the trained model's label.")
    ] = 0.97,
    share_weights: Annotated[
        bool, typer.Option("--share-weights", help="Store int8 weights once for int8 and fp16: a bundle half as large.")
    ] = False,
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A table of posts for int8's scales.", show_default="those that the run keeps"
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The folder of the images of --calibration, or its URL.",
            parser=parse_path,
            show_default=False,
        ),
    ] = None,
    composed: Annotated[
        float | None,
        typer.Option(
            metavar="W",
            help="Share of what both heads make together in the answers.",
            show_default="as trained",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The bundle's name.", show_default="that of its folder")] = None,
    card: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Markdown sections for the model card, such as `## Known failures`."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a bundle that is there.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Export a trained run to ONNX, check it against PyTorch, and write a bundle for `score`.

    Example: sentimm export runs/mine -o my-model
    """
    from sentimm.cli.extras import require_train

    require_train("export")
    from sentimm_export.exporter import ExportOptions, export_run

    from sentimm.console.export import ExportConsole
    from sentimm.training.run_folder import find_newest_run

    if weights not in ("best", "last"):
        raise UsageError(f"--weights {weights!r} is not best or last.")
    run = run or find_newest_run(Path("runs"))
    precisions: Any = tuple(part.strip() for part in precision.split(",") if part.strip())
    options = ExportOptions(
        run=run,
        output=output or Path("bundles") / run.resolve().name,
        precisions=precisions,
        weights=weights,  # type: ignore[arg-type]
        min_agreement=min_agreement,
        share_weights=share_weights,
        calibration=calibration,
        images=images,
        composed=composed,
        name=name,
        card=card,
        overwrite=overwrite,
    )
    console = ExportConsole(quiet=quiet)
    console.finish(export_run(options, console.tell))
