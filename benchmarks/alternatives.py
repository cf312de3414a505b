"""What people would write instead of `sentimm score`, each in a process of its own.

python benchmarks/alternatives.py plain TABLE --images FOLDER --run RUN       PyTorch eager, batches of 32, a DataLoader
python benchmarks/alternatives.py careful TABLE --images FOLDER --run RUN     the fastest PyTorch, sorted by length
python benchmarks/alternatives.py onnx TABLE --images FOLDER --bundle FP32    ONNX Runtime, fp32, in a for-loop
python benchmarks/alternatives.py pipeline TABLE --run RUN                    transformers' pipeline, text alone
python benchmarks/alternatives.py paper TABLE --images FOLDER --run RUN       BERT-base, ResNet-50, OTE, random weights

Prints one JSON object. Its seconds are those of the posts: importing, loading, compiling and choosing what is fastest
are left out, which favours these scripts. TABLE has the columns `text` and `image`; `-o` writes the probabilities.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import Compose, PILToTensor, Resize
from transformers import PreTrainedTokenizerFast

from sentimm.bundle.bundle import load_bundle
from sentimm.models.fusions import FusionConfig
from sentimm.models.image_encoder import ImageEncoder, ImageEncoderConfig
from sentimm.models.sentiment_model import SentimentModel
from sentimm.models.text_encoder import TextEncoder, TextEncoderConfig
from sentimm.text import normalize_texts
from sentimm.training.run_folder import open_run

BATCH = 32
WORKERS = 2
TRIAL_BATCHES = 4
TRIAL_ROUNDS = 3
LABELS = 3

Floats = np.ndarray[Any, np.dtype[np.float32]]


class Photos(Dataset[torch.Tensor]):
    """Image files as uint8 (3, size, size)."""

    def __init__(self, paths: Sequence[Path], size: int) -> None:
        self.paths = paths
        self.prepare = Compose([Resize((size, size)), PILToTensor()])

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        pixels: torch.Tensor = self.prepare(Image.open(self.paths[index]).convert("RGB"))
        return pixels


class Corpus:
    """The posts of a table: normalised texts, and image files."""

    def __init__(self, options: argparse.Namespace) -> None:
        with options.table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))[: options.posts]
        self.texts = normalize_texts(pl.Series([row["text"] for row in rows], dtype=pl.String)).to_list()
        self.images = [options.images / row["image"] for row in rows] if options.images else []

    def __len__(self) -> int:
        return len(self.texts)


def load_tokenizer(run: Path) -> PreTrainedTokenizerFast:
    """Load a run's tokenizer as transformers has it."""
    names = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
    return PreTrainedTokenizerFast(tokenizer_file=str(run / "tokenizer.json"), **names)


def load_model(run: Path) -> SentimentModel:
    """Load a run's model."""
    return use_fused_attention(open_run(run).build_model("last").eval())


def use_fused_attention(model: SentimentModel) -> SentimentModel:
    """Take the attention that transformers takes by default; sentimm builds its encoders with another, for export."""
    assert model.text is not None
    model.text.backbone.set_attn_implementation("sdpa")  # type: ignore[operator]
    return model


def tokenize(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], longest: int) -> Any:
    """Tokenise and pad a batch."""
    return tokenizer(list(texts), padding=True, truncation=True, max_length=longest, return_tensors="pt")


def score_plainly(corpus: Corpus, model: SentimentModel, tokenizer: PreTrainedTokenizerFast) -> tuple[Floats, float]:
    """Score in the order of the table, a batch of texts and images at a time."""
    assert model.text is not None and model.image is not None
    photos = DataLoader(Photos(corpus.images, model.image.config.size), batch_size=BATCH, num_workers=WORKERS)
    began, parts = time.perf_counter(), []
    with torch.inference_mode():
        for number, pixels in enumerate(photos):
            texts = corpus.texts[number * BATCH : (number + 1) * BATCH]
            tokens = tokenize(tokenizer, texts, model.text.config.max_tokens)
            index = torch.arange(len(texts))
            scores = model.fuse(
                model.text(tokens["input_ids"], tokens["attention_mask"]), model.image(pixels), index, index
            )
            parts.append(scores.scores.softmax(dim=1).numpy())
    return np.concatenate(parts), time.perf_counter() - began


class Variant:
    """An encoder in a number format, compiled or not, with channels last or not."""

    def __init__(self, encoder: nn.Module, half: bool, compiled: bool, channels_last: bool, dynamic: bool) -> None:
        self.name = ", ".join(
            ["bf16" if half else "fp32"] + ["compiled"] * compiled + ["channels last"] * channels_last
        )
        self._half = half
        self._encoder = encoder.to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
        self._run = torch.compile(self._encoder, dynamic=dynamic) if compiled else self._encoder

    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Encode a batch."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self._half):
            features: torch.Tensor = self._run(*inputs).features
            return features.float()


def choose_fastest(build: Callable[[], nn.Module], batches: Sequence[tuple[torch.Tensor, ...]], image: bool) -> Variant:
    """Time every variant on some batches; the fastest of some rounds counts, the first of which compiles."""
    times: dict[str, tuple[float, Variant]] = {}
    facts = Path("/proc/cpuinfo")
    # Where the processor has no bf16, it is emulated: one batch takes minutes.
    has_bf16 = not facts.exists() or bool({"avx512_bf16", "amx_bf16"} & set(facts.read_text().split()))
    for half in (False, True) if has_bf16 else (False,):
        for compiled in (False, True):
            for channels_last in (False, True) if image else (False,):
                variant = Variant(build(), half, compiled, channels_last, dynamic=not image)
                rounds = []
                for _ in range(TRIAL_ROUNDS):
                    began = time.perf_counter()
                    for batch in batches:
                        variant(*batch)
                    rounds.append(time.perf_counter() - began)
                times[variant.name] = (min(rounds), variant)
    return min(times.values(), key=lambda found: found[0])[1]


def score_carefully(corpus: Corpus, run: Path, tokenizer: PreTrainedTokenizerFast) -> tuple[Floats, float, str]:
    """Score texts sorted by length, then images, then the pairs, each encoder in its fastest variant."""
    model = load_model(run)
    assert model.text is not None and model.image is not None
    longest, size = model.text.config.max_tokens, model.image.config.size
    with torch.inference_mode():
        step = max(1, len(corpus) // BATCH)
        samples = [tokenize(tokenizer, corpus.texts[n::step][:BATCH], longest) for n in range(TRIAL_BATCHES)]
        text = choose_fastest(
            lambda: _require(load_model(run).text),
            [(tokens["input_ids"], tokens["attention_mask"]) for tokens in samples],
            image=False,
        )
        photos = Photos((corpus.images * BATCH)[: TRIAL_BATCHES * BATCH], size)
        image = choose_fastest(
            lambda: _require(load_model(run).image), [(batch,) for batch in DataLoader(photos, batch_size=BATCH)], True
        )
        began = time.perf_counter()
        tokens = tokenizer(corpus.texts, truncation=True, max_length=longest)["input_ids"]
        order = sorted(range(len(corpus)), key=lambda place: len(tokens[place]))
        features = torch.zeros(len(corpus), model.config.width)
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            padded = tokenizer.pad({"input_ids": [tokens[place] for place in chosen]}, return_tensors="pt")
            features[chosen] = text(padded["input_ids"], padded["attention_mask"])
        loader = DataLoader(Photos(corpus.images, size), batch_size=BATCH, num_workers=WORKERS)
        # Full batches only: another shape would be compiled anew.
        full = (nn.functional.pad(pixels, (0, 0, 0, 0, 0, 0, 0, BATCH - len(pixels))) for pixels in loader)
        seen = torch.cat([image(pixels) for pixels in full])[: len(corpus)]
        index = torch.arange(len(corpus))
        encoded = partial(type(model.text.encode_nothing()))
        scores = model.fuse(encoded(features), encoded(seen), index, index).scores.softmax(dim=1).numpy()
    return scores, time.perf_counter() - began, f"text {text.name}; image {image.name}"


def _require(encoder: TextEncoder | ImageEncoder | None) -> nn.Module:
    assert encoder is not None
    return encoder


def score_with_onnx(corpus: Corpus, bundle_path: Path) -> tuple[Floats, float]:
    """Score with ONNX Runtime as it comes, a batch of posts at a time."""
    import onnxruntime as ort
    from tokenizers import Tokenizer

    bundle = load_bundle(bundle_path)
    assert bundle.text is not None and bundle.image is not None
    sessions = {
        part: ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        for part, path in bundle.graphs["fp32"].items()
    }
    tokenizer = Tokenizer.from_file(str(bundle.text.tokenizer))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(bundle.text.max_tokens)
    photos = Photos(corpus.images, bundle.image.size)
    began, parts = time.perf_counter(), []
    for start in range(0, len(corpus), BATCH):
        encodings = tokenizer.encode_batch(corpus.texts[start : start + BATCH])
        ids = np.array([encoding.ids for encoding in encodings], np.int64)
        mask = np.array([encoding.attention_mask for encoding in encodings], np.int64)
        pixels = np.stack([photos[place].numpy() for place in range(start, start + len(ids))])
        index = np.arange(len(ids))
        (text,) = sessions["text"].run(["text_features"], {"input_ids": ids, "attention_mask": mask})
        (image,) = sessions["image"].run(["image_features"], {"pixels": pixels})
        feed = {"text_features": text, "image_features": image, "text_index": index, "image_index": index}
        (scores,) = sessions["fusion"].run(["scores"], feed)
        parts.append(torch.from_numpy(scores).softmax(dim=1).numpy())
    return np.concatenate(parts), time.perf_counter() - began


def score_with_pipeline(corpus: Corpus, run: Path, tokenizer: PreTrainedTokenizerFast) -> tuple[Floats, float]:
    """Score texts with transformers' pipeline."""
    from transformers import BertConfig, BertPreTrainedModel, pipeline
    from transformers.modeling_outputs import SequenceClassifierOutput

    model = load_model(run)
    assert model.text is not None and model.text_head is not None

    class BertForSequenceClassification(BertPreTrainedModel):  # type: ignore[misc]
        """The text encoder and its head, as the pipeline takes them."""

        def __init__(self, config: BertConfig) -> None:
            super().__init__(config)
            self.encoder, self.head = model.text, model.text_head

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **_: Any) -> SequenceClassifierOutput:
            return SequenceClassifierOutput(logits=self.head(self.encoder(input_ids, attention_mask).features))

    config = BertConfig(**model.text.config.backbone, id2label={n: str(n) for n in range(LABELS)})
    tokenizer.model_max_length = model.text.config.max_tokens
    classify = pipeline(
        "text-classification",
        model=BertForSequenceClassification(config).eval(),
        tokenizer=tokenizer,
        batch_size=BATCH,
        top_k=None,
    )
    began = time.perf_counter()
    answers = classify(corpus.texts, truncation=True)
    seconds = time.perf_counter() - began
    scores = [[found["score"] for found in sorted(answer, key=lambda found: found["label"])] for answer in answers]
    return np.array(scores, np.float32), seconds


def build_paper() -> SentimentModel:
    """Build the paper's system with random weights: BERT-base, ResNet-50, OTE."""
    from transformers import BertConfig

    bert = BertConfig()
    text = TextEncoderConfig("bert-base", bert.to_dict(), bert.hidden_size, "cls", 128, 0.1)
    image = ImageEncoderConfig(("resnet50",), bert.hidden_size, 224, 0.1)
    fusion = FusionConfig("ote", bert.hidden_size)
    return use_fused_attention(SentimentModel(fusion, LABELS, TextEncoder(text), ImageEncoder(image)).eval())


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
