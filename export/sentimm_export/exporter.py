"""The export: from a run to a bundle of graphs, precisions, checks and a card; it appears whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sentimm.bundle.bundle import Bundle, Precision, load_bundle, write_manifest
from sentimm.bundle.manifest import MANIFEST
from sentimm.errors import OutputError, UsageError
from sentimm.models.sentiment_model import SentimentModel
from sentimm.storage.atomic import rename_folder
from sentimm.training.data.stored_posts import StoredPosts, read_posts
from sentimm.training.run_folder import Run, open_run
from sentimm_export.bundle_graphs import quiet_exporters, write_precisions
from sentimm_export.card import read_sections, write_card
from sentimm_export.graphs import write_graphs
from sentimm_export.held_out import HeldOutResult, describe_results, list_temperatures, list_unfitted, measure_held_out
from sentimm_export.manifest import describe_run
from sentimm_export.options import ExportOptions
from sentimm_export.parity import Parity, check_precisions, describe_parity
from sentimm_export.scales import ScalePosts, load_scale_posts, read_scale_posts


@dataclass(frozen=True)
class ExportResult:
    """The finished bundle, how each precision compares with PyTorch, and notes on what was done."""

    bundle: Bundle
    parity: dict[Precision, Parity]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Sources:
    """What a bundle is made of: a run, its model and posts, and the hand-written sections of its card."""

    run: Run
    model: SentimentModel
    scale_posts: ScalePosts
    held_out: StoredPosts
    sections: Mapping[str, str]
    notes: tuple[str, ...]


def export_run(options: ExportOptions, tell: Callable[[str], None]) -> ExportResult:
    """Export a run; `tell` receives a few words on each step.

    Raises:
        RunNotFoundError, RunError: the run can't be read.
        ParityError: a precision does not answer like the model; nothing is written then.
        OutputError: the bundle can't be written.
        UsageError: the output already exists and may not be replaced.
        InputError, ColumnError, TableError: the hand-written sections or the posts for int8's scales can't be read, or
            no post has one of the modalities.
    """
    sources = _read_sources(options)
    return write_whole(options.output, lambda folder: _write_bundle(folder, sources, options, tell))


def write_whole(output: Path, write: Callable[[Path], ExportResult]) -> ExportResult:
    """Let `write` write a bundle into a folder beside `output`, which takes its place when all is done.

    Raises:
        OutputError: the bundle can't be written.
    """
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    except OSError as error:
        raise OutputError(f"The bundle can't be written to {output.parent}: {error.strerror or error}.") from error
    try:
        result = write(folder)
        folder.chmod(0o755)
        if output.exists():
            shutil.rmtree(output)
        rename_folder(folder, output, last=MANIFEST)
    except OSError as error:
        raise OutputError(f"The bundle can't be written to {output}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return replace(result, bundle=load_bundle(output))


def _read_sources(options: ExportOptions) -> _Sources:
    run = open_run(options.run)
    check_output(options.output, overwrite=options.overwrite)
    notes: tuple[str, ...] = ()
    if options.composed is not None:
        run, notes = _change_share(run, options.composed)
    return _Sources(
        run=run,
        sections={} if options.card is None else read_sections(options.card),
        model=run.build_model(options.weights),
        scale_posts=(
            load_scale_posts(run)
            if options.calibration is None
            else read_scale_posts(run, options.calibration, options.images)
        ),
        held_out=read_posts(run.path / "held-out.parquet", None if run.image is None else run.image.size),
        notes=notes,
    )


def check_output(output: Path, *, overwrite: bool) -> None:
    """Check that a bundle may be written to `output`.

    Raises:
        UsageError: it exists, and may not be replaced or is no bundle.
    """
    if not output.exists():
        return
    if not overwrite:
        raise UsageError(f"{output} already exists: name another folder with -o, or replace it with --overwrite.")
    if not (output / MANIFEST).is_file():
        raise UsageError(f"{output} is not a bundle, so --overwrite will not replace it: name another folder.")


def _change_share(run: Run, share: float) -> tuple[Run, tuple[str, ...]]:
    """Return the run with another share of what the heads make together in its answers, and a note on it."""
    if not run.fusion.composed:
        raise UsageError(
            f"--composed changes the share that a run was trained with, and {run.path} was trained without: leave it "
            "out."
        )
    note = (
        f"composed: what the heads make together is {share:g} of the answers to complete posts, and was "
        f"{run.fusion.composed:g} in training"
    )
    return replace(run, fusion=replace(run.fusion, composed=share)), (note,)


def _write_bundle(folder: Path, sources: _Sources, options: ExportOptions, tell: Callable[[str], None]) -> ExportResult:
    """Write all files of the bundle; the manifest after each step, as the next one loads the bundle."""
    run, model = sources.run, sources.model
    notes = list(sources.notes)
    with tempfile.TemporaryDirectory() as work, quiet_exporters():
        tell("writing the graphs")
        fp32_graphs = write_graphs(model, Path(work))
        graphs = write_precisions(
            folder, fp32_graphs, run, options.precisions, sources.scale_posts, tell, shared=options.share_weights
        )
    notes += graphs.notes
    if run.text is not None:
        shutil.copyfile(run.tokenizer, folder / "tokenizer.json")
    fields = describe_run(run, model, options.name or options.output.name, options.weights, graphs.files)
    if options.languages:
        fields["languages"] = list(options.languages)
    write_manifest(folder, fields)

    tell("measuring held-out posts")
    results, temperature_notes = _fit_temperatures(load_bundle(folder), sources)
    notes += temperature_notes
    fields["temperatures"] |= list_temperatures(results)
    fields["metrics"] |= describe_results(results, load_bundle(folder))
    write_manifest(folder, fields)

    parity = check_precisions(
        sources.model, load_bundle(folder), options.precisions, sources.held_out, options.min_agreement, tell
    )
    fields["parity"] = {precision: describe_parity(each) for precision, each in parity.items()}
    fields["provenance"]["notes"] = notes
    write_manifest(folder, fields)
    bundle = load_bundle(folder)
    write_card(bundle, run, parity, results, sources.sections)
    return ExportResult(bundle, parity, tuple(notes))


def _fit_temperatures(bundle: Bundle, sources: _Sources) -> tuple[dict[str, HeldOutResult], list[str]]:
    """Measure held-out posts; return the results with the temperatures to use, and notes on those that stay 1."""
    results = measure_held_out(bundle, sources.held_out)
    if sources.run.fusion.literal:
        untempered = {kind: replace(each, calibration=None) for kind, each in results.items()}
        return untempered, ["all temperatures stay 1: --literal is the formula as printed"]
    return results, list_unfitted(bundle, results)
