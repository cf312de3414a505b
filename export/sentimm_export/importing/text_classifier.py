"""A published classifier of texts: loaded without running code of its own, and ready for the export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sentimm.errors import InputError, UsageError
from sentimm.models.encoder_output import EncoderOutput
from sentimm.models.text_encoder import check_vocabulary, find_longest
from sentimm_export.importing.class_scores import ClassScores
from sentimm_export.importing.source import explain_failures, load_config, read_licence

_MOST_TOKENS = 8_192  # of a bundle
_UNSAID = 1_000_000  # tokenizers without a maximum say 1e30
_CARDIFF = "cardiffnlp/"
_KIND = "text classifier"


@dataclass(frozen=True)
class TextSource:
    """A loaded classifier of texts.

    Attributes:
        name: as it was given.
        network: of transformers, returning `logits`.
        labels: its own, in order.
        tokenizer: tokenizer.json.
        max_tokens: of its longest text.
        pad_id: the id of padding.
        normalization: as it was trained, as far as its name says.
        licence: as the source states it.
        notes: what is otherwise than in transformers.
    """

    name: str
    network: nn.Module
    labels: tuple[str, ...]
    tokenizer: bytes
    max_tokens: int
    pad_id: int
    normalization: str
    licence: str | None
    notes: tuple[str, ...]


class TextClassifier(nn.Module):
    """In the place of a text encoder: int64 (batch, tokens) ids and mask to log probabilities of labels, as F."""

    def __init__(self, network: nn.Module, groups: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.network = network
        self.scores = ClassScores(groups)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> EncoderOutput:
        """Classify texts: F is float (batch, labels)."""
        found = self.network(input_ids=input_ids, attention_mask=attention_mask)
        return EncoderOutput(self.scores(found.logits))

    def encode_nothing(self) -> EncoderOutput:
        """Return the output for no texts."""
        return EncoderOutput(torch.zeros(0, self.scores.labels))


def load_text_classifier(name: str, max_tokens: int | None) -> TextSource:
    """Load a sequence classifier of transformers, by its name on the hub or from its folder.

    Args:
        name: where it is.
        max_tokens: of the longest text; None: as many as it reads.

    Raises:
        InputError: there is none, it is no classifier with one label for a text, or it has no fast tokenizer.
        UsageError: it reads fewer than `max_tokens` tokens.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    config = load_config(name, _KIND)
    check_classifier(name, config, "ForSequenceClassification", _KIND)
    network = load_network(AutoModelForSequenceClassification, name, config, _KIND)
    with explain_failures(name, _KIND):
        tokenizer: Any = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        check_vocabulary(tokenizer.backend_tokenizer.get_vocab(), config.vocab_size)
        content = tokenizer.backend_tokenizer.to_str().encode()
    longest = _find_longest(network, tokenizer)
    if max_tokens is not None and max_tokens > longest:
        raise UsageError(f"--max-tokens {max_tokens} is more than the {longest} that the {_KIND} {name!r} reads.")
    ids = [each.pad_token_id for each in (config, tokenizer) if getattr(each, "pad_token_id", None) is not None]
    of_cardiff = any(str(each).startswith(_CARDIFF) for each in (name, getattr(config, "_name_or_path", "")))
    notes: tuple[str, ...] = ()
    if getattr(tokenizer, "truncation_side", "right") == "left":
        notes = ("its own tokenizer keeps the end of a longer text, and here its beginning is kept",)
    return TextSource(
        name=name,
        network=network,
        labels=list_labels(config),
        tokenizer=content,
        max_tokens=max_tokens or longest,
        pad_id=int(ids[0]) if ids else 0,
        normalization="cardiff" if of_cardiff else "none",
        licence=read_licence(name, config),
        notes=notes,
    )


def check_classifier(name: str, config: Any, ending: str, what: str) -> None:
    """Check that a model gives each text or image one of several labels.

    Raises:
        InputError: it does not.
    """
    classes = list(getattr(config, "architectures", None) or ())
    if classes and not any(each.endswith(ending) for each in classes) and config.model_type != "timm_wrapper":
        raise InputError(f"{name!r} is a {', '.join(classes)}, and no {what}: name one.")
    if getattr(config, "is_encoder_decoder", False):
        raise InputError(f"The {what} {name!r} is a {config.model_type}, which also writes: use one of BERT's family.")
    if config.num_labels < 2:
        raise InputError(f"The {what} {name!r} gives a number instead of one of several labels: it can't be imported.")
    applied = getattr(config, "function_to_apply", None)
    if config.problem_type == "multi_label_classification" or applied not in (None, "softmax"):
        raise InputError(
            f"The {what} {name!r} gives any number of its labels at once, and a post has one here: it can't be "
            "imported."
        )


def load_network(kind: Any, name: str, config: Any, what: str) -> nn.Module:
    """Load a classifier by a class of transformers, in fp32.

    Raises:
        InputError: it can't be loaded, or its classifying layer is missing.
    """
    with explain_failures(name, what):
        network, found = kind.from_pretrained(
            name,
            config=config,
            attn_implementation="eager",
            dtype=torch.float32,
            trust_remote_code=False,
            use_safetensors=True,
            weights_only=True,
            output_loading_info=True,
        )
    if missing := sorted(found["missing_keys"]):
        raise InputError(
            f"The weights of {name!r} are not those of a whole {what}: {len(missing)} of its tensors are missing, such "
            f"as {missing[0]!r}. Name the folder of a trained classifier."
        )
    loaded: nn.Module = network.eval()
    return loaded


def list_labels(config: Any) -> tuple[str, ...]:
    """List a classifier's own labels in their order."""
    return tuple(str(config.id2label[number]) for number in sorted(config.id2label))


def _find_longest(network: nn.Module, tokenizer: Any) -> int:
    own: Any = network
    backbone = getattr(network, str(own.base_model_prefix), network)
    positions = find_longest(backbone)
    said = int(tokenizer.model_max_length) if tokenizer.model_max_length < _UNSAID else _MOST_TOKENS
    return min(said, _MOST_TOKENS if positions is None else positions, _MOST_TOKENS)
