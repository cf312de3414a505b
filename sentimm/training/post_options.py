"""Which posts a run of `sentimm train` learns from: the first part of its options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from sentimm.option_fields import FRACTION, POSITIVE, Panel, argument, at_least, option
from sentimm.options import QUOTES_HELP, SENTIMENTS, Quotes

BY_TABLE = "table"


@dataclass(frozen=True)
class PostOptions:
    """Tables, columns, labels and the posts that are held out; described in `TrainOptions`."""

    inputs: Annotated[tuple[str, ...], argument("Tables of labelled posts.", metavar="INPUT...", shown=False)]
    images: Annotated[
        Path | None, option(Panel.POSTS, "The folder of the posts' images, or its URL.", metavar="DIR", is_url=True)
    ] = None
    val: Annotated[
        str | None, option(Panel.POSTS, "A table to validate with; else some posts are held out.", metavar="FILE")
    ] = None
    val_fraction: Annotated[
        tuple[float, ...],
        option(
            Panel.POSTS,
            "How much of the posts, or of each table's, to hold out; repeated texts and images stay on one side.",
            metavar="F,...",
            bounds=FRACTION,
        ),
    ] = (0.1,)
    split_seed: int | None = None
    folds: Annotated[
        int | None,
        option(
            Panel.COMPARISON,
            "Validate with each of K parts of INPUT in turn; repeated texts and images stay in one.",
            metavar="K",
            shown="one split",
            bounds=at_least(2),
        ),
    ] = None
    fold: int = 0
    labels: Annotated[
        tuple[str, ...],
        option(
            Panel.POSTS,
            "The labels, in the order of the output; or what the tables' values stand for.",
            metavar="A,B,...|VALUE=A,...",
        ),
    ] = SENTIMENTS
    label_values: tuple[str, ...] = ()
    label_column: Annotated[str, option(Panel.POSTS, "The column of labels.", metavar="C")] = "label"
    labels_by: Annotated[
        str | None,
        option(
            Panel.POSTS,
            "Learn each post among the labels that its table has, or the posts with its value of this column.",
            metavar="table|C",
            shown="among all labels",
            suggestions=(BY_TABLE,),
        ),
    ] = None
    text_column: Annotated[str | None, option(Panel.POSTS, "The column of texts.", metavar="C")] = None
    image_column: Annotated[
        str | None, option(Panel.POSTS, "The column of image names; several: a,b or 'image_*'.", metavar="C")
    ] = None
    id_column: Annotated[str | None, option(Panel.POSTS, "The column of ids.", metavar="C")] = None
    encoding: Annotated[
        str | None,
        option(Panel.POSTS, "The encoding of CSV, TSV and NDJSON files.", metavar="NAME", shown="UTF-8, else a guess"),
    ] = None
    no_header: Annotated[
        bool, option(Panel.POSTS, "CSV and TSV files have no header: the columns are column_1, column_2 and so on.")
    ] = False
    quotes: Annotated[
        Quotes | None,
        option(Panel.POSTS, QUOTES_HELP, shown="doubled, or escaped where that explains the file"),
    ] = None
    union: Annotated[
        bool,
        option(Panel.POSTS, "Where the files of one input differ in columns that are used, fill what lacks with null."),
    ] = False
    table_weights: Annotated[
        tuple[float, ...],
        option(
            Panel.POSTS,
            "How often an epoch sees each table's posts (0.1: a random tenth).",
            metavar="W,...",
            bounds=POSITIVE,
        ),
    ] = ()
    balance: Annotated[
        str | None,
        option(
            Panel.POSTS,
            "Even out this column's values (languages) in an epoch: n posts count as n to the power of A (0.5).",
            metavar="C[:A]",
        ),
    ] = None
