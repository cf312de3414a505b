"""The plan of a comparison: one run for each model, seed and fold, and the options that it is trained with."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from sentimm.errors import UsageError
from sentimm.models.sentiment_model import FUSIONS
from sentimm.training.comparison.options import CompareOptions
from sentimm.training.model import check_options
from sentimm.training.options import TrainOptions

_BOTH = {"text", "image"}


@dataclass(frozen=True)
class Cell:
    """One run of a comparison; `fold` counts from 1, None: no folds."""

    model: str
    seed: int
    fold: int | None

    @property
    def name(self) -> str:
        """The name of its run folder."""
        return f"{self.model}-seed{self.seed}" + ("" if self.fold is None else f"-fold{self.fold}")

    @classmethod
    def parse(cls, name: str) -> Cell | None:
        """Parse the name of a run folder; None where it is not one of a comparison."""
        match = re.fullmatch(r"(.+)-seed(\d+)(?:-fold(\d+))?", name)
        if match is None or match[1] not in FUSIONS:
            return None
        return cls(match[1], int(match[2]), None if match[3] is None else int(match[3]))


def list_cells(options: CompareOptions) -> Iterator[Cell]:
    """Yield the runs that `options` ask for.

    Every model comes once before the next seed or fold, so that a stopped comparison has something to show.
    """
    folds = options.training.folds
    for seed in range(1, options.seeds + 1):
        for fold in [None] if folds is None else range(1, folds + 1):
            for model in options.models:
                yield Cell(model, seed, fold)


def check_models(options: CompareOptions) -> None:
    """Check that there are such models, and that each option applies to one of them.

    Raises:
        UsageError: an option doesn't.
    """
    if unknown := [model for model in options.models if model not in FUSIONS]:
        raise UsageError(f"--models: {', '.join(unknown)} is not one of {', '.join(FUSIONS)}.")
    literal = [model for model in options.models if FUSIONS[model].can_be_literal]
    if options.training.literal and not literal:
        raise UsageError(f"--literal changes none of {', '.join(options.models)}: leave it out.")
    takes_both = [model for model in options.models if len(FUSIONS[model].modalities) > 1]
    if options.training.composed and not takes_both:
        raise UsageError(f"--composed changes none of {', '.join(options.models)}: leave it out.")
    if options.training.heads and not takes_both:
        raise UsageError(f"--heads change none of {', '.join(options.models)}: leave it out.")
    for value in options.training.freeze:
        if not any(value.partition(":")[0] in FUSIONS[model].modalities for model in options.models):
            raise UsageError(f"--freeze {value}: none of {', '.join(options.models)} has such an encoder.")
    if options.training.composed and set(options.training.heads or ()) < _BOTH:
        raise UsageError("--composed needs both heads: use --heads text,image.")
    for model in options.models:
        check_options(adapt_options(options.training, model))


def adapt_options(options: TrainOptions, model: str) -> TrainOptions:
    """Return the options for one of the models, without those that do not apply to it."""
    fusion = FUSIONS[model]
    weights = options.auxiliary_weight
    learnt = [value.partition(":")[0] not in _BOTH - set(fusion.modalities) for value in options.auxiliary]
    return replace(
        options,
        fusion=model,
        literal=options.literal and fusion.can_be_literal,
        heads=options.heads if len(fusion.modalities) > 1 else (),
        freeze=tuple(value for value in options.freeze if value.partition(":")[0] in fusion.modalities),
        auxiliary=tuple(itertools.compress(options.auxiliary, learnt)),
        auxiliary_weight=weights if len(weights) == 1 else tuple(itertools.compress(weights, learnt)) or weights[:1],
        composed=options.composed if len(fusion.modalities) > 1 else 0.0,
    )
