"""What `sentimm sample` and `sentimm shares` were asked to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from sentimm.errors import UsageError
from sentimm.findings.question import Question
from sentimm.option_fields import Bounds, Panel, argument, at_least, check_options, option

SheetFormat = Literal["csv", "excel", "label-studio", "doccano", "prodigy"]
Compare = Literal["first", "previous", "all"]

SHEET_FORMATS: dict[str, SheetFormat] = {".csv": "csv", ".xlsx": "excel", ".jsonl": "doccano"}
_POINTS = Bounds(above=0, below=50, why="it is half the width of an interval, in points")

Scored = Annotated[
    tuple[str, ...],
    argument("The Parquet files or folders that `score` wrote.", metavar="SCORED...", shown=False),
]


@dataclass(frozen=True)
class SheetOptions:
    """Which labels there are.

    Attributes:
        labels: labelled sheets; none: there are none.
        design: their design file; None: the one beside them.

    Raises:
        UsageError: there is a design without labels.
    """

    labels: Annotated[
        tuple[str, ...],
        option(Panel.LABELS, "Labelled sheets, or what a labelling tool exported.", metavar="SHEET,..."),
    ] = ()
    design: Annotated[
        Path | None,
        option(Panel.LABELS, "The design file of the sheets.", metavar="FILE", shown="the one beside them"),
    ] = None

    def __post_init__(self) -> None:
        if self.design is not None and not self.labels:
            raise UsageError("--design is the design file of --labels, which were not given.")
        if url := next((name for name in self.labels if "://" in name), None):
            raise UsageError(f"--labels {url} is a URL: copy the sheet and its design file to this machine.")


@dataclass(frozen=True)
class SampleOptions:
    """What `sentimm sample` was asked to do.

    Attributes:
        inputs: scored posts.
        output: the sheet, or a folder for Label Studio; None: with `plan`, nothing is written.
        labels: posts to label.
        margin: label as many as this margin takes, in points, instead of `labels`.
        plan: only say what numbers of labels would give.
        question: groups and periods that will be asked about.
        per_group: the fewest posts of each of them; None: they are not drawn apart.
        annotators: who labels; none: one person.
        overlap: rows that all of them label.
        format: of the sheet; None: by the name of the output.
        images: the folder of the posts' images.
        text_column, image_column: columns to use instead of the detected ones.
        add: an earlier sheet, of which more are drawn.
        design: its design file; None: the one beside it.
        seed: the same seed draws the same posts.
        for_training: draw posts that the model is unsure of, to train on; they say nothing of the corpus.

    Raises:
        UsageError: an option has a value that can't be used.
    """

    inputs: Scored
    output: Annotated[
        Path | None,
        option(
            Panel.OUTPUT,
            "The sheet to write: .csv, .xlsx, .jsonl, or a folder for Label Studio.",
            "--output",
            "-o",
            metavar="SHEET",
        ),
    ] = None
    labels: Annotated[int, option(Panel.DRAW, "Posts to label.", metavar="N", bounds=at_least(1))] = 400
    margin: Annotated[
        float | None,
        option(
            Panel.DRAW,
            "Draw as many as this margin takes, instead of --labels: 2 is plus or minus 2 points.",
            metavar="POINTS",
            bounds=_POINTS,
        ),
    ] = None
    plan: Annotated[bool, option(Panel.DRAW, "Only show what margin each number of labels gives.")] = False
    question: Question = field(default_factory=Question)
    per_group: Annotated[
        int | None,
        option(Panel.DRAW, "Draw at least N posts of each group and period.", metavar="N", bounds=at_least(1)),
    ] = None
    annotators: Annotated[
        tuple[str, ...], option(Panel.OUTPUT, "A sheet for each of these people.", metavar="NAME,...")
    ] = ()
    overlap: Annotated[
        int, option(Panel.OUTPUT, "Rows that all annotators label, to see how far they agree.", bounds=at_least(0))
    ] = 0
    format: Annotated[
        SheetFormat | None,
        option(Panel.OUTPUT, "The kind of sheet.", shown="by the name of SHEET"),
    ] = None
    images: Annotated[
        Path | None, option(Panel.OUTPUT, "The folder of the posts' images, or its URL.", metavar="DIR", is_url=True)
    ] = None
    text_column: Annotated[str | None, option(Panel.OUTPUT, "The column of texts.", metavar="C")] = None
    image_column: Annotated[
        str | None, option(Panel.OUTPUT, "The column of image names; several: a,b or 'image_*'.", metavar="C")
    ] = None
    add: Annotated[
        Path | None, option(Panel.DRAW, "Draw --labels more of this sheet; the new sheet holds those.", metavar="SHEET")
    ] = None
    design: Annotated[
        Path | None, option(Panel.DRAW, "The design file of --add.", metavar="FILE", shown="the one beside it")
    ] = None
    seed: Annotated[int, option(Panel.DRAW, "The same seed draws the same posts.", bounds=at_least(0))] = 1
    for_training: Annotated[
        bool,
        option(Panel.DRAW, "Draw posts that the model is unsure of, to train on; `shares` refuses them."),
    ] = False

    def __post_init__(self) -> None:
        check_options(self)
        if not self.inputs:
            raise UsageError("No SCORED was given: name the Parquet file that `sentimm score` wrote.")
        if self.output is None and not self.plan:
            raise UsageError("No sheet was named: give one with -o, such as -o sheet.xlsx, or --plan.")
        if self.per_group is not None and not self.question.keys:
            raise UsageError("--per-group needs groups or periods: give --by or --time.")
        names = [name.lower() for name in self.annotators]
        if len(set(names)) < len(names) or any(set(name) & set('/\\:*?"<>|') for name in names):
            raise UsageError(
                f"--annotators has {','.join(self.annotators)}: give each person a name of their own, which a file can "
                "have."
            )
        if self.overlap and len(self.annotators) < 2:
            raise UsageError("--overlap needs several people: name them with --annotators anna,ben.")
        if self.add is None and self.design is not None:
            raise UsageError("--design is the design file of --add, which was not given.")
        if self.add is not None and (self.per_group is not None or self.for_training or self.margin is not None):
            raise UsageError("--add draws in the way of the earlier sheet: give --labels alone with it.")

    @property
    def sheet_format(self) -> SheetFormat:
        """The kind of sheet, also where its name decides.

        Raises:
            UsageError: the name does not say.
        """
        if self.format is not None:
            return self.format
        suffix = "" if self.output is None else self.output.suffix.lower()
        if not suffix:
            return "label-studio"
        if suffix not in SHEET_FORMATS:
            raise UsageError(
                f"-o {self.output}: sheets are .csv, .xlsx or .jsonl files, or a folder for Label Studio; say which "
                "with --format."
            )
        return SHEET_FORMATS[suffix]


@dataclass(frozen=True)
class SharesOptions:
    """What `sentimm shares` was asked to do.

    Attributes:
        inputs: scored posts.
        sheets: labelled sheets; without any, no interval can be given.
        question: which posts, and how they are divided.
        compare: differences between groups or periods.
        simultaneous: intervals that hold together.
        output: the table to write.
        max_margin: fail where an interval is wider, in points.
        assume: what nothing proves: that the labels are of a random sample, or that only the labels' shares have
            changed since training.
        prior: the labels' shares in training: `negative=0.3`.

    Raises:
        UsageError: an option has a value that can't be used.
    """

    inputs: Scored
    sheets: SheetOptions = field(default_factory=SheetOptions)
    question: Question = field(default_factory=Question)
    compare: Annotated[
        Compare | None,
        option(Panel.QUESTION, "Also give the differences to the first, to the previous, or between all."),
    ] = None
    simultaneous: Annotated[
        bool, option(Panel.QUESTION, "Widen the intervals so that all of them hold together with 95%.")
    ] = False
    output: Annotated[
        Path | None,
        option(
            Panel.OUTPUT,
            "Write the table to this file: .parquet, .csv or .xlsx.",
            "--output",
            "-o",
            metavar="FILE",
            is_url=True,
        ),
    ] = None
    max_margin: Annotated[
        float | None,
        option(
            Panel.OUTPUT,
            "Exit with code 1, after writing, if an interval is wider than plus or minus this.",
            metavar="POINTS",
            bounds=_POINTS,
        ),
    ] = None
    assume: Annotated[
        Literal["random", "prior-shift"] | None,
        option(
            Panel.LABELS,
            "random: the labelled posts are a random sample, though no design file says so. prior-shift: only the "
            "labels' shares have changed since training; no interval.",
        ),
    ] = None
    prior: Annotated[
        tuple[str, ...],
        option(
            Panel.LABELS,
            "For prior-shift: the labels' shares in training, such as negative=0.3,neutral=0.4,positive=0.3.",
            metavar="LABEL=SHARE,...",
        ),
    ] = ()

    def __post_init__(self) -> None:
        check_options(self)
        if not self.inputs:
            raise UsageError("No SCORED was given: name the Parquet file that `sentimm score` wrote.")
        self._check_assumption()
        if self.compare is not None and not self.question.keys:
            raise UsageError("--compare needs groups or periods: give --by or --time.")
        if self.compare is not None and not self.sheets.labels:
            raise UsageError("--compare needs labels: draw a sheet with `sentimm sample`, label it, give --labels.")
        if self.output is not None and self.output.suffix.lower() not in (".parquet", ".csv", ".xlsx"):
            raise UsageError(f"-o {self.output}: choose a name that ends in .parquet, .csv or .xlsx.")

    def _check_assumption(self) -> None:
        if self.assume == "random" and not self.sheets.labels:
            raise UsageError("--assume random is about labelled posts: give them with --labels.")
        if self.assume == "random" and self.sheets.design is not None:
            raise UsageError("--assume random is for labels without a design file: leave out --design, or --assume.")
        if self.assume == "prior-shift" and self.sheets.labels:
            raise UsageError("--assume prior-shift is for posts without labels: with --labels, leave it out.")
        if self.assume == "prior-shift" and not self.prior:
            raise UsageError(
                "--assume prior-shift needs the labels' shares in the posts that the model was trained on, which its "
                "bundle does not keep: give them as --prior negative=0.3,neutral=0.4,positive=0.3."
            )
        if self.prior and self.assume != "prior-shift":
            raise UsageError("--prior is for --assume prior-shift, which was not given.")


@dataclass(frozen=True)
class ReportOptions:
    """What `sentimm report` was asked to do.

    Attributes:
        inputs: scored posts.
        output: the page to write.
        sheets: labelled sheets; without any, only what the model says is shown.
        question: which posts, and how they are divided.
        images: the folder of the posts' images.
        text_column, image_column: columns to use instead of the detected ones.
        title: of the page; None: by the name of the input.
        public: aggregates alone, no posts.
        figures: a folder for the charts as SVG with their tables.
        seed: of the posts that are shown where there are no labels.

    Raises:
        UsageError: an option has a value that can't be used.
    """

    inputs: Scored
    output: Annotated[
        Path,
        option(Panel.OUTPUT, "The page to write.", "--output", "-o", metavar="FILE", is_url=True),
    ] = Path("report.html")
    sheets: SheetOptions = field(default_factory=SheetOptions)
    question: Question = field(default_factory=Question)
    images: Annotated[
        Path | None, option(Panel.OUTPUT, "The folder of the posts' images, or its URL.", metavar="DIR", is_url=True)
    ] = None
    text_column: Annotated[str | None, option(Panel.OUTPUT, "The column of texts.", metavar="C")] = None
    image_column: Annotated[
        str | None, option(Panel.OUTPUT, "The column of image names; several: a,b or 'image_*'.", metavar="C")
    ] = None
    title: Annotated[str | None, option(Panel.OUTPUT, "The page's heading.", shown="by the name of SCORED")] = None
    public: Annotated[bool, option(Panel.OUTPUT, "Show aggregates only: no posts, no groups under 10 posts.")] = False
    figures: Annotated[
        Path | None,
        option(Panel.OUTPUT, "Also write each chart as SVG, and its table as CSV.", metavar="DIR", is_url=True),
    ] = None
    seed: Annotated[int, option(Panel.OUTPUT, "The same seed shows the same posts.", bounds=at_least(0))] = 1

    def __post_init__(self) -> None:
        check_options(self)
        if not self.inputs:
            raise UsageError("No SCORED was given: name the Parquet file that `sentimm score` wrote.")
        if self.output.suffix.lower() not in (".html", ".htm"):
            raise UsageError(f"-o {self.output}: choose a name that ends in .html.")
