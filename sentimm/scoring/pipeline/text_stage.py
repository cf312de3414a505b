"""Texts on their way to features: those that were not seen before are tokenised and encoded."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from sentimm.scoring.pipeline.feature_cache import FeatureCache, Slot, digest_content
from sentimm.scoring.pipeline.plan import Indices, slice_indices
from sentimm.scoring.pipeline.unit import Task, Unit

if TYPE_CHECKING:
    from sentimm.bundle.bundle import TextSpec
    from sentimm.runtime.engine import Engine


class TextStage:
    """Encodes the texts of units.

    Args:
        spec: how the model reads texts.
        engine: the model.
        attends: the fusion takes sequences too.
        reuse: encode no text again that an earlier unit has encoded.

    Raises:
        BundleError: the tokenizer can't be read.
    """

    def __init__(self, spec: TextSpec, engine: Engine, *, attends: bool, reuse: bool) -> None:
        self._spec = spec
        self._engine = engine
        self._attends = attends
        self._reuse = reuse
        self._tokenizer = spec.load_tokenizer()
        self._cache = FeatureCache(spec.width)

    def plan_tasks(self, unit: Unit) -> list[Task]:
        """Tokenise the texts of `unit` that are new; return a task for each batch of them."""
        texts = unit.list_texts()
        slots: dict[int, Slot] = {}
        new = list(range(len(texts)))
        if self._reuse:
            for row, text in enumerate(texts):
                mine = Slot(unit.number, row)
                slot = slots[row] = self._cache.claim(digest_content(text.encode()), mine)
                if slot is not mine:
                    unit.reuse_text(row, slot)
            new = [row for row in new if row not in unit.reused_texts]
        ids = dict(zip(new, self._tokenizer.encode([texts[row] for row in new]), strict=True))
        lengths = np.array([len(ids[row]) for row in new], dtype=np.int64)
        unit.reserve_texts(self._spec.width, int(lengths.max(initial=1)) if self._attends else None)

        def encode(rows: Indices) -> None:
            encoded = self._engine.encode_texts([ids[row] for row in rows])
            unit.put_texts(rows, encoded)
            if self._reuse:
                for row, features in zip(rows, encoded.features, strict=True):
                    slots[int(row)].features = features.copy()

        # Texts of like length together: little padding. The longest first: what is worked on last is short.
        ordered = np.array(new, dtype=np.int64)[np.argsort(-lengths, kind="stable")]
        batches = slice_indices(ordered, self._engine.batch_sizes["text"])
        return [(len(rows), partial(encode, rows)) for rows in batches]
