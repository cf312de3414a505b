"""Compare encoders in PyTorch with our own graphs of them, in fp32 and int8: a ViT-S/16 and an XLM-R of base size.

    python benchmarks/encoders.py [--posts 256] [--rounds 5] [--text-run RUN]

`--text-run` measures the text encoder of a training run instead, on texts that it held out. Without it weights are
random, so that only the speed means something: int8's products are chosen by their noise, which trained weights may
have less of. The vocabulary has 5,000 words, as looking up a token takes as long among 250,000. PyTorch runs eager, in
fp32, in inference mode, in batches of 32 texts or 16 images, texts by their lengths; the graphs are those of `sentimm
export`, run by the engine as in scoring, on the same rows in the same order. Rounds by turns; the medians are compared.
`--layers 1` is for trying it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from sentimm_export.bundle_graphs import quiet_exporters, write_precisions
from sentimm_export.graphs import write_graphs
from sentimm_export.manifest import describe_run
from sentimm_export.scales import ScalePosts, load_scale_posts
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from sentimm.bundle.bundle import Bundle, load_bundle, write_manifest
from sentimm.models.fusions import FusionConfig
from sentimm.models.image_encoder import ImageEncoder, ImageEncoderConfig
from sentimm.models.sentiment_model import SentimentModel
from sentimm.models.text_encoder import load_text_encoder
from sentimm.options import SENTIMENTS
from sentimm.runtime.engine import Engine
from sentimm.text import normalize_texts, pad_tokens
from sentimm.training.data.stored_posts import read_posts
from sentimm.training.run_folder import Run, open_run

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
WORDS = [f"w{number}" for number in range(5_000)]
WIDTH = 256
SIZE = 224
TEXT_BATCH, IMAGE_BATCH = 32, 16  # of PyTorch
SCALE_TEXTS, SCALE_IMAGES = 192, 32

Work = Callable[[], object]
Prepare = Callable[[Path, int], tuple[dict[str, Work], tuple[str, ...]]]


def main() -> None:
    """Print a table of both encoders, and on what it was measured."""
    parser = argparse.ArgumentParser(description="Compare encoders in PyTorch with our graphs of them.")
    parser.add_argument("--posts", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--text-run", type=Path, help="a training run, whose text encoder alone is measured")
    options = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    print(f"{read_cpu()}, {torch.get_num_threads()} cores; {options.posts} posts, {options.rounds} rounds", flush=True)
    kinds: dict[str, Prepare] = {
        f"ViT-S/16, {options.layers} layers": partial(prepare_images, layers=options.layers),
        f"XLM-R base, {options.layers} layers": partial(prepare_texts, layers=options.layers),
    }
    if options.text_run is not None:
        kinds = {f"text encoder of {options.text_run.name}": partial(prepare_run, path=options.text_run)}
    rows = []
    for name, prepare in kinds.items():
        with tempfile.TemporaryDirectory() as work:
            runs, notes = prepare(Path(work), options.posts)
            speeds = {run: options.posts / seconds for run, seconds in measure_rounds(runs, options.rounds).items()}
        eager = speeds["PyTorch eager"]
        cells = [f"{speed:.1f} ({speed / eager:.2f})" for speed in speeds.values()]
        rows.append(f"| {name} | {' | '.join(cells)} |")
        print("\n".join(notes), flush=True)
    print("\n| posts/s (times PyTorch's) | PyTorch eager | our fp32 | our int8 |\n|---|---|---|---|")
    print("\n".join(rows))


def prepare_images(folder: Path, posts: int, layers: int) -> tuple[dict[str, Work], tuple[str, ...]]:
    """Write a bundle of a ViT-S/16, and return a round of each kind by its name, and what the export says."""
    torch.manual_seed(0)
    config = ImageEncoderConfig(("timm:vit_small_patch16_224",), WIDTH, SIZE, 0.0, own_pooling=True)
    encoder = ImageEncoder(config).eval()
    network: Any = encoder.backbones[0]
    network.network.network.blocks = network.network.network.blocks[:layers]
    pixels = np.random.default_rng(0).integers(0, 256, (posts, 3, SIZE, SIZE), dtype=np.uint8)
    images = tuple(pixels[row % posts] for row in range(SCALE_IMAGES))
    model = SentimentModel(FusionConfig("resnet", WIDTH), len(SENTIMENTS), None, encoder).eval()
    bundle, notes = write_bundle(folder, model, ScalePosts(folder, (), images))

    def run_eager() -> None:
        with torch.inference_mode():
            for start in range(0, posts, IMAGE_BATCH):
                encoder(torch.from_numpy(pixels[start : start + IMAGE_BATCH]))

    def run_engine(engine: Engine, batch: slice) -> None:
        engine.encode_images(pixels[batch])

    return list_runs(bundle, "image", run_eager, run_engine, posts), notes


def prepare_texts(folder: Path, posts: int, layers: int) -> tuple[dict[str, Work], tuple[str, ...]]:
    """Write a bundle of an XLM-R of base size, and return the same."""
    from transformers import XLMRobertaConfig, XLMRobertaModel

    write_tokenizer(folder / "published")
    (folder / "bundle").mkdir()
    torch.manual_seed(0)
    shape = {"max_position_embeddings": 514, "type_vocab_size": 1, "num_hidden_layers": layers}
    config = XLMRobertaConfig(vocab_size=len(SPECIAL) + len(WORDS), **shape)
    network: Any = XLMRobertaModel(config).eval()  # with PyTorch's fused attention, unlike the encoder for the export
    network.save_pretrained(folder / "published")
    encoder, tokenizer = load_text_encoder(
        str(folder / "published"), width=WIDTH, pooling="mean", max_tokens=128, dropout=0.0, bert_dropout=0.0
    )
    (folder / "bundle/tokenizer.json").write_bytes(tokenizer)
    texts = make_texts(max(posts, SCALE_TEXTS))
    model = SentimentModel(FusionConfig("bert", WIDTH), len(SENTIMENTS), encoder, None).eval()
    bundle, notes = write_bundle(folder, model, ScalePosts(folder, tuple(texts[:SCALE_TEXTS]), ()))
    return list_text_runs(bundle, network, texts[:posts]), notes


def prepare_run(folder: Path, posts: int, path: Path) -> tuple[dict[str, Work], tuple[str, ...]]:
    """Write a bundle of a run's text encoder alone, and return the same."""
    run = open_run(path)
    model = SentimentModel(FusionConfig("bert", run.fusion.width), len(run.labels), run.build_model("best").text, None)
    (folder / "bundle").mkdir()
    (folder / "bundle/tokenizer.json").write_bytes(run.tokenizer.read_bytes())
    bundle, notes = write_bundle(folder, model.eval(), load_scale_posts(run))
    held_out = read_posts(path / "held-out.parquet", None).texts
    texts = [text for text in normalize_texts(pl.Series(held_out), run.normalization) if text][:posts]
    if len(texts) < posts:
        raise SystemExit(f"{path} held out {len(texts)} texts: ask for fewer --posts.")
    assert model.text is not None
    return list_text_runs(bundle, model.text.backbone, texts), notes


def list_text_runs(bundle: Bundle, network: Any, texts: Sequence[str]) -> dict[str, Work]:
    """Return a round of each kind over texts, in the order of their lengths."""
    assert bundle.text is not None
    tokenizer = bundle.text.load_tokenizer()
    rows = sorted(tokenizer.encode(texts), key=len)

    def run_eager() -> None:
        with torch.inference_mode():
            for start in range(0, len(rows), TEXT_BATCH):
                ids, mask = map(torch.from_numpy, pad_tokens(rows[start : start + TEXT_BATCH], tokenizer.pad_id))
                network(input_ids=ids, attention_mask=mask)

    def run_engine(engine: Engine, batch: slice) -> None:
        engine.encode_texts(rows[batch])

    return list_runs(bundle, "text", run_eager, run_engine, len(rows))


def write_bundle(folder: Path, model: SentimentModel, posts: ScalePosts) -> tuple[Bundle, tuple[str, ...]]:
    """Write a bundle of fp32 and int8 graphs, as `sentimm export` does, and return it with the notes on it."""
    text, image = (None if encoder is None else encoder.config for encoder in (model.text, model.image))
    sources, target = folder / "sources", folder / "bundle"
    for path in (sources, target):
        path.mkdir(exist_ok=True)
    run = Run(target, SENTIMENTS, model.config, text, image, normalization="none", options={}, provenance={})
    with quiet_exporters():
        written = write_graphs(model, sources)
        graphs = write_precisions(target, written, run, ("fp32", "int8"), posts, lambda step: None, shared=False)
    write_manifest(target, describe_run(run, model, "encoders", "best", graphs.files))
    return load_bundle(target), graphs.notes


def list_runs(
    bundle: Bundle, modality: str, run_eager: Work, run_engine: Callable[[Engine, slice], None], posts: int
) -> dict[str, Work]:
    """Return a round of each kind: the engine's batches are spread over as many threads as it wants."""
    runs: dict[str, Work] = {"PyTorch eager": run_eager}
    for precision in ("fp32", "int8"):
        engine = Engine(bundle, device="cpu", precision=precision, threads=torch.get_num_threads())
        batch = engine.batch_sizes[modality]
        batches = [slice(start, start + batch) for start in range(0, posts, batch)]

        def run(engine: Engine = engine, batches: list[slice] = batches) -> None:
            with ThreadPoolExecutor(engine.workers) as pool:
                list(pool.map(lambda each: run_engine(engine, each), batches))

        runs[precision] = run
    return runs


def measure_rounds(runs: dict[str, Work], rounds: int) -> dict[str, float]:
    """Return the median seconds of each of `runs`, by turns; the round before the first is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(each[1:]) for name, each in seconds.items()}


def write_tokenizer(folder: Path) -> Any:
    """Write a tokenizer of whole words, which RoBERTa's and XLM-R's special tokens surround, and return it."""
    from transformers import PreTrainedTokenizerFast

    vocabulary = {piece: row for row, piece in enumerate([*SPECIAL, *WORDS])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    written: Any = PreTrainedTokenizerFast(tokenizer_object=tokenizer, cls_token="<s>", sep_token="</s>", **names)
    written.save_pretrained(folder)
    return written


def make_texts(count: int) -> list[str]:
    """Make texts of 4 to 48 words, as long as tweets are."""
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, rng.integers(4, 49))) for _ in range(count)]


def read_cpu() -> str:
    """Return the kind of CPU, and which of the instructions that int8 gains from it has."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    found = [flag for flag in ("avx512_vnni", "avx_vnni", "amx_int8") if flag in flags]
    return f"{name} ({', '.join(found) or 'no VNNI'})"


if __name__ == "__main__":
    main()
