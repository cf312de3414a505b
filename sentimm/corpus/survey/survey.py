"""The survey: a quick first pass over a corpus, which finds out what reading it needs to know."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from sentimm.corpus.chunks import count_images, explain_no_image, keep_columns, list_image_names, read_texts
from sentimm.corpus.columns import (
    IMAGE_NAMES,
    ColumnChoice,
    choose_columns,
    choose_ids_for_images,
    holds_bytes,
    list_used,
)
from sentimm.corpus.file_names import require_utf8
from sentimm.corpus.image_lookup import ImageLookup, is_url, open_images
from sentimm.corpus.inputs.find import find_inputs
from sentimm.corpus.survey.column_types import TypeInference, merge_types
from sentimm.corpus.survey.repeated_texts import RepeatCounter
from sentimm.corpus.tables.base import Block, Problem, Table, head_block
from sentimm.corpus.tables.delimited import DelimitedTable
from sentimm.corpus.tables.open import open_table
from sentimm.corpus.tables.shards import ShardTable
from sentimm.corpus.tables.typed import TypedTable
from sentimm.corpus.wording import list_names
from sentimm.errors import ColumnError, InputError, TableError
from sentimm.options import CorpusOptions
from sentimm.storage import is_remote

Progress = Callable[[int], None]

# What is added with several inputs: the file, and the place in it.
SOURCE, ROW = "source", "row"

# A post's cell is shorter; what is longer, an unclosed quote may have made of many posts.
_LONG_CELL_BYTES = 1_000_000
_LONG_CELL_LINES = 1_000

_SAMPLE_NAMES = 100  # image names kept for the error that no post finds an image


@dataclass(frozen=True)
class Source:
    """One INPUT: its path, its format and how many posts are read from it."""

    path: Path
    format: str
    rows: int


@dataclass(frozen=True)
class Survey:
    """What the survey found.

    Attributes:
        sources: the inputs, in order.
        rows: posts, `--limit` respected.
        schema: the columns that are kept for the output, with their types and in their order; with several inputs also
            `source` (String, the file) and `row` (Int64, from 0 in that file).
        choice: the columns used.
        texts: posts with a text.
        images_named: posts that name an image; by id: for which there is one.
        images_found: posts whose image is there.
        repeated_texts: posts whose text an earlier post has; an estimate beyond 262,144 distinct texts.
        unreadable: records that can't be read as a row.
        notes: what a person should know besides, in sentences.
    """

    sources: tuple[Source, ...]
    rows: int
    schema: dict[str, pl.DataType]
    choice: ColumnChoice
    texts: int
    images_named: int
    images_found: int
    repeated_texts: int
    unreadable: int
    notes: tuple[str, ...]

    def find_paths(self, start: int, rows: int) -> list[Path]:
        """Find the inputs that hold the posts from `start` on, so many rows."""
        paths, first = [], 0
        for source in self.sources:
            if first < start + rows and start < first + source.rows:
                paths.append(source.path)
            first += source.rows
        return paths


def survey_corpus(inputs: Sequence[str], options: CorpusOptions, progress: Progress | None = None) -> Survey:
    """Survey the corpus that `inputs` (files, globs, folders) make; `progress` is told the rows seen, now and then.

    Raises:
        InputError: an input or the image folder is not there, or no post finds an image in it.
        ColumnError: a column is not there, or the inputs' columns differ.
        TableError: an input can't be read.
    """
    if options.images is not None and not is_remote(options.images):
        require_utf8(os.path.realpath(options.images))
    folder = None if options.images is None else open_images(options.images)
    found = find_inputs(inputs)
    tables = [open_table(path) for path in found.paths]
    folders = open_folders(tables, folder)
    has_folder = any(each is not None for each in folders)
    try:
        choice = choose_columns(collect_columns(tables), options, has_folder)
    except ColumnError:
        if not any(table.grows for table in tables):
            raise
        for table in tables:  # the column may appear later in the file
            _check_objects(table)
        choice = choose_columns(collect_columns(tables), options, has_folder)
    while True:
        survey_pass = _Pass(tables, folders, choice, options)
        survey_pass.run(progress)
        types = collect_columns(tables)
        if (better := choose_columns(types, options, has_folder)) == choice:
            break
        choice = better  # a key of NDJSON that appeared late is to be preferred
    _check_columns(tables)
    survey = survey_pass.conclude(types)
    return replace(survey, notes=(*found.notes, *survey.notes))


def leave_out_absent(inputs: Sequence[str], options: CorpusOptions) -> CorpusOptions:
    """Leave out the columns that are named and that `inputs` lack; of NDJSON, whose keys may still appear, none.

    Raises:
        InputError, ColumnError, TableError: see `survey_corpus`.
    """
    tables = [open_table(path) for path in find_inputs(inputs).paths]
    columns = collect_columns(tables)
    if any(table.grows for table in tables):
        return options
    return replace(
        options,
        text_column=options.text_column if options.text_column in columns else None,
        image_column=options.image_column if options.image_column in columns else None,
        id_column=options.id_column if options.id_column in columns else None,
    )


def open_folders(tables: Sequence[Table], folder: ImageLookup | None) -> list[ImageLookup | None]:
    """Give the folder that each table's images are looked up in: a folder as INPUT holds its own."""
    return [_open_own_images(table) or folder for table in tables]


def _open_own_images(table: Table) -> ImageLookup | None:
    if isinstance(table, ShardTable):
        return table.images
    return open_images(table.path) if table.format == "folder" else None


def collect_columns(tables: Sequence[Table]) -> dict[str, pl.DataType]:
    """Give all columns of all tables with their types in the files, String where the format has none.

    Raises:
        ColumnError: the columns of two tables differ (NDJSON apart, whose keys may still appear).
    """
    _check_columns([table for table in tables if not table.grows])
    types: dict[str, pl.DataType] = {}
    for table in tables:
        for name in table.columns:
            dtype = table.types.get(name, pl.String())
            if name not in types or holds_bytes(dtype):
                types[name] = dtype
    return types


def _check_objects(table: Table) -> None:
    """Read a table for its columns.

    Raises:
        TableError: it has none, as no line of it is a JSON object.
    """
    first: Problem | None = None
    for block in table.read_blocks(None):
        first = first or next(iter(block.problems), None)
    if first is not None and not table.columns:
        raise TableError(
            f"{table.path} holds no JSON object, and one a line is expected: the first line {first.reason}. "
            "`jq -c .` writes objects of several lines on one."
        )


def _check_columns(tables: Sequence[Table]) -> None:
    """Check that the tables have the same columns; several of NDJSON need not, as a missing key is a null there."""
    if all(table.grows for table in tables):
        return
    first = tables[0]
    for table in tables[1:]:
        for one, other in ((first, table), (table, first)):
            if lacking := [name for name in one.columns if name not in other.columns]:
                raise ColumnError(
                    f"The inputs' columns differ: {other.path} lacks {list_names(lacking)}, which {one.path} has. "
                    "Make them agree, or give the inputs one by one."
                )


class _Pass:
    """One pass over all tables, for one choice of columns."""

    def __init__(
        self,
        tables: Sequence[Table],
        folders: Sequence[ImageLookup | None],
        choice: ColumnChoice,
        options: CorpusOptions,
    ) -> None:
        self._tables = tables
        self._folders = folders
        self._choice = choice
        self._options = options
        self._by_id = choose_ids_for_images(choice) if choice.image and choice.id and not options.image_column else None
        self._inferences = [TypeInference() for _ in tables]
        self._repeats = RepeatCounter()
        self._names: list[str] = []
        self._only_urls = True
        self._first_problem = ""
        self._long_cells, self._first_long_cell = 0, ""
        self._rows = [0] * len(tables)
        self._texts = self._named = self._found = self._found_by_id = self._unreadable = 0

    def run(self, progress: Progress | None) -> None:
        """Read all rows up to the limit."""
        for number, table in enumerate(self._tables):
            for block in self._read_blocks(number, table):
                if self._options.limit is not None:
                    block = head_block(block, self._options.limit - sum(self._rows))
                if block.rows:
                    self._count(number, block)
                if progress is not None:
                    progress(sum(self._rows))
                if sum(self._rows) == self._options.limit:
                    return

    def _read_blocks(self, number: int, table: Table) -> Iterator[Block]:
        """Read a table; where it is damaged, the error says how far it can be read."""
        try:
            yield from table.read_blocks(self._choose_to_read(table))
        except TableError as error:
            if not (rows := self._rows[number]):
                raise
            raise TableError(
                f"{error} Its first {rows:,} rows can be read, which --limit {sum(self._rows)} takes."
            ) from error

    def conclude(self, types: dict[str, pl.DataType]) -> Survey:
        """Make up the survey's result, given all columns."""
        choice, named, found = self._choice, self._named, self._found
        if not found and self._found_by_id and self._by_id:
            choice, named, found = self._by_id, self._found_by_id, self._found_by_id
        options, rows = self._options, sum(self._rows)
        folder = next((each for each in self._folders if each is not None), None)
        if options.images and folder and options.only != "text" and rows and not found and not options.allow_missing:
            raise InputError(explain_no_image(folder, self._names, choice))
        schema = self._find_schema(types)
        return Survey(
            sources=tuple(
                Source(table.path, table.format, count) for table, count in zip(self._tables, self._rows, strict=True)
            ),
            rows=rows,
            schema=schema,
            choice=choice,
            texts=self._texts,
            images_named=named,
            images_found=found,
            repeated_texts=self._repeats.count(),
            unreadable=self._unreadable,
            notes=tuple(self._find_notes(types, schema)),
        )

    def _choose_to_read(self, table: Table) -> list[str] | None:
        if table.grows:
            return None
        needed = list_used(self._choice)
        if not table.types and self._options.infer_types:
            needed += keep_columns(table.columns, self._options)
        return list(dict.fromkeys(needed))

    def _count(self, number: int, block: Block) -> None:
        frame, folder = block.frame, self._folders[number]
        if missing := [name for name in list_used(self._choice) if name not in frame.columns]:
            frame = frame.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in missing)
        self._rows[number] += block.rows
        if self._options.infer_types and not self._tables[number].types:
            self._inferences[number].add(block)
        texts = read_texts(frame, self._choice).drop_nulls()
        texts = texts.filter(texts.str.contains(r"\S"))
        self._texts += len(texts)
        self._repeats.add(texts)
        self._count_images(frame, folder)
        if isinstance(self._tables[number], DelimitedTable):
            self._count_long_cells(number, block)
        self._unreadable += len(block.problems)
        if block.problems and not self._first_problem:
            first = block.problems[0]
            row = self._rows[number] - block.rows + first.row
            self._first_problem = f"row {row} of {self._tables[number].path} {first.reason}"

    def _count_long_cells(self, number: int, block: Block) -> None:
        """Count the cells that a quote which is closed records later may have made."""
        rows: list[int] = []
        for cells in block.frame:
            sizes = cells.str.len_bytes()
            long = (sizes > _LONG_CELL_LINES).arg_true()  # a shorter one has fewer lines
            if len(long):
                sizes, cells = sizes.gather(long), cells.gather(long)
                is_long = sizes > _LONG_CELL_BYTES
                for newline in ("\n", "\r"):
                    is_long |= cells.str.count_matches(newline, literal=True) >= _LONG_CELL_LINES
                rows.extend(long.filter(is_long))
        if rows and not self._long_cells:
            row = self._rows[number] - block.rows + min(rows)
            self._first_long_cell = f"row {row} of {self._tables[number].path}"
        self._long_cells += len(rows)

    def _count_images(self, frame: pl.DataFrame, folder: ImageLookup | None) -> None:
        if folder is None and self._choice.image is None and self._choice.ignored_image is None:
            return
        named, found = count_images(frame, self._choice, folder)
        self._named += named
        self._found += found
        if self._by_id is not None and not self._found:
            self._found_by_id += count_images(frame, self._by_id, folder)[1]
        if not self._found and (self._only_urls or len(self._names) < _SAMPLE_NAMES):
            names = list_image_names(frame, self._choice)
            self._only_urls = self._only_urls and all(map(is_url, names))
            self._names += names[: _SAMPLE_NAMES - len(self._names)]

    def _find_schema(self, types: dict[str, pl.DataType]) -> dict[str, pl.DataType]:
        kept = keep_columns(list(types), self._options)
        for table in self._tables:
            if isinstance(table, TypedTable):
                table.check_carried(kept)
        inferred = [inference.find_types() for inference in self._inferences]
        schema = {}
        for name in kept:
            found: list[tuple[object, pl.DataType | None]] = [
                (table.path, table.types.get(name, each.get(name)))
                for table, each in zip(self._tables, inferred, strict=True)
            ]
            schema[name] = merge_types(name, found)
        if len(self._tables) > 1:
            for name, dtype in ((SOURCE, pl.String()), (ROW, pl.Int64())):
                added = self._options.prefix + name
                if added in kept:
                    raise ColumnError(
                        f"With several inputs a column {added!r} is added, but they have one already: choose another "
                        "name with --prefix, or leave theirs out with --columns."
                    )
                schema[added] = dtype
        return schema

    def _suggest_download(self, urls: str) -> str:
        """Say with what command images are fetched that are named by URLs."""
        table, text = self._tables[0], self._choice.text
        begin = f"The images in the column {urls!r} are URLs, which are not fetched."
        if table.format not in ("csv", "tsv", "ndjson", "parquet") or table.path.suffix in (".zst", ".zstd"):
            return f"{begin} img2dataset fetches those of a CSV or Parquet table: write this one so."
        suffix = "".join(table.path.suffixes[-1:]) if table.path.suffix in (".gz", ".gzip") else ""
        kind = {"ndjson": "jsonl"}.get(table.format, table.format) + (".gz" if suffix else "")
        others = [name for name in table.columns if name not in (urls, text)]
        folder = f"{table.path.name.split('.')[0]}-images"
        words = ["img2dataset", "--url_list", str(table.path), "--input_format", kind, "--url_col", urls]
        words += ["--caption_col", text] if text else []
        words += ["--save_additional_columns", json.dumps(others, ensure_ascii=False)] if others else []
        words += ["--resize_mode", "no", "--output_format", "webdataset", "--output_folder", folder]
        return (
            f"{begin} With the posts whose images can be fetched, "
            f"`{shlex.join(words)}` fills a folder that can be scored: sentimm score {shlex.quote(folder)}"
        )

    def _find_notes(self, types: Mapping[str, pl.DataType], schema: Mapping[str, pl.DataType]) -> Iterator[str]:
        for table in self._tables:
            yield from table.notes
        for name, dtype in schema.items():
            found = {str(table.types[name]): table.path for table in self._tables if name in table.types}
            if dtype == pl.String and len(found) > 1 and str(pl.String()) not in found:
                listed = " and ".join(f"{each} in {path}" for each, path in list(found.items())[:2])
                yield f"The column {name!r} is {listed}: it is written as text, so that no value changes."
        ignored, names = self._choice.ignored_image, bool(self._names)
        if ignored is not None and names:
            yield f"The column {ignored!r} names images, which are not used: give their folder with --images."
        if self._options.only != "text" and self._choice.image is None:
            used = list_used(self._choice)
            for name, dtype in ((name, dtype) for name, dtype in types.items() if name not in used):
                if holds_bytes(dtype):
                    yield f"The column {name!r} holds bytes: if these are images, name it with --image-column."
                elif name.lower() in IMAGE_NAMES and dtype.is_nested():
                    yield f"The column {name!r} holds {dtype}, which is not used: an image is one name, or its bytes."
        if names and self._only_urls and (ignored or self._choice.image):
            yield self._suggest_download(str(ignored or self._choice.image))
        if self._long_cells:
            limits = f"more than 1 MB or {_LONG_CELL_LINES:,} lines"
            count = f"{self._long_cells} cells have" if self._long_cells > 1 else "1 cell has"
            yield (
                f"{count} {limits}; the first: {self._first_long_cell}. Check the quotes there: one that is closed far "
                "below makes the posts between a part of its cell."
            )
        if self._unreadable:
            count = f"{self._unreadable} records" if self._unreadable > 1 else "1 record"
            yield f"{count} can't be read as a row; the first: {self._first_problem}."
