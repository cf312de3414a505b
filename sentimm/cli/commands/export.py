"""`sentimm export`: a bundle for `score` from a run of `train`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from sentimm_export.options import ExportOptions

from sentimm.cli.options_from import options_from
from sentimm.option_fields import option


@options_from(ExportOptions, run={"default": None}, output={"default": None})
def export(
    options: ExportOptions,
    *,
    quiet: Annotated[bool, option(None, "No progress.", "-q")] = False,
) -> None:
    """Export a trained run to ONNX, check it against PyTorch, and write a bundle for `score`.

    Example: sentimm export runs/mine -o my-model
    """
    from sentimm.cli.extras import require_train

    require_train("export")
    from sentimm_export.exporter import export_run

    from sentimm.console.export import ExportConsole
    from sentimm.training.run_folder import find_newest_run

    run = options.run or find_newest_run(Path("runs"))  # both are None here where they are not given
    output = options.output or Path("bundles") / run.resolve().name
    console = ExportConsole(quiet=quiet)
    console.finish(export_run(replace(options, run=run, output=output), console.tell))
