"""The graph files of a bundle: each encoder's graph in each precision, and one graph of the fusion."""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from sentimm.bundle.bundle import Precision
from sentimm.training.run_folder import Run
from sentimm_export.int8.mending import describe_mending, mend_products
from sentimm_export.int8.precision import (
    convert_to_fp16,
    find_smoothed,
    is_transformer,
    quantize_convolutions,
    quantize_transformer,
    share_weights,
)
from sentimm_export.int8.speed import describe_speed, measure_speed
from sentimm_export.scales import ScalePosts


@dataclass(frozen=True)
class GraphFiles:
    """The names of a bundle's graph files, by precision and by `text`, `image` and `fusion`, and notes on them."""

    files: dict[str, dict[str, str]]
    notes: tuple[str, ...]


def write_precisions(
    folder: Path,
    sources: Mapping[str, Path],
    run: Run,
    precisions: Sequence[Precision],
    scale_posts: ScalePosts,
    tell: Callable[[str], None],
    *,
    shared: bool,
) -> GraphFiles:
    """Write the fp32 graphs `sources` into the bundle's folder in each of the `precisions`.

    Args:
        folder: the bundle's folder.
        sources: fp32 graphs by `text`, `image` and `fusion`.
        run: the run, whose tokenizer reads the texts of `scale_posts`.
        precisions: those to write.
        scale_posts: posts for the scales of int8.
        tell: receives a few words on each step.
        shared: store the weights of int8 and fp16 once.

    Raises:
        InputError: int8 needs posts of a modality that `scale_posts` has none of.
    """
    # The fusion is small: one fp32 graph serves all precisions.
    shutil.copyfile(sources["fusion"], folder / "fusion.onnx")
    files: dict[str, dict[str, str]] = {precision: {"fusion": "fusion.onnx"} for precision in precisions}
    notes: list[str] = []
    for modality in ("text", "image"):
        if modality not in sources:
            continue
        targets = {precision: folder / f"{modality}.{precision}.onnx" for precision in precisions}
        fp32 = folder / f"{modality}.fp32.onnx"
        if "int8" in targets:
            tell(f"quantising the {modality} graph")
            found = _quantize(modality, sources[modality], targets["int8"], scale_posts, run)
            feeds = scale_posts.make_text_feeds(run) if modality == "text" else scale_posts.make_image_feeds()
            speed = measure_speed(sources[modality], targets["int8"], feeds)
            if speed.keeps_fp32:
                targets["int8"].unlink()
                targets["int8"], found = fp32, []
            notes += found + describe_speed(modality, speed, has_fp32="fp32" in targets)
        if "fp16" in targets and shared and targets["int8"] != fp32:
            share_weights(targets["int8"], targets["fp16"], folder / f"{modality}.weights")
        elif "fp16" in targets:
            convert_to_fp16(sources[modality], targets["fp16"])
        if fp32 in targets.values():
            shutil.copyfile(sources[modality], fp32)
        for precision, path in targets.items():
            files[precision][modality] = path.name
    return GraphFiles(files, tuple(notes))


def _quantize(modality: str, source: Path, target: Path, scale_posts: ScalePosts, run: Run) -> list[str]:
    """Quantise one graph, and return notes on what stays in float."""
    if modality == "text" or is_transformer(onnx.load(source, load_external_data=False).graph):
        feeds = scale_posts.make_text_feeds(run) if modality == "text" else scale_posts.make_image_feeds()
        products = quantize_transformer(source, target, feeds)
        notes = [
            f"int8 {modality}: activations are smoothed; outlier channels of the second product of each of the "
            f"{len(products)} feed-forward layers stay in float"
        ]
        return notes + describe_mending(modality, mend_products(source, find_smoothed(source), target, feeds))
    convolutions = quantize_convolutions(source, target, scale_posts.make_image_feeds())
    if not convolutions:
        return []
    return [f"int8 image: {len(convolutions)} convolutions stay in float, those of the first block"]


@contextlib.contextmanager
def quiet_exporters() -> Iterator[None]:
    """Silence what the exporter and the quantiser print and log."""
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.getLogger().setLevel(level)
