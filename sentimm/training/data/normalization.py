"""Which normalisation the texts of a run get."""

from __future__ import annotations

from pathlib import Path

from sentimm.text import NORMALIZATION
from sentimm.training.options import TrainOptions
from sentimm.training.run_folder import is_run, open_run


def choose_normalization(options: TrainOptions) -> str:
    """Return the normalisation of `options`: where it names none, that of the run that the text encoder is from.

    Raises:
        RunError: that run is damaged.
    """
    if options.normalization is not None:
        return options.normalization
    for path in (options.init, Path(options.text_encoder)):
        if path is not None and is_run(path) and (run := open_run(path)).text is not None:
            return run.normalization
    return NORMALIZATION
