"""Labels of a sheet: read back from any of its formats, checked against its design, and joined to the drawn posts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from sentimm.corpus.labels import NO_LABEL, read_labels
from sentimm.errors import ColumnError, InputError, TableError, UsageError
from sentimm.findings.designs import SUFFIX, Design, LabelledSample, check_design, read_design
from sentimm.findings.options import SheetOptions
from sentimm.findings.scored import ScoredPosts
from sentimm.findings.sheets.rows import Judgement, list_labels
from sentimm.findings.sheets.spreadsheets import read_csv, read_excel
from sentimm.findings.sheets.tools import read_json

_TOLERATED_BLANKS = 0.05  # of a sheet; more of them may differ from the rest, and no interval accounts for that


@dataclass(frozen=True)
class Labels:
    """The labels of a sheet.

    Attributes:
        votes: a row for each judgement with a label: `sheet_id`, `annotator`, String; `label`, Int64.
        notes: what a reader must know, in sentences.
        unsure: judgements that were marked as unsure.
        blank: contents of the design that nobody has labelled.
    """

    votes: pl.DataFrame
    notes: tuple[str, ...]
    unsure: int
    blank: int


def find_design(sheets: Sequence[Path], named: Path | None = None) -> Path:
    """Return the design file of sheets: the one that is named, or the largest one that lies beside them.

    `posts.csv`, `posts.anna.csv` and what lies in the folder `posts` have `posts.design.parquet`. The design of a sheet
    that was drawn to add to another one knows both.
    """
    if named is not None:
        return named
    candidates = [path for sheet in sheets for path in _list_designs(sheet)]
    there = [path for path in dict.fromkeys(candidates) if path.exists()]
    return max(there, key=lambda path: len(read_design(path).posts)) if there else candidates[0]


def _list_designs(sheet: Path) -> list[Path]:
    stems = [sheet.stem]
    while "." in stems[-1]:
        stems.append(stems[-1].rpartition(".")[0])
    beside = [sheet.with_name(stem + SUFFIX) for stem in stems]
    return [*beside, sheet.absolute().parent.with_name(sheet.absolute().parent.name + SUFFIX)]


def read_sheets(sheets: Sequence[Path], design: Design) -> Labels:
    """Read what people labelled.

    Raises:
        InputError: a sheet is not there, or holds no label.
        ColumnError, TableError: one can't be read, or has a label that nobody knows.
        UsageError: one person labelled a content twice, differently; or the ids are those of another sheet.
    """
    return number_judgements([(path, each) for path in sheets for each in read_sheet(path)], design)


def number_judgements(judgements: Sequence[tuple[Path, Judgement]], design: Design) -> Labels:
    """Number what people said, each with the sheet that it stands in.

    Raises:
        InputError, ColumnError, UsageError: as `read_sheets`.
    """
    sheets = list(dict.fromkeys(path for path, _ in judgements))
    ids = set(design.posts["sheet_id"].to_list())
    notes = []
    unknown = [judgement.sheet_id for _, judgement in judgements if judgement.sheet_id not in ids]
    if unknown and len(set(unknown)) * 2 > len({judgement.sheet_id for _, judgement in judgements}):
        raise UsageError(
            f"{sheets[0]} holds {len(set(unknown))} ids that are not in its design, such as {unknown[0]!r}: give the "
            "design file that was written with the sheet (--design)."
        )
    if unknown:
        notes.append(f"{_count(len(unknown), 'row')} with an unknown sheet_id left out, such as {unknown[0]!r}.")
    labelled = [(path, each) for path, each in judgements if each.label is not None and each.sheet_id in ids]
    if not labelled:
        raise InputError(f"{', '.join(map(str, sheets))} holds no labels yet: fill in the column `label` first.")
    votes = _number_labels(labelled, design.labels)
    votes, doubles = _drop_doubles(votes)
    if doubles:
        notes.append(f"{_count(doubles, 'row')} repeated by the same person, with the same label: counted once.")
    blank = len(ids) - votes["sheet_id"].n_unique()
    if blank:
        note = f"{blank:,} of {len(ids):,} rows of the sheet have no label."
        if blank > _TOLERATED_BLANKS * len(ids):
            note += " They may differ from the others, which no interval accounts for: label the rest."
        notes.append(note)
    unsure = sum(each.unsure for _, each in labelled)
    return Labels(votes, tuple(notes), unsure, blank)


def join_labels(design: Design, labels: Labels) -> LabelledSample:
    """Return the sample: each drawn post has the votes for its content."""
    shares = labels.votes.group_by("sheet_id").agg(
        (pl.col("label") == number).mean().alias(f"y_{label}") for number, label in enumerate(design.labels)
    )
    votes = design.posts.select("place", "sheet_id").join(shares, on="sheet_id", maintain_order="left").drop("sheet_id")
    return LabelledSample(design, votes)


def read_labelled_sample(options: SheetOptions, scored: ScoredPosts) -> tuple[LabelledSample, Labels]:
    """Read labelled sheets and their design, which must be of this corpus.

    Raises:
        InputError, ColumnError, TableError, UsageError: see `read_design`, `check_design` and `read_sheets`.
    """
    sheets = [Path(name) for name in options.labels]
    path = find_design(sheets, options.design)
    design = read_design(path)
    check_design(design, scored, path)
    labels = read_sheets(sheets, design)
    return join_labels(design, labels), labels


def read_sheet(path: Path) -> list[Judgement]:
    """Read what people wrote into one sheet, of any format.

    Raises:
        InputError: it is not there.
        ColumnError, TableError: it can't be read.
    """
    if not path.exists():
        raise InputError(f"There is no sheet {path}.")
    if path.is_dir():
        raise InputError(f"{path} is a folder: name the file that was exported with the labels.")
    suffix = path.suffix.lower()
    if suffix in (".zip", ".gz"):
        raise TableError(f"{path} is packed: unpack it, and name the files in it, separated by commas.")
    if suffix in (".xlsx", ".xlsm", ".xls", ".ods"):
        found = read_excel(path)
    elif suffix in (".json", ".jsonl", ".ndjson"):
        found = read_json(path)
    else:
        found = read_csv(path)
    return [each if each.annotator is not None else replace(each, annotator=path.stem) for each in found]


def _number_labels(labelled: Sequence[tuple[Path, Judgement]], names: Sequence[str]) -> pl.DataFrame:
    numbers: list[int] = []
    for path in dict.fromkeys(path for path, _ in labelled):
        cells = pl.Series("label", [each.label for own, each in labelled if own == path], dtype=pl.String)
        numbers += _read_cells(cells, names, path)
    ordered = [each for path in dict.fromkeys(path for path, _ in labelled) for own, each in labelled if own == path]
    frame = pl.DataFrame(
        {
            "sheet_id": [each.sheet_id for each in ordered],
            "annotator": [each.annotator for each in ordered],
            "label": numbers,
        },
        schema={"sheet_id": pl.String, "annotator": pl.String, "label": pl.Int64},
    )
    return frame.filter(pl.col("label") != NO_LABEL)


def _read_cells(cells: pl.Series, names: Sequence[str], path: Path) -> list[int]:
    try:
        return list(read_labels([cells], names, str(path))["label"].tolist())
    except ColumnError as error:
        known = {name.lower() for name in names} | {"neg", "neu", "pos"}
        strange = next((cell for cell in cells if cell.strip().lower() not in known), cells[0])
        raise ColumnError(f"{path} has the label {strange!r}: write {list_labels(names)}.") from error


def _drop_doubles(votes: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    distinct = votes.unique(maintain_order=True)
    repeated = Counter(distinct.select("sheet_id", "annotator").iter_rows())
    if conflicts := [key for key, times in repeated.items() if times > 1]:
        sheet_id, annotator = conflicts[0]
        raise UsageError(
            f"{annotator} labelled {sheet_id} twice, and differently"
            + (f" (and {len(conflicts) - 1} more)" if len(conflicts) > 1 else "")
            + ": keep one of the labels."
        )
    return distinct, len(votes) - len(distinct)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
