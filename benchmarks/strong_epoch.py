"""Measure the first epoch of export/recipes/strong.toml, without a network.

    python benchmarks/strong_epoch.py --work WORK [--data DATA] [--posts 2000]

The networks are those of the recipe in class and size, with random weights, so that only the speed means something.
Without DATA (the folder that the recipe reads), posts are generated.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import timm
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import RobertaProcessing
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel

from sentimm.bench.generated_corpus import generate_corpus
from sentimm.options import SENTIMENTS

RECIPES = Path(__file__).parents[1] / "export/recipes"
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
NETWORK = "vit_base_patch16_siglip_224"


def main() -> None:
    """Make stand-ins, run the two trainings of the recipe for one epoch, and print posts per second of each."""
    parser = argparse.ArgumentParser(description="Train the first epoch of the strong recipe on random weights.")
    parser.add_argument("--work", type=Path, required=True, help="a folder for weights and runs")
    parser.add_argument("--data", type=Path, help="the folder that the recipe reads; default: generated posts")
    parser.add_argument("--posts", type=int, default=2000, help="how many posts to generate")
    options = parser.parse_args()
    data = options.data or make_data(options.work / "data", options.posts)
    texts = pl.read_csv(data / "semeval_tweets/train.csv", columns=["text"])["text"]
    values = {
        "text_encoder": make_text_encoder(options.work / "roberta", texts),
        "image_encoder": make_image_encoder(options.work / "siglip.safetensors"),
        "epochs": 1,
    }
    changes = [part for name, value in values.items() for part in ("--set", f"{name}={value}")]
    recipe = [sys.executable, str(RECIPES / "run.py"), str(RECIPES / "strong.toml"), "--steps", "2"]
    subprocess.run([*recipe, "--data", data, "--work", options.work, *changes], check=True)
    for run in ("strong-tweets", "strong"):
        epoch = json.loads((options.work / run / "metrics.ndjson").read_text().splitlines()[0])
        posts = count_posts(options.work / run)
        print(f"{run}: {posts:.0f} posts in {epoch['seconds']:.0f} s, {posts / epoch['seconds']:.1f} posts/s")


def make_data(folder: Path, posts: int) -> Path:
    """Write generated posts, with labels in turn, where the recipe looks for its tables."""
    mvsa, tweets = folder / "mvsa_single", folder / "semeval_tweets"
    if not mvsa.is_dir():
        mvsa.mkdir(parents=True)
        tweets.mkdir()
        generate_corpus(mvsa / "train.csv", mvsa / "images", posts)
        label = pl.Series([SENTIMENTS[number % len(SENTIMENTS)] for number in range(posts)])
        table = pl.read_csv(mvsa / "train.csv").with_columns(label=label, text_label=label, image_label=label)
        table.write_csv(mvsa / "train.csv")
        table.select("text", "label").write_csv(tweets / "train.csv")
    return folder


def make_text_encoder(folder: Path, texts: pl.Series) -> Path:
    """Write a RoBERTa of base size, with a tokenizer of these texts."""
    tokenizer = Tokenizer(BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = ByteLevel()
    tokenizer.train_from_iterator(texts.drop_nulls(), BpeTrainer(vocab_size=50_000, special_tokens=list(SPECIAL)))
    tokenizer.post_processor = RobertaProcessing(("</s>", 2), ("<s>", 0))
    names = dict(zip(("bos_token", "pad_token", "eos_token", "unk_token", "mask_token"), SPECIAL, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    torch.manual_seed(0)
    RobertaModel(RobertaConfig(vocab_size=50_265, max_position_embeddings=514)).save_pretrained(folder)
    return folder


def make_image_encoder(file: Path) -> str:
    """Write a network of the recipe's class and size: the value for --image-encoder."""
    torch.manual_seed(0)
    save_file(timm.create_model(NETWORK).state_dict(), file)
    return f"timm:{NETWORK}={file}"


def count_posts(run: Path) -> float:
    """Return how many posts an epoch of a run sees."""
    config = json.loads((run / "config.json").read_text())
    tables = config["provenance"]["tables"].values()
    shares = config["options"]["table_weights"] or [1] * len(tables)
    return sum(share * posts for share, posts in zip(shares, tables, strict=True))


if __name__ == "__main__":
    main()
