"""Measure what each product of a run's text encoder costs in int8: error alone, with all others, and when mended.

    python benchmarks/int8_error.py runs/mine

The noise is the mean error of the encoder's output, as a share of its standard deviation over the run's own posts.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import onnx
from sentimm_export.bundle_graphs import quiet_exporters
from sentimm_export.graphs import write_graphs
from sentimm_export.int8.mending import ErrorMeter, mend_products, refine_ranges
from sentimm_export.int8.precision import find_smoothed, quantize_transformer
from sentimm_export.scales import load_scale_posts

from sentimm.training.run_folder import open_run


def measure_run(path: Path, folder: Path) -> None:
    """Print the noise of each group of products that share an input: with percentiles, and with finer ranges."""
    run = open_run(path)
    feeds = load_scale_posts(run).make_text_feeds(run)
    with quiet_exporters():
        source = write_graphs(run.build_model("best"), folder)["text"]
        target, refined = folder / "text.int8.onnx", folder / "text.refined.onnx"
        quantize_transformer(source, target, feeds)
    smoothed = find_smoothed(source)
    model = onnx.load(target)
    refine_ranges(model, onnx.load(smoothed), feeds[:2])
    onnx.save(model, refined)
    meters = [ErrorMeter(source, smoothed, graph, feeds[:1]) for graph in (target, refined)]
    print("| products | input | alone | alone, finer ranges |\n|---|---|---|---|")
    groups = list(zip(*(meter.inputs for meter in meters), strict=True))
    for first, second in groups:
        noise, finer = meters[0].measure((first,)), meters[1].measure((second,))
        print(f"| {', '.join(first.products)} | {first.name} | {noise:.2%} | {finer:.2%} |", flush=True)
    for label, part in (("none", slice(0)), ("all", slice(None))):
        found = [meter.measure(meter.inputs[part]) for meter in meters]
        print(f"| {label} | | {found[0]:.2%} | {found[1]:.2%} |")
    print(mend_products(source, smoothed, target, feeds))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as work:
        measure_run(Path(sys.argv[1]), Path(work))
