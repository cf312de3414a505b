"""Tiny text encoders of every family, with random weights, as `save_pretrained` writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests.support.tiny.models import make_text_encoder

SHAPE = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
_RELATIVE = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]}
_TOKENS = {"pad_token_id": 0, "bos_token_id": 2, "cls_token_id": 2, "eos_token_id": 3, "sep_token_id": 3}
# Each: fields of its configuration, and how many tokens it reads.
FAMILIES: dict[str, tuple[dict[str, Any], int]] = {
    "Bert": ({}, 50),
    "Roberta": ({"pad_token_id": 1}, 48),  # its positions begin behind the padding's number
    "XLMRoberta": ({"pad_token_id": 1}, 48),
    "MPNet": ({"pad_token_id": 1}, 48),
    "DistilBert": ({"dim": 24, "n_layers": 2, "n_heads": 2, "hidden_dim": 48}, 50),
    "Electra": ({"embedding_size": 16}, 50),
    "Albert": ({"embedding_size": 16}, 50),
    "Deberta": ({**_RELATIVE, "max_relative_positions": 32}, 50),
    "DebertaV2": ({**_RELATIVE, "position_buckets": 16, "norm_rel_ebd": "layer_norm", "share_att_key": True}, 50),
    "ModernBert": ({"global_attn_every_n_layers": 2, "local_attention": 8, **_TOKENS}, 50),
}


def make_family(folder: Path, family: str) -> Path:
    """Write a folder of an encoder of a family, with the tokenizer of the tiny BERT."""
    import transformers

    fields, _ = FAMILIES[family]
    shape = {} if family == "DistilBert" else SHAPE
    config = getattr(transformers, f"{family}Config")(vocab_size=60, max_position_embeddings=50, **shape, **fields)
    torch.manual_seed(0)
    getattr(transformers, f"{family}Model")(config).save_pretrained(make_text_encoder(folder))
    return folder
