"""Try an imported classifier as its users would: a RoBERTa of base size against transformers' pipeline.

    python benchmarks/imported.py [--posts 1000]

Writes a classifier of 12 layers x 768 with random weights (as `save_pretrained` does), imports it with `sentimm
import`, labels posts with `sentimm score` in fp32 and int8 and with the pipeline, and prints the memory of the
import, the seconds of each other program by the clock, its start included, and how many labels are the pipeline's.
Answers of random weights hardly differ from post to post: the last layer is scaled and shifted until they do.
`--layers 1 --width 96` is for trying it.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl
import torch
from encoders import SPECIAL, WORDS, make_texts, read_cpu, write_tokenizer

from sentimm.options import SENTIMENTS

SPREAD = 1.5  # standard deviation of the scores of a label
SAMPLE = 128  # posts that the last layer is fitted to
BATCHES = (1, 32)  # of the pipeline; its documentation advises against batches on CPUs
PIPELINE = """
import sys
import polars as pl
from transformers import pipeline
folder, posts, output, batch = sys.argv[1:]
classify = pipeline("text-classification", model=folder, device="cpu")
texts = pl.read_csv(posts)["text"].to_list()
answers = classify(texts, batch_size=int(batch), truncation=True, max_length=512)
pl.DataFrame({"sentiment": [answer["label"] for answer in answers]}).write_parquet(output)
"""


def main() -> None:
    """Write the classifier and the posts, run both programs, print what was found."""
    parser = argparse.ArgumentParser(description="Compare an imported classifier with transformers' pipeline.")
    parser.add_argument("--posts", type=int, default=1000)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    options = parser.parse_args()
    print(f"{read_cpu()}, {len(os.sched_getaffinity(0))} cores; {options.posts} posts", flush=True)
    texts = make_texts(options.posts)
    with tempfile.TemporaryDirectory() as work:
        published, bundle, table = (Path(work) / name for name in ("published", "bundle", "posts.csv"))
        pl.DataFrame({"text": texts}).write_csv(table)
        write_classifier(published, options.layers, options.width, texts[:SAMPLE])
        command = ["import", published, "-o", bundle, "--precision", "fp32,int8", "--min-agreement", "0.9"]
        subprocess.run([sys.executable, "-m", "sentimm", *command], check=True)
        peak_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        print(f"memory of sentimm import at its peak: {peak_kib / 2**20:.1f} GiB", flush=True)
        found = {}
        for batch in BATCHES:
            output = Path(work) / f"pipeline-{batch}.parquet"
            found[f"transformers' pipeline, batches of {batch}"] = time_program(
                ["-c", PIPELINE, published, table, output, batch], output
            )
        for precision in ("fp32", "int8"):
            output = Path(work) / f"{precision}.parquet"
            score = ["score", table, "--model", bundle, "--precision", precision]
            score += ["--device", "cpu", "-o", output, "--quiet"]
            found[f"sentimm score, {precision}"] = time_program(["-m", "sentimm", *score], output)
    print_table(found)


def print_table(found: dict[str, tuple[pl.Series, float]]) -> None:
    """Print seconds and labels of each program, against the faster pipeline."""
    pipelines = list(found.values())[: len(BATCHES)]
    expected, fastest_s = pipelines[0][0], min(seconds for _, seconds in pipelines)
    print(f"labels: {', '.join(f'{label} {count}' for label, count in expected.value_counts(sort=True).iter_rows())}")
    print("| program | seconds | times as fast as the faster pipeline | same label |\n|---|---|---|---|")
    for name, (labels, seconds) in found.items():
        print(f"| {name} | {seconds:.1f} | {fastest_s / seconds:.2f} | {(labels == expected).mean():.1%} |")


def write_classifier(folder: Path, layers: int, width: int, texts: list[str]) -> None:
    """Write a RoBERTa with random weights, whose answers to `texts` differ, and its tokenizer."""
    from transformers import RobertaConfig, RobertaForSequenceClassification

    tokenizer = write_tokenizer(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": width // 64 or 1}
    config = RobertaConfig(
        vocab_size=len(SPECIAL) + len(WORDS),
        intermediate_size=4 * width,
        max_position_embeddings=514,
        type_vocab_size=1,
        id2label=dict(enumerate(SENTIMENTS)),
        **shape,
    )
    model: Any = RobertaForSequenceClassification(config).eval()
    tokens = tokenizer(texts, padding=True, return_tensors="pt", return_token_type_ids=False)
    last = model.classifier.out_proj
    with torch.no_grad():
        last.weight.mul_(SPREAD / model(**tokens).logits.std(dim=0).mean())
        last.bias.sub_(model(**tokens).logits.mean(dim=0))
    model.save_pretrained(folder)


def time_program(arguments: list[Any], output: Path) -> tuple[pl.Series, float]:
    """Run Python with these arguments; return the labels that it wrote and its seconds."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    return pl.read_parquet(output)["sentiment"], seconds


if __name__ == "__main__":
    main()
