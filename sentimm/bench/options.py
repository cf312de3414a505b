"""What `sentimm bench` was asked to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from sentimm.errors import UsageError
from sentimm.option_fields import Panel, argument, at_least, check_options, option
from sentimm.options import BundleName, CorpusOptions, Device, PrecisionName, Threads


@dataclass(frozen=True)
class BenchOptions:
    """What `sentimm bench` was asked to do.

    Attributes:
        inputs: the corpus; none: one is generated.
        corpus: how to read it.
        posts: how many of its first posts are used.
        model, device, precision, threads: as in `ScoreOptions`.

    Raises:
        UsageError: an option has a value that can't be used.
    """

    inputs: Annotated[
        tuple[str, ...], argument("The corpus to measure with.", metavar="INPUT", shown="a generated one")
    ] = ()
    corpus: CorpusOptions = field(default_factory=CorpusOptions)
    posts: Annotated[int, option(Panel.INPUT, "Use the first N posts.", metavar="N", bounds=at_least(1))] = 1000
    model: BundleName = None
    device: Device = "auto"
    precision: PrecisionName = "auto"
    threads: Threads = None

    def __post_init__(self) -> None:
        check_options(self)
        if "-" in self.inputs:
            raise UsageError("`bench` reads its posts twice, so it can't read standard input (-): give a file.")
        if self.corpus.images is not None and not self.inputs:
            raise UsageError("--images is the folder of a corpus's images: name its table too.")
