"""Measure what people would write instead of `sentimm score`, each in a process of its own.

python benchmarks/alternatives plain TABLE --images FOLDER --run RUN       PyTorch eager, batches of 32, a DataLoader
python benchmarks/alternatives careful TABLE --images FOLDER --run RUN     the fastest PyTorch, sorted by length
python benchmarks/alternatives onnx TABLE --images FOLDER --bundle FP32    ONNX Runtime, fp32, in a for-loop
python benchmarks/alternatives pipeline TABLE --run RUN                    transformers' pipeline, text alone
python benchmarks/alternatives paper TABLE --images FOLDER --run RUN       BERT-base, ResNet-50, OTE, random weights

It prints one JSON object. Its seconds are those of the posts: they leave out importing, loading, compiling and choosing
what is fastest, which favours these scripts. TABLE has the columns `text` and `image`; `-o` writes the probabilities.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import polars as pl
from careful import score_carefully
from corpus import LABELS, Corpus
from models import build_paper, load_model, load_tokenizer
from onnx_loop import score_with_onnx
from plain import score_plainly
from text_pipeline import score_with_pipeline


def main() -> None:
    """Score a table in one of the ways."""
    parser = argparse.ArgumentParser(description="What people would write instead of `sentimm score`.")
    parser.add_argument("way", choices=("plain", "careful", "onnx", "pipeline", "paper"))
    parser.add_argument("table", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--posts", type=int)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    corpus, detail = Corpus(options), ""
    if options.way == "onnx":
        scores, seconds = score_with_onnx(corpus, options.bundle)
    else:
        tokenizer = load_tokenizer(options.run)
        if options.way == "plain":
            scores, seconds = score_plainly(corpus, load_model(options.run), tokenizer)
        elif options.way == "careful":
            scores, seconds, detail = score_carefully(corpus, options.run, tokenizer)
        elif options.way == "pipeline":
            scores, seconds = score_with_pipeline(corpus, options.run, tokenizer)
        else:
            scores, seconds = score_plainly(corpus, build_paper(), tokenizer)
    if options.output:
        pl.DataFrame(scores, schema=[f"p_{number}" for number in range(LABELS)], orient="row").write_csv(options.output)
    found = {"way": options.way, "posts": len(corpus), "seconds": seconds, "posts_per_second": len(corpus) / seconds}
    print(json.dumps(found | ({"chosen": detail} if detail else {})))


if __name__ == "__main__":
    main()
