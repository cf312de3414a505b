"""The text encoder: a pretrained transformer of BERT's family, pooled and projected to the fusion's width."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sentimm.errors import InputError, UsageError
from sentimm.models.encoder_output import EncoderOutput, Projection

# What configurations of different families call their shares of dropout.
_DROPOUTS = (
    *("hidden_dropout_prob", "attention_probs_dropout_prob"),
    *("dropout", "attention_dropout", "mlp_dropout", "embedding_dropout"),
)

_LEAST_TOKENS = 16  # of a vocabulary with more than special tokens


@dataclass(frozen=True)
class TextEncoderConfig:
    """All that is needed to rebuild a text encoder without its pretrained weights.

    `backbone` is the transformers configuration as a dict, `width` that of F, `dropout` the one before the projection;
    `sequence`: whether the encoder returns H too.
    """

    name: str
    backbone: dict[str, Any]
    width: int
    pooling: Literal["mean", "cls"]
    max_tokens: int
    dropout: float
    sequence: bool = False


class TextEncoder(nn.Module):
    """A BERT-family backbone from transformers: H is its last hidden states projected, F their pool projected."""

    def __init__(self, config: TextEncoderConfig, backbone: nn.Module | None = None) -> None:
        super().__init__()
        self.config = config
        self.backbone = _without_pooler(backbone or _empty_text_backbone(config.backbone))
        self.hidden_size = int(config.backbone["hidden_size"])
        self.project = Projection(self.hidden_size, config.width, config.dropout)

    def extract(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Run the backbone over int64 (batch, tokens) ids and mask.

        Returns:
            float (batch, hidden size), pooled, padding ignored; for an encoder with `sequence` the last hidden states,
            (batch, tokens, hidden size).
        """
        hidden: Tensor = self.backbone(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return hidden if self.config.sequence else self._pool(hidden, attention_mask)

    def finish(self, extracted: Tensor, attention_mask: Tensor | None) -> EncoderOutput:
        """Pool and project the output of `extract`; the mask is needed with `sequence`."""
        if not self.config.sequence:
            return EncoderOutput(self.project(extracted))
        if attention_mask is None:
            raise ValueError("hidden states need their attention_mask")
        return EncoderOutput(
            self.project(self._pool(extracted, attention_mask)), self.project(extracted), attention_mask
        )

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> EncoderOutput:
        """Encode int64 (batch, tokens) ids and mask."""
        return self.finish(self.extract(input_ids, attention_mask), attention_mask)

    def encode_nothing(self) -> EncoderOutput:
        """Return the output for no texts: zero rows, of one token where there is a sequence."""
        shape = (0, 1, self.hidden_size) if self.config.sequence else (0, self.hidden_size)
        weight = next(self.project.parameters())
        return self.finish(weight.new_zeros(shape), weight.new_zeros((0, 1), dtype=torch.int64))

    def _pool(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        if self.config.pooling == "cls":
            return hidden[:, 0]
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)


def load_text_encoder(
    name: str,
    *,
    width: int,
    pooling: Literal["mean", "cls"],
    max_tokens: int,
    dropout: float,
    bert_dropout: float,
    sequence: bool = False,
) -> tuple[TextEncoder, bytes]:
    """Load a pretrained text encoder and its tokenizer.json (as bytes) by hub name or from a local folder.

    Raises:
        InputError: the hub or the folder holds no model with a fast tokenizer.
        UsageError: the model can't read `max_tokens` tokens.
    """
    from transformers.utils import logging as transformers_logging

    if looks_like_path(name) and not Path(name).is_dir():
        raise InputError(f"There is no folder {name!r}: name one with --text-encoder, or a model of the hub.")
    hub_logging: Any = transformers_logging
    hub_logging.disable_progress_bar()
    hub_logging.set_verbosity_error()  # it reports each pooler that a folder lacks, and none is used
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it warns of each of five failed requests
    try:
        config, backbone, tokenizer = _load_published(name, bert_dropout)
    except (OSError, ValueError, AttributeError, pickle.UnpicklingError) as error:
        where = "folder" if Path(name).is_dir() else "model hub"
        raise InputError(
            f"The text encoder {name!r} can't be loaded from the {where} ({first_line(error)}): use --text-encoder "
            "PATH, a folder with config.json, model.safetensors and tokenizer.json."
        ) from error
    plain = _plain_config(config)
    if getattr(config, "is_encoder_decoder", False) or not hasattr(config, "hidden_size"):
        raise InputError(f"The text encoder {name!r} is a {config.model_type}: use an encoder of BERT's family.")
    plain["hidden_size"] = config.hidden_size  # some configurations call it otherwise
    check_max_tokens(backbone, max_tokens, name)
    encoder_config = TextEncoderConfig(
        name=Path(name).name if Path(name).is_dir() else name,
        backbone=plain,
        width=width,
        pooling=pooling,
        max_tokens=max_tokens,
        dropout=dropout,
        sequence=sequence,
    )
    return TextEncoder(encoder_config, backbone), tokenizer.to_str().encode()


def _load_published(name: str, bert_dropout: float) -> tuple[Any, nn.Module, Any]:
    """Load a text encoder's configuration, network and tokenizer.

    Raises:
        OSError, ValueError, AttributeError, UnpicklingError: the hub or the folder has none that can be used.
    """
    from transformers import AutoConfig, AutoTokenizer
    from transformers import AutoModel as Models

    # No code of the folder or the hub is run, neither as modules nor in pickles.
    config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    if not hasattr(config, "vocab_size"):
        raise ValueError(f"it is a {config.model_type}, which reads no texts")
    for field in _DROPOUTS:
        if hasattr(config, field):
            setattr(config, field, bert_dropout)
    models: Any = Models
    backbone, loaded = models.from_pretrained(
        name,
        config=config,
        attn_implementation="eager",
        trust_remote_code=False,
        weights_only=True,
        output_loading_info=True,
    )
    # A pooler is left out, and folders of classifiers may have none.
    if missing := sorted(key for key in loaded["missing_keys"] if "pooler" not in key):
        raise ValueError(f"its weights lack {len(missing)} of the network's tensors, such as {missing[0]!r}")
    tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False).backend_tokenizer
    check_vocabulary(tokenizer.get_vocab(), config.vocab_size)
    return config, backbone, tokenizer


def check_max_tokens(backbone: nn.Module, max_tokens: int, name: str) -> None:
    """Check that a text backbone reads up to `max_tokens` tokens.

    Raises:
        UsageError: it does not.
    """
    longest = find_longest(backbone)
    if longest is not None and max_tokens > longest:
        raise UsageError(f"--max-tokens {max_tokens} is more than the {longest} that the text encoder {name!r} reads.")


def check_vocabulary(vocabulary: Mapping[str, int], size: int) -> None:
    """Check that a tokenizer's vocabulary, ids by token, is that of a network with embeddings for `size` tokens.

    transformers makes an empty tokenizer where a folder has none.

    Raises:
        ValueError: it is not.
    """
    if len(vocabulary) < _LEAST_TOKENS:
        raise ValueError("it has no vocabulary: tokenizer.json is missing, or empty")
    if max(vocabulary.values()) >= size:
        raise ValueError(f"its tokenizer has {max(vocabulary.values()) + 1} tokens, and the network {size}")


def find_longest(backbone: nn.Module) -> int | None:
    """Return how many tokens a text backbone reads at most; None where nothing says so."""
    positions = getattr(getattr(backbone, "embeddings", None), "position_embeddings", None)
    if isinstance(positions, nn.Embedding):
        # RoBERTa's positions begin behind the padding's number.
        return positions.num_embeddings - (0 if positions.padding_idx is None else positions.padding_idx + 1)
    longest = getattr(backbone.config, "max_position_embeddings", None)
    return None if longest is None else int(longest)


def set_bert_dropout(encoder: TextEncoder, share: float) -> dict[str, Any]:
    """Set the dropout inside a text encoder's backbone, and return the backbone's new configuration."""
    changed = dict.fromkeys((name for name in _DROPOUTS if name in encoder.config.backbone), share)
    for part in encoder.backbone.modules():
        if changed and isinstance(part, nn.Dropout):
            part.p = share
    return {**encoder.config.backbone, **changed}


def _empty_text_backbone(config: dict[str, Any]) -> nn.Module:
    from transformers import AutoConfig, AutoModel

    fields = {key: value for key, value in config.items() if key != "model_type"}
    full: Any = AutoConfig.for_model(config["model_type"], **fields)
    model_class: Any = AutoModel
    backbone: nn.Module = model_class.from_config(full, attn_implementation="eager")
    return backbone


def _without_pooler(backbone: nn.Module) -> nn.Module:
    if getattr(backbone, "pooler", None) is not None:
        setattr(backbone, "pooler", None)  # noqa: B010 - a transformers model, whose pooler is declared as a module
    return backbone


def _plain_config(config: Any) -> dict[str, Any]:
    """Return the fields that shape the model, without file paths, library versions and labels."""
    skipped = {"_name_or_path", "transformers_version", "architectures", "dtype", "torch_dtype", "id2label", "label2id"}
    return {key: value for key, value in config.to_dict().items() if key not in skipped and _is_plain(value)}


def _is_plain(value: object) -> bool:
    """Check whether a value is one of JSON's; None is what configurations have where nothing was said."""
    if isinstance(value, dict):
        return all(isinstance(key, str) for key in value) and all(map(_is_plain, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, bool | int | float | str)


def looks_like_path(name: str) -> bool:
    """Check whether a name is none of the hub's: these have one slash at most, and begin with no dot."""
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or name.endswith("/") or "\\" in name


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its kind where it has none."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
