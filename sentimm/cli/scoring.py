"""What the commands that score have in common."""

from __future__ import annotations

import os
from typing import Annotated

from sentimm.option_fields import Panel, option

AsJson = Annotated[bool, option(Panel.RUNNING, "Print the result as one JSON object.", "--json")]


def limit_threads(threads: int | None) -> None:
    """Keep the libraries that read tables and tokenise from using more threads than the model.

    It must be called before they are imported.

    Raises:
        UsageError: `threads` or OMP_NUM_THREADS is not a number of threads.
    """
    from sentimm.runtime.devices import choose_threads

    number = str(choose_threads(threads))
    for variable in ("POLARS_MAX_THREADS", "RAYON_NUM_THREADS"):
        os.environ.setdefault(variable, number)
