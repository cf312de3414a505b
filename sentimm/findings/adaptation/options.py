"""What `sentimm adapt` was asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from sentimm.errors import UsageError
from sentimm.option_fields import Panel, argument, check_options, option
from sentimm.options import BundleName


@dataclass(frozen=True)
class AdaptOptions:
    """What `sentimm adapt` was asked to do.

    Attributes:
        sheets: labelled sheets.
        output: the bundle to write.
        design: the design file of the sheets; None: the one beside them.
        features: of the posts, for a head of their own; None: without one.
        model: the bundle that scored the posts, its folder or the name of one that ships; None: the default one.
        anyway: write a bundle also where no gain is shown.
        overwrite: replace an existing bundle.

    Raises:
        UsageError: an option has a value that can't be used.
    """

    sheets: Annotated[
        tuple[str, ...],
        argument("Labelled sheets, or what a labelling tool exported.", metavar="SHEET...", shown=False),
    ]
    output: Annotated[Path, option(Panel.OUTPUT, "The bundle folder to write.", "--output", "-o", metavar="BUNDLE")] = (
        Path("bundles/adapted")
    )
    design: Annotated[
        Path | None,
        option(Panel.LABELS, "The design file of the sheets.", metavar="FILE", shown="the one beside them"),
    ] = None
    features: Annotated[
        Path | None,
        option(
            Panel.LABELS,
            "What `sentimm features` wrote of the same posts: from 300 labels on a head of their own is tried.",
            metavar="FILE",
        ),
    ] = None
    model: BundleName = None
    anyway: Annotated[bool, option(Panel.OUTPUT, "Write the bundle also if no gain is shown.")] = False
    overwrite: Annotated[bool, option(Panel.OUTPUT, "Replace an existing bundle.")] = False

    def __post_init__(self) -> None:
        check_options(self)
        if not self.sheets:
            raise UsageError("No SHEET was given: name the labelled sheet that `sentimm sample` drew.")
