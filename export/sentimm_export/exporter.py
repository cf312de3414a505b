"""From a run to a bundle: graphs, precisions, checks, manifest; the bundle appears whole or not at all."""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sentimm
from sentimm.bundle.bundle import Bundle, Precision, load_bundle, write_manifest
from sentimm.errors import OutputError, UsageError
from sentimm.models.fusion import SentimentModel
from sentimm.training.run_folder import Run, StoredPosts, open_run, read_posts
from sentimm_export.calibration import describe_findings, examine_bundle, list_temperatures, list_unfitted
from sentimm_export.card import read_sections, write_card
from sentimm_export.graphs import write_graphs
from sentimm_export.options import ExportOptions
from sentimm_export.parity import Parity, check_parity, compare_with_model, to_manifest
from sentimm_export.precision import convert_to_fp16, quantize_image, quantize_text, share_weights
from sentimm_export.scales import ScalePosts, keep_scale_posts, read_scale_posts


@dataclass(frozen=True)
class Exported:
    """The finished bundle, and how each precision compares with PyTorch."""

    bundle: Bundle
    parity: dict[Precision, Parity]
    notes: tuple[str, ...]


def export_run(options: ExportOptions, tell: Callable[[str], None]) -> Exported:
    """Export a run; `tell` hears in a few words what is being done.

    Raises:
        RunNotFoundError, RunError: the run can't be read.
        ParityError: a precision answers otherwise than the model; nothing is written then.
        OutputError: the bundle can't be written.
        UsageError: the output is there already and is not to be replaced.
        InputError, ColumnError, TableError: the hand-written sections or the posts for int8's scales can't be read, or
            hold nothing of a modality.
    """
    run = open_run(options.run)
    if options.output.exists() and not options.overwrite:
        raise UsageError(
            f"{options.output} is there already: name another folder with -o, or replace it with --overwrite."
        )
    if options.output.exists() and not (options.output / "bundle.json").is_file():
        raise UsageError(f"{options.output} is not a bundle, so --overwrite will not replace it: name another folder.")
    notes: list[str] = []
    if options.composed is not None:
        run = _compose(run, options.composed, notes)
    written = {} if options.card is None else read_sections(options.card)
    model = run.build_model(options.weights)
    calibration = (
        keep_scale_posts(run)
        if options.calibration is None
        else read_scale_posts(run, options.calibration, options.images)
    )
    held_out = read_posts(run.path / "held-out.parquet", None if run.image is None else run.image.size)
    try:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{options.output.name}.", dir=options.output.parent))
    except OSError as error:
        raise OutputError(
            f"The bundle can't be written to {options.output.parent}: {error.strerror or error}."
        ) from error
    try:
        exported = _write_bundle(folder, run, model, options, calibration, held_out, written, notes, tell)
        folder.chmod(0o755)
        if options.output.exists():
            shutil.rmtree(options.output)
        folder.rename(options.output)
    except OSError as error:
        raise OutputError(f"The bundle can't be written to {options.output}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Exported(load_bundle(options.output), exported.parity, exported.notes)


def _compose(run: Run, share: float, notes: list[str]) -> Run:
    """Mix another share of what the heads make together into a run's answers."""
    if not run.fusion.composed:
        raise UsageError(
            f"--composed takes another share than the run was trained with, and {run.path} was trained without: "
            "leave it away."
        )
    notes.append(
        f"composed: what the heads make together is {share:g} of the answers to complete posts, and was "
        f"{run.fusion.composed:g} in training"
    )
    return replace(run, fusion=replace(run.fusion, composed=share))


def _write_bundle(
    folder: Path,
    run: Run,
    model: SentimentModel,
    options: ExportOptions,
    calibration: ScalePosts,
    held_out: StoredPosts,
    written: Mapping[str, str],
    notes: list[str],
    tell: Callable[[str], None],
) -> Exported:
    with tempfile.TemporaryDirectory() as work, _quiet_quantization():
        tell("writing the graphs")
        sources = write_graphs(model, Path(work))
        graphs = _write_precisions(folder, Path(work), sources, run, options, calibration, notes, tell)
    if run.text is not None:
        shutil.copyfile(run.tokenizer, folder / "tokenizer.json")
    fields = _manifest_fields(run, model, options, graphs)
    write_manifest(folder, fields)
    tell("measuring held-out posts")
    bundle = load_bundle(folder)
    findings = examine_bundle(bundle, held_out)
    if run.fusion.literal:
        findings = {kind: replace(found, calibration=None) for kind, found in findings.items()}
        notes.append("all temperatures stay 1: --literal is the formula as it is printed")
    else:
        notes += list_unfitted(bundle, findings)
    fields["temperatures"] |= list_temperatures(findings)
    fields["metrics"] |= describe_findings(findings, bundle)
    write_manifest(folder, fields)
    bundle = load_bundle(folder)
    parity: dict[Precision, Parity] = {}
    for precision in options.precisions:
        tell(f"comparing {precision} with PyTorch")
        parity[precision] = compare_with_model(model, bundle, precision, held_out)
        check_parity(parity[precision], precision, options.min_agreement)
    fields["parity"] = {precision: to_manifest(found) for precision, found in parity.items()}
    fields["provenance"]["notes"] = notes
    write_manifest(folder, fields)
    bundle = load_bundle(folder)
    write_card(bundle, run, parity, findings, written)
    return Exported(bundle, parity, tuple(notes))


def _write_precisions(
    folder: Path,
    work: Path,
    sources: dict[str, Path],
    run: Run,
    options: ExportOptions,
    calibration: ScalePosts,
    notes: list[str],
    tell: Callable[[str], None],
) -> dict[str, dict[str, str]]:
    # The fusion is small: one fp32 graph serves all precisions.
    shutil.copyfile(sources["fusion"], folder / "fusion.onnx")
    graphs: dict[str, dict[str, str]] = {precision: {"fusion": "fusion.onnx"} for precision in options.precisions}
    for modality in ("text", "image"):
        if modality not in sources:
            continue
        source = sources[modality]
        if "int8" in options.precisions:
            tell(f"quantising the {modality} graph")
            target = folder / f"{modality}.int8.onnx"
            if modality == "text":
                kept = quantize_text(source, target, calibration.feed_texts(run))
                notes.append(
                    "int8 text: activations are smoothed; outlier channels of the second product of each of the "
                    f"{len(kept)} feed-forward layers stay in float"
                )
            else:
                kept = quantize_image(source, target, calibration.feed_images())
                if kept:
                    notes.append(f"int8 image: {len(kept)} convolutions stay in float, those of the first block")
        if "fp16" in options.precisions:
            if options.share_weights:
                share_weights(
                    folder / f"{modality}.int8.onnx", folder / f"{modality}.fp16.onnx", folder / f"{modality}.weights"
                )
            else:
                convert_to_fp16(source, folder / f"{modality}.fp16.onnx")
        if "fp32" in options.precisions:
            shutil.copyfile(source, folder / f"{modality}.fp32.onnx")
        for precision in options.precisions:
            graphs[precision][modality] = f"{modality}.{precision}.onnx"
    return graphs


def _manifest_fields(
    run: Run, model: SentimentModel, options: ExportOptions, graphs: dict[str, dict[str, str]]
) -> dict[str, Any]:
    modalities = [name for name, encoder in (("text", run.text), ("image", run.image)) if encoder is not None]
    text = image = None
    if run.text is not None:
        text = {
            "encoder": run.text.name,
            "normalization": run.normalization,
            "max_tokens": run.text.max_tokens,
            "tokenizer": "tokenizer.json",
            "pad_id": run.text.backbone.get("pad_token_id", 0),
            "width": run.text.width,
        }
    if run.image is not None:
        image = {"encoder": "+".join(run.image.backbones), "size": run.image.size, "width": run.image.width}
        if model.image is not None and run.image.sequence:
            image["cells"] = model.image.count_cells()
    keys = ["text+image", "text", "image"] if len(modalities) == 2 else modalities
    epochs = run.read_metrics()
    if epochs and options.weights == "best":
        epochs = [max(epochs, key=lambda epoch: epoch["score"])]
    return {
        "name": options.name or options.output.name,
        "labels": list(run.labels),
        "modalities": modalities,
        "text": text,
        "image": image,
        "fusion": {
            "name": run.fusion.name,
            "heads": list(run.fusion.heads),
            "attends": model.fusion.attends,
            "literal": run.fusion.literal,
            "composed": bool(run.fusion.composed),
        },
        "temperatures": dict.fromkeys(keys, 1.0),
        "graphs": graphs,
        "metrics": {"validation": epochs[-1]["tables"]} if epochs else {},
        "parity": {},
        "provenance": {
            "sentimm": sentimm.__version__,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "weights": options.weights,
            "run": run.provenance,
        },
    }


@contextlib.contextmanager
def _quiet_quantization() -> Iterator[None]:
    """Hush the quantiser, which prints and logs hints for people who call it by hand."""
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.getLogger().setLevel(level)
