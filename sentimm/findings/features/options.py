"""What `sentimm features` was asked to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from sentimm.errors import UsageError
from sentimm.option_fields import Panel, argument, check_options, option
from sentimm.options import BundleName, CorpusOptions, Device, EncoderBatchSize, PrecisionName, Threads


@dataclass(frozen=True)
class FeaturesOptions:
    """What `sentimm features` was asked to do.

    Attributes:
        inputs: files, globs and folders of posts.
        corpus: how to read them.
        output: the Parquet file to write.
        overwrite: replace it where it exists.
        model: the bundle's folder, or the name of one that ships; None: the default one.
        device, precision, threads, batch_size: as in `ScoreOptions`.

    Raises:
        UsageError: an option has a value that can't be used.
    """

    inputs: Annotated[
        tuple[str, ...],
        argument("Tables, shards or folders of posts, as `score` reads them.", metavar="INPUT...", shown=False),
    ]
    corpus: CorpusOptions = field(default_factory=CorpusOptions)
    output: Annotated[
        Path,
        option(Panel.OUTPUT, "The Parquet file to write.", "--output", "-o", metavar="FILE", is_url=True),
    ] = Path("features.parquet")
    overwrite: Annotated[bool, option(Panel.OUTPUT, "Replace an existing file.")] = False
    model: BundleName = None
    device: Device = "auto"
    precision: PrecisionName = "auto"
    threads: Threads = None
    batch_size: EncoderBatchSize = None

    def __post_init__(self) -> None:
        check_options(self)
        if not self.inputs:
            raise UsageError("No INPUT was given: name a table of posts, or a folder of images.")
        if "-" in self.inputs:
            raise UsageError("`features` reads its posts twice, so it can't read standard input (-): give a file.")
        if self.output.suffix.lower() not in (".parquet", ".pq"):
            raise UsageError(f"-o {self.output}: choose a name that ends in .parquet.")
