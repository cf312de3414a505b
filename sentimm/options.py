"""What a command was asked to do: frozen dataclasses, with the checks that need no file and no model.

Each option is declared once, here, for the command line, the checks and the documentation alike (see `option_fields`).
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, get_args

from sentimm.errors import UsageError
from sentimm.option_fields import Bounds, Panel, argument, at_least, check_options, option, parse_location

Modality = Literal["text", "image"]
BatchSize = int | Literal["auto"]
SENTIMENTS = ("negative", "neutral", "positive")  # the labels, unless others are named
RETRIABLE = ("image_missing", "image_unreadable")  # statuses that may be others when a post is scored again
MAX_CHUNK_ROWS = 100_000  # the most rows that a part, and a row group of the output, may have

_DEVICES = ("auto", "cpu", "cuda")
_PRECISIONS = ("auto", "fp32", "fp16", "int8")


def parse_batch_size(value: str) -> BatchSize:
    """Return the value of --batch-size.

    Raises:
        ValueError: it is neither a number nor `auto`.
    """
    try:
        return "auto" if value == "auto" else int(value)
    except ValueError:
        raise ValueError(f"{value!r} is neither a number nor auto") from None


def parse_columns(value: str) -> tuple[str, ...]:
    """Return names of columns, which may begin or end with a space."""
    return tuple(name for name in value.split(",") if name)


def split_label_values(given: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the labels that --labels names, and its pairs VALUE=LABEL, none where it names the labels alone.

    The labels of pairs come in the order of their first appearance, sentiments in their usual one.

    Raises:
        UsageError: some are pairs and others are not, or a pair lacks a side.
    """
    if not any("=" in each for each in given):
        return given, ()
    names: dict[str, str] = {}
    for each in given:
        value, _, name = each.rpartition("=")
        if not value.strip() or not name.strip():
            raise UsageError(
                f"--labels has {each!r} among pairs: write all as VALUE=LABEL, such as 0=negative,4=positive, or name "
                "the labels alone."
            )
        names.setdefault(name.strip().lower(), name.strip())
    order = [name for name in SENTIMENTS if name in names] if set(names) <= set(SENTIMENTS) else list(names)
    return tuple(names[name] for name in order), given


def check_encoding(name: str) -> None:
    """Check that `name` is an encoding of texts.

    Raises:
        UsageError: it is not.
    """
    try:
        found = codecs.lookup(name)
        is_text = getattr(found, "_is_text_encoding", True) and found.incrementaldecoder is not None
        if is_text:
            codecs.getincrementaldecoder(name)("replace").decode(b"a")
    except (LookupError, ValueError):
        is_text = False
    if not is_text:
        raise UsageError(
            f"--encoding is {name!r}, which is no known encoding: try utf-8, utf-16, cp1252, cp1251 or shift_jis."
        )


def parse_model(value: str) -> Path | str:
    """Return the value of --model: a name alone, of a model that ships or of a folder, or the path of a folder.

    Raises:
        MissingExtraError, UsageError: see `parse_location`.
    """
    return value if re.fullmatch(r"\w[\w-]*", value) else parse_location(value)


# What several commands take.
NoHeader = Annotated[
    bool, option(Panel.INPUT, "CSV and TSV files have no header: the columns are column_1, column_2 and so on.")
]
Normalization = Literal["none", "cardiff", "tweet-1", "tweet-2", "tweet-2-names"]  # the rules of sentimm.text
NORMALIZATION_NAMES: tuple[str, ...] = get_args(Normalization)

Quotes = Literal["doubled", "escaped"]
QUOTES_HELP = 'How quotes in CSV fields are written: doubled (""), or escaped by a backslash.'
Encoding = Annotated[
    str | None,
    option(
        Panel.INPUT,
        "The encoding of CSV, TSV, NDJSON and text files.",
        metavar="NAME",
        shown="UTF-8, else a guess",
        suggestions=("utf-8", "utf-16", "cp1252", "cp1251", "shift_jis"),
    ),
]
BundleName = Annotated[
    Path | str | None,
    option(
        Panel.RUNNING,
        "The folder of a bundle, its URL, or the name of one that ships (see `sentimm info`).",
        metavar="BUNDLE",
        shown="the default model",
        parse=parse_model,
    ),
]
Device = Annotated[str, option(Panel.RUNNING, "What to run on.", metavar="auto|cpu|cuda|cuda:N", suggestions=_DEVICES)]
PrecisionName = Annotated[
    str,
    option(Panel.RUNNING, "How the model computes.", metavar="auto|fp32|fp16|int8", suggestions=_PRECISIONS),
]
Threads = Annotated[
    int | None,
    option(Panel.RUNNING, "CPU threads.", metavar="N", shown="all cores", bounds=at_least(1)),
]
EncoderBatchSize = Annotated[
    BatchSize | None,
    option(
        Panel.RUNNING,
        "Texts or images in a batch; auto: what is fastest in a trial.",
        metavar="N|auto",
        shown="by device",
        bounds=at_least(1),
        parse=parse_batch_size,
        suggestions=("auto",),
    ),
]


@dataclass(frozen=True)
class CorpusOptions:
    """How a corpus is to be read.

    Attributes:
        images: the folder of the posts' images; None: a column of image names is ignored.
        text_column, image_column, id_column: columns to use instead of the detected ones.
        infer_types: give columns of text formats the types that all their values survive.
        limit: read the first `limit` posts only.
        only: use this modality alone.
        allow_missing: score even if no post's image is found, or none has a text.
        null_values: words that stand for nothing, as texts and in columns of numbers, image names and ids; None: NA,
            null and the like, as texts where they are many, and as image names and ids.
        columns: the input columns to keep in the output; None: all.
        prefix: goes before the names of all columns that are added.
        encoding: that of CSV, TSV, NDJSON and text files; None: UTF-8, else found out.
        no_header: the first line of CSV and TSV files is a post.
        quotes: how quotes in fields of CSV files are written; None: doubled, or escaped where that explains a file.
        union: of inputs whose columns differ, fill what one lacks with null.
        required: of inputs whose columns differ, those that all must have besides the ones that posts are read from;
            None: all that are kept.

    Raises:
        UsageError: an option has a value that can't be used.
    """

    images: Annotated[
        Path | None, option(Panel.INPUT, "The folder of the posts' images, or its URL.", metavar="DIR", is_url=True)
    ] = None
    text_column: Annotated[str | None, option(Panel.INPUT, "The column of texts.", metavar="C")] = None
    image_column: Annotated[
        str | None, option(Panel.INPUT, "The column of image names; several: a,b or 'image_*'.", metavar="C")
    ] = None
    id_column: Annotated[
        str | None, option(Panel.INPUT, "The column of ids, by which images are found too.", metavar="C")
    ] = None
    infer_types: Annotated[bool, option(Panel.OUTPUT, "Keep all columns of text formats as strings.")] = True
    limit: Annotated[
        int | None, option(Panel.INPUT, "Read the first N posts only.", metavar="N", bounds=at_least(1))
    ] = None
    only: Annotated[Modality | None, option(Panel.INPUT, "Use this modality alone.")] = None
    allow_missing: Annotated[
        bool, option(Panel.INPUT, "Continue even if no post finds its image, or none has a text.")
    ] = False
    null_values: Annotated[
        tuple[str, ...] | None,
        option(
            Panel.INPUT,
            "Words that stand for nothing, as texts and among numbers; '' for none.",
            metavar="W,...",
            shown="NA, null and the like, where many texts are such",
            parse=parse_columns,
        ),
    ] = None
    columns: Annotated[
        tuple[str, ...] | None,
        option(Panel.OUTPUT, "The input's columns to keep.", metavar="C,...", shown="all", parse=parse_columns),
    ] = None
    prefix: Annotated[str, option(Panel.OUTPUT, "Goes before the names of the added columns.", metavar="P")] = ""
    encoding: Encoding = None
    no_header: NoHeader = False
    quotes: Annotated[
        Quotes | None,
        option(Panel.INPUT, QUOTES_HELP, shown="doubled, or escaped where that explains the file"),
    ] = None
    union: Annotated[
        bool, option(Panel.INPUT, "Where the inputs' columns differ, keep all, and fill what an input lacks with null.")
    ] = False
    required: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        check_options(self)
        if self.encoding is not None:
            check_encoding(self.encoding)
        if any("\ud800" <= character <= "\udfff" for character in self.prefix):
            raise UsageError(f"--prefix is {self.prefix!r}, which is not valid UTF-8, as column names must be.")
        if any("\ud800" <= character <= "\udfff" for word in self.null_values or () for character in word):
            raise UsageError("--null-values has a word that is not valid UTF-8, as no cell is.")


@dataclass(frozen=True)
class ScoreOptions:
    """What `sentimm score` was asked to do.

    Attributes:
        inputs: files, globs and folders of posts; "-" is standard input (NDJSON, CSV, TSV).
        corpus: how to read them.
        output: the Parquet file or folder to write; None: named after the input, in the working directory.
        model: the bundle's folder, or the name of one that ships; None: the default one.
        device, precision: what to run on ("auto" chooses).
        threads: threads of the model; None: OMP_NUM_THREADS, else as many as the CPUs that this process may use.
        batch_size: texts or images in a batch; None: the engine's choice; "auto": what is fastest in a trial.
        chunk_rows: posts in a part; None: what takes about 15 seconds.
        dedupe: encode each distinct text and image once.
        views: add what the model makes of text and image alone, and how far they are apart.
        overwrite: replace the output of another job.
        retry: of a finished output, score again only the posts with these statuses (of RETRIABLE).
        ray: the Ray cluster to score on: `auto`, `local` or an address; None: this process.
        max_failed: percent of the images that may be unreadable; None: all of them.
        problems: the CSV that lists posts with a problem; None: named after the output.

    Raises:
        UsageError: an option has a value that can't be used.
    """

    inputs: Annotated[
        tuple[str, ...],
        argument(
            "Tables of posts (CSV, TSV, NDJSON, Parquet, Arrow, Excel, a .txt of a post a line, a .zip of tables; "
            "globs, braces), WebDataset shards (.tar), a folder of images and texts, of shards or of a saved Hugging "
            "Face dataset, here or in object storage (s3://...), or - for standard input (NDJSON, CSV, TSV).",
            metavar="INPUT...",
            shown=False,
        ),
    ]
    corpus: CorpusOptions = field(default_factory=CorpusOptions)
    output: Annotated[
        Path | None,
        option(
            Panel.OUTPUT,
            "The file (.parquet) or folder to write.",
            "--output",
            "-o",
            metavar="OUT",
            shown="INPUT's name, .scored.parquet",
            is_url=True,
        ),
    ] = None
    model: BundleName = None
    device: Device = "auto"
    precision: PrecisionName = "auto"
    threads: Threads = None
    batch_size: EncoderBatchSize = None
    chunk_rows: Annotated[
        int | None,
        option(
            Panel.RUNNING,
            "Posts in a part.",
            metavar="N",
            shown="about 15 seconds of work",
            bounds=Bounds(least=1, most=MAX_CHUNK_ROWS),
        ),
    ] = None
    dedupe: Annotated[
        bool, option(Panel.RUNNING, "Encode repeated texts and images again each time, for measuring.")
    ] = True
    views: Annotated[
        bool,
        option(Panel.OUTPUT, "Add what text and image say alone: text_sentiment, image_sentiment, conflict."),
    ] = False
    overwrite: Annotated[
        bool, option(Panel.OUTPUT, "Replace an existing output; it is removed when scoring begins.")
    ] = False
    retry: Annotated[
        tuple[str, ...],
        option(
            Panel.OUTPUT,
            "Of a finished output, score again only posts with these statuses (image_missing, image_unreadable).",
            metavar="STATUS,...",
            suggestions=RETRIABLE,
        ),
    ] = ()
    ray: Annotated[
        str | None,
        option(
            Panel.RUNNING,
            "Score on a Ray cluster: the one that is running, a new one on this machine, or the one at an address.",
            metavar="auto|local|ADDRESS",
            suggestions=("auto", "local"),
        ),
    ] = None
    max_failed: Annotated[
        float | None,
        option(
            Panel.RUNNING,
            "Stop if more than PCT percent of the images can't be read.",
            metavar="PCT",
            shown="never",
            bounds=Bounds(least=0, most=100, why="it is a percentage"),
        ),
    ] = None
    problems: Annotated[
        Path | None,
        option(
            Panel.OUTPUT,
            "The CSV that lists the posts with a problem.",
            metavar="FILE",
            shown="OUT.problems.csv",
            is_url=True,
        ),
    ] = None

    def __post_init__(self) -> None:
        if not self.inputs:
            raise UsageError("No INPUT was given: name a table of posts, or a folder of images.")
        if "-" in self.inputs and len(self.inputs) > 1:
            raise UsageError("Standard input (-) can't be combined with other inputs: give it alone.")
        check_options(self)
        if unknown := [status for status in self.retry if status not in RETRIABLE]:
            raise UsageError(
                f"--retry takes the statuses {' and '.join(RETRIABLE)}, not {unknown[0]!r}: others would come out "
                "the same."
            )
        if self.retry and self.overwrite:
            raise UsageError("--retry keeps the answers that --overwrite would replace: give one of them.")
