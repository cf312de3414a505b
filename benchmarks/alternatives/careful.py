"""The fastest PyTorch: texts sorted by length, and each encoder in the number format and layout that is fastest."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from corpus import BATCH, Corpus, Floats, Photos
from models import load_model, tokenize
from plain import WORKERS
from torch import nn
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerFast

from sentimm.models.image_encoder import ImageEncoder
from sentimm.models.text_encoder import TextEncoder

TRIAL_BATCHES = 4
TRIAL_ROUNDS = 3


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
