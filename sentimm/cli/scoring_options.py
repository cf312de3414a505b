"""The options that `score` and `evaluate` have in common."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from sentimm.cli.declare import declare, parse_path
from sentimm.errors import UsageError
from sentimm.options import BatchSize as BatchSizeValue
from sentimm.options import Modality

INPUT, RUNNING, OUTPUT = "What is scored", "How it runs", "What is written"

Images = Annotated[
    Path | None, declare(INPUT, "The folder of the posts' images, or its URL.", metavar="DIR", parser=parse_path)
]
TextColumn = Annotated[str | None, declare(INPUT, "The column of texts.", metavar="C")]
ImageColumn = Annotated[str | None, declare(INPUT, "The column of image names.", metavar="C")]
IdColumn = Annotated[str | None, declare(INPUT, "The column of ids, by which images are found too.", metavar="C")]
Only = Annotated[Modality | None, declare(INPUT, "Use this modality alone.", show_default=False)]
Limit = Annotated[int | None, declare(INPUT, "Score the first N posts.", metavar="N")]
AllowMissing = Annotated[bool, declare(INPUT, "Go on where no post finds its image.", "--allow-missing")]
Model = Annotated[
    Path | None,
    declare(
        RUNNING,
        "The folder of a bundle, or its URL.",
        metavar="BUNDLE",
        show_default="the built-in model",
        parser=parse_path,
    ),
]
Device = Annotated[str, declare(RUNNING, "What to run on.", metavar="auto|cpu|cuda|cuda:N")]
Precision = Annotated[str, declare(RUNNING, "How the model computes.", metavar="auto|fp32|fp16|int8")]
Threads = Annotated[int | None, declare(RUNNING, "CPU threads.", metavar="N", show_default="all cores")]
BatchSize = Annotated[
    str | None,
    declare(
        RUNNING,
        "Texts or images in a batch; auto: what is fastest in a trial.",
        metavar="N|auto",
        show_default="by device",
    ),
]
NoDedupe = Annotated[
    bool, declare(RUNNING, "Encode repeated texts and images again each time, for measuring.", "--no-dedupe")
]
AsJson = Annotated[bool, declare(RUNNING, "Print the result as one JSON object.", "--json")]


def parse_batch_size(value: str | None) -> BatchSizeValue | None:
    """Read the value of --batch-size.

    Raises:
        UsageError: it is neither a number nor `auto`.
    """
    if value is None:
        return None
    try:
        return "auto" if value == "auto" else int(value)
    except ValueError:
        raise UsageError(f"--batch-size is {value!r}, but it must be a number or auto.") from None


def limit_threads(asked: int | None) -> None:
    """Let the libraries that read tables and tokenise take no more threads than the model; before they are imported.

    Raises:
        UsageError: `asked` or OMP_NUM_THREADS is not a number of threads.
    """
    from sentimm.runtime.devices import choose_threads

    threads = str(choose_threads(asked))
    for variable in ("POLARS_MAX_THREADS", "RAYON_NUM_THREADS"):
        os.environ.setdefault(variable, threads)
