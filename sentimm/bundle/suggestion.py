"""Which model that ships would suit a corpus better than the default one."""

from __future__ import annotations

from pathlib import Path

from sentimm.bundle.bundle import list_shipped
from sentimm.corpus import Survey
from sentimm.options import CorpusOptions

_WORLD = "world"
_ENOUGH = 0.2  # of the texts: the default model answers these little better than chance


def suggest_model(survey: Survey, options: CorpusOptions, model: Path | str | None) -> tuple[str, ...]:
    """Return a note where `model` is the default one, many texts are not in English, and a model for these ships."""
    share = survey.languages.get("other", 0.0)
    if model is not None or options.only == "image" or share < _ENOUGH or _WORLD not in list_shipped():
        return ()
    return (
        f"About {share:.0%} of the texts are not in English, which the default model is for: --model {_WORLD} reads "
        "other languages too.",
    )
