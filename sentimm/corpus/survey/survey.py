"""The survey: a quick first pass over a corpus, which finds out what reading it needs to know."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from sentimm.corpus.chunks import explain_no_image, list_output_columns
from sentimm.corpus.columns.choice import TEXT_NAMES, ColumnChoice, holds_bytes, is_text_name, is_there
from sentimm.corpus.columns.nested import SAMPLE_ROWS, choose_with_nested
from sentimm.corpus.columns.values import suggest_path
from sentimm.corpus.images.image_lookup import ImageLookup, open_images
from sentimm.corpus.inputs.find import Inputs, find_inputs
from sentimm.corpus.inputs.partitioned_table import PartitionedTable
from sentimm.corpus.survey.differences import check_agreement, note_filled
from sentimm.corpus.survey.image_folders import (
    explain_image_column,
    name_images,
    note_image_folders,
    open_beside,
)
from sentimm.corpus.survey.notes import (
    note_damage,
    note_mixed_types,
    note_near_images,
    note_several_images,
    note_stray_images,
    note_text_files,
    note_unused_images,
)
from sentimm.corpus.survey.post_counter import PostCounter, Progress
from sentimm.corpus.survey.table_columns import collect_columns, explain_no_header, find_schema
from sentimm.corpus.survey.usable import check_readable, check_usable
from sentimm.corpus.tables.base import Problem, Table
from sentimm.corpus.tables.open import open_table
from sentimm.corpus.text_repairs import note_repairs
from sentimm.corpus.wording import require_utf8, shorten_name
from sentimm.errors import ColumnError, InputError, TableError
from sentimm.options import CorpusOptions
from sentimm.storage import find_real_name


@dataclass(frozen=True)
class Source:
    """One INPUT.

    Attributes:
        path: the file or folder.
        format: how a person calls it.
        rows: how many posts are read from it.
        name: what to call it in messages.
        encoding: of a text format.
        escaped_quotes: quotes in it are escaped by a backslash (CSV, TSV).
        images: the folder that its images are looked up in, where that comes with the table; None: that of the options.
        partitions: the values of columns that the names of its folders give.
    """

    path: Path
    format: str
    rows: int
    name: str
    encoding: str | None = None
    escaped_quotes: bool = False
    images: Path | None = None
    partitions: Mapping[str, str | None] = field(default_factory=dict)


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
        images_found: posts whose image is there, or one of them.
        several_images: posts that have several.
        stray_images: images in the folder that belong to no post; 0 where it can't be listed, or `--limit` is reached.
        repairs: how many texts are repaired, by kind: null_words, mojibake, markup, placeholders.
        repeated_texts: posts whose text an earlier post has; an estimate beyond 262,144 distinct texts.
        languages: of how many `texts` of a sample which shares are in `english`, and in `other` languages.
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
    several_images: int = 0
    repairs: Mapping[str, int] = field(default_factory=dict)
    stray_images: int = 0
    languages: Mapping[str, float] = field(default_factory=dict)

    def find_paths(self, start: int, rows: int) -> list[Path]:
        """Find the inputs that hold the posts from `start` on, so many rows."""
        paths, first = [], 0
        for source in self.sources:
            if first < start + rows and start < first + source.rows:
                paths.append(source.path)
            first += source.rows
        return paths

    def to_json(self) -> dict[str, Any]:
        """Return what `sentimm score --dry-run --json` prints."""
        return {
            "sources": [[source.name, source.format, source.rows] for source in self.sources],
            "rows": self.rows,
            "columns": [[name, str(dtype)] for name, dtype in self.schema.items()],
            "reasons": list(self.choice.reasons),
            "texts": self.texts,
            "images_named": self.images_named,
            "images_found": self.images_found,
            "several_images": self.several_images,
            "stray_images": self.stray_images,
            "repairs": dict(self.repairs),
            "repeated_texts": self.repeated_texts,
            "languages": dict(self.languages),
            "unreadable": self.unreadable,
            "notes": list(self.notes),
        }


def survey_corpus(inputs: Sequence[str], options: CorpusOptions, progress: Progress | None = None) -> Survey:
    """Survey the corpus that `inputs` (files, globs, folders) make; `progress` is told the rows seen, now and then.

    Raises:
        InputError: an input or the image folder is not there, no post finds an image in it, or none can be scored.
        ColumnError: a column is not there, or the inputs' columns differ.
        TableError: an input can't be read.
    """
    folder = None
    if options.images is not None:
        require_utf8(find_real_name(options.images))
        folder = open_images(options.images)
    found = find_inputs(inputs)
    tables = _open_tables(found, options)
    beside = [open_beside(table, options) for table in tables]
    folders = open_folders(tables, [own or folder for own in beside])
    counter, choice, columns = _count_posts(tables, folders, name_images(tables, beside, options), progress)
    _check_texts(counter, choice)
    images_choice, named, images_found = counter.images.conclude()
    rows, uses_images = sum(counter.rows), options.only != "text"
    check_readable(tables, counter, options)
    folder = next((each for each in folders if each is not None), None)
    if options.images and folder and uses_images and rows and not images_found and not options.allow_missing:
        raise InputError(explain_no_image(folder, counter.images.names, images_choice, list(columns)))
    repairs = counter.repairs.count()
    if not options.null_values:  # words that were named are not counted in the first place
        counter.texts -= repairs.get("null_words", 0)
    check_usable(tables, counter, images_choice, images_found, options)
    schema = find_schema(tables, counter.inferences, columns, options)
    strays = counter.images.list_strays() if uses_images and rows != options.limit else {}
    sources = _list_sources(tables, counter, beside)
    return Survey(
        sources=sources,
        rows=rows,
        schema=schema,
        choice=replace(explain_image_column(images_choice, options), repairs=counter.repairs.decide()),
        texts=counter.texts,
        images_named=named,
        images_found=images_found,
        repeated_texts=counter.repeats.count(),
        unreadable=counter.unreadable,
        notes=(
            *found.notes,
            *note_image_folders(sources),
            *note_text_files(tables),
            *(note for table in tables for note in table.notes),
            *(note_filled(tables, list(columns), choice) if options.union else ()),
            *note_mixed_types(tables, schema),
            *note_unused_images(tables[0], choice, columns, counter.images, uses_images),
            *note_several_images(counter.images.several if uses_images else 0),
            *note_repairs(repairs),
            *note_near_images(counter.images, images_choice),
            *note_stray_images(strays),
            *note_damage(counter),
        ),
        repairs=repairs,
        several_images=counter.images.several if uses_images else 0,
        stray_images=sum(map(len, strays.values())),
        languages=counter.languages.measure(),
    )


def _list_sources(
    tables: Sequence[Table], counter: PostCounter, beside: Sequence[ImageLookup | None]
) -> tuple[Source, ...]:
    return tuple(
        Source(
            table.path,
            table.format,
            rows,
            str(table.path),
            table.encoding,
            table.escaped_quotes,
            images.root if images else None,
            table.partitions,
        )
        for table, rows, images in zip(tables, counter.rows, beside, strict=True)
    )


def leave_out_absent(inputs: Sequence[str], options: CorpusOptions) -> CorpusOptions:
    """Leave out the columns that are named and that `inputs` lack; of NDJSON, whose keys may still appear, none.

    Raises:
        InputError, ColumnError, TableError: see `survey_corpus`.
    """
    tables = _open_tables(find_inputs(inputs), options)
    columns = collect_columns(tables)
    if any(table.grows for table in tables):
        return options
    return replace(
        options,
        text_column=options.text_column if is_there(options.text_column, columns) else None,
        image_column=options.image_column if is_there(options.image_column, columns) else None,
        id_column=options.id_column if is_there(options.id_column, columns) else None,
    )


def open_folders(tables: Sequence[Table], folders: Sequence[ImageLookup | None]) -> list[ImageLookup | None]:
    """Return where each table's images are looked up: in its own, where it brings any, or in that of `folders`."""
    return [table.open_images() or folder for table, folder in zip(tables, folders, strict=True)]


def _open_tables(inputs: Inputs, options: CorpusOptions) -> list[Table]:
    tables = []
    escaped = None if options.quotes is None else options.quotes == "escaped"
    for path in inputs.paths:
        table = open_table(path, options.encoding, options.no_header, escaped)
        tables.append(PartitionedTable(table, inputs.partitions[path]) if path in inputs.partitions else table)
    return tables


def _count_posts(
    tables: Sequence[Table],
    folders: Sequence[ImageLookup | None],
    options: CorpusOptions,
    progress: Progress | None,
) -> tuple[PostCounter, ColumnChoice, dict[str, pl.DataType]]:
    """Read the tables, again where that shows a better way to; return the counts, the choice and all columns."""
    has_folder = any(each is not None for each in folders)
    sample = _read_sample(tables[0])
    try:
        choice = choose_with_nested(collect_columns(tables), sample, options, has_folder)
    except ColumnError as error:
        if not any(table.grows for table in tables):
            raise explain_no_header(tables) or error from None
        for table in tables:  # the column may appear later in the file
            _check_objects(table)
        choice = choose_with_nested(collect_columns(tables), sample, options, has_folder)
    complete = [table for table in tables if not table.grows]
    check_agreement(complete, list(collect_columns(complete)), choice, options)
    if len(complete) == len(tables):
        list_output_columns(list(collect_columns(tables)), options)
    while True:
        counter = PostCounter(tables, folders, choice, options)
        counter.read_tables(progress)
        columns = collect_columns(tables)
        if any(table.is_misread for table in tables):
            for table in tables:
                table.is_misread = False
            continue
        if (better := choose_with_nested(columns, sample, options, has_folder)) == choice:
            break
        choice = better  # a key of NDJSON that appeared late is to be preferred
    check_agreement(tables, list(columns), choice, options)
    return counter, choice, columns


def _read_sample(table: Table) -> pl.DataFrame:
    """Read the first posts of a table whose values may have others inside, without images."""
    names = [name for name in table.columns if not holds_bytes(table.types.get(name, pl.String()))]
    texts = [name for name in names if is_text_name(name)]
    if any(not table.types[name].is_nested() for name in texts if name in table.types):
        return pl.DataFrame()
    frames: list[pl.DataFrame] = []
    with contextlib.suppress(TableError):  # the survey's own reading says what is wrong
        for block in table.read_blocks(None if table.grows else texts or names):
            frames.append(block.frame.head(SAMPLE_ROWS))
            if sum(map(len, frames)) >= SAMPLE_ROWS:
                break
    return pl.concat(frames, how="diagonal") if frames else pl.DataFrame()


def _check_texts(counter: PostCounter, choice: ColumnChoice) -> None:
    """Check that the texts are not all objects or lists.

    Raises:
        ColumnError: they are; the message names the text in them.
    """
    if not counter.nested_texts or counter.nested_texts < counter.texts:
        return
    path = suggest_path(str(choice.text), counter.first_nested, TEXT_NAMES)
    instead = f"--text-column {path}" if path else "--text-column"
    shown = shorten_name(counter.first_nested[:60])
    raise ColumnError(
        f"The column {choice.text!r} holds objects or lists, such as {shown}..., not text: name the text with "
        f"{instead}."
    )


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
            f"{table.path} holds no JSON object: expected one per line, but the first line {first.reason}. "
            "`jq -c .` writes each object on one line."
        )
