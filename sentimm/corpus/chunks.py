"""Chunks: consecutive posts, their own columns beside the texts and images that a model is to see."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from sentimm.corpus.columns.choice import (
    ColumnChoice,
    choose_ids_for_images,
    holds_bytes,
    is_list,
    list_image_columns,
    require_column,
)
from sentimm.corpus.columns.full_texts import complete_texts
from sentimm.corpus.columns.nested import SAMPLE_ROWS, choose_with_nested
from sentimm.corpus.columns.values import join_lines, join_parts, select_column
from sentimm.corpus.images.image_lookup import MISSING, ImageLookup, ImageSource, PostImages, is_url, open_images
from sentimm.corpus.images.near_names import is_rounded
from sentimm.corpus.images.post_images import count_by_names, find_by_names, is_found, regroup
from sentimm.corpus.tables.base import Problem
from sentimm.corpus.text_repairs import NULL_WORDS, RepairCounter, find_words, repair_texts
from sentimm.corpus.wording import shorten_name
from sentimm.errors import InputError
from sentimm.options import CorpusOptions
from sentimm.storage import is_remote, store_of

_EPOCH = date(1970, 1, 1).toordinal()
_FIRST_DAY, _LAST_DAY = date.min.toordinal() - _EPOCH, date.max.toordinal() - _EPOCH  # as polars counts days
_PER_DAY = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}


@dataclass(frozen=True)
class Chunk:
    """Consecutive posts of a corpus.

    Attributes:
        start: the place of the first one in the corpus, from 0.
        frame: the columns that are kept.
        texts: String, as they are in the table; null: no text.
        images: ImageFile: the image; MISSING: one is named that is not there; None: none is named; of a post with
            several a tuple of these, the first two.
        unreadable: bool (posts,), the records that can't be read as a row.
        problems: these records, `row` counted in the corpus.
        names: the posts' ids and the names of their images, String columns `id` and `image`, several names as a JSON
            list; None: not needed.
    """

    start: int
    frame: pl.DataFrame
    texts: pl.Series
    images: list[PostImages]
    unreadable: npt.NDArray[np.bool_]
    problems: tuple[Problem, ...] = ()
    names: pl.DataFrame | None = None

    @property
    def rows(self) -> int:
        """How many posts these are."""
        return len(self.images)

    def cut(self, first: int, rows: int) -> Chunk:
        """Return `rows` of the posts, from the one at `first` on."""
        if first == 0 and rows >= self.rows:
            return self
        start, end = self.start + first, self.start + min(self.rows, first + rows)
        return Chunk(
            start=start,
            frame=self.frame.slice(first, rows),
            texts=self.texts.slice(first, rows),
            images=self.images[first : first + rows],
            unreadable=self.unreadable[first : first + rows],
            problems=tuple(each for each in self.problems if start <= each.row < end),
            names=None if self.names is None else self.names.slice(first, rows),
        )


def chunk_frame(frame: pl.DataFrame, options: CorpusOptions) -> tuple[Chunk, ColumnChoice]:
    """Make a frame one chunk, its columns chosen as those of a table.

    Raises:
        ColumnError: a column is not there, or there is neither text nor image to use.
        InputError: the image folder is not there, or no post finds an image in it.
    """
    folder = None if options.images is None else open_images(options.images)
    frame = frame if options.limit is None else frame.head(options.limit)
    choice = choose_with_nested(dict(frame.schema), frame.head(SAMPLE_ROWS), options, folder is not None)
    images = find_images(frame, choice, folder)
    found = any(map(is_found, images))
    if folder is not None and not found and choice.image and choice.id and not options.image_column:
        by_id = choose_ids_for_images(choice)
        others = find_images(frame, by_id, folder)
        if any(map(is_found, others)):
            choice, images, found = by_id, others, True
    if folder is not None and options.only != "text" and images and not found and not options.allow_missing:
        raise InputError(explain_no_image(folder, list_image_names(frame, choice), choice, frame.columns))
    counter = RepairCounter(options.null_values)
    counter.add(read_raw_texts(frame, choice))
    choice = replace(choice, repairs=counter.decide())
    chunk = Chunk(
        start=0,
        frame=make_frame([frame[name] for name in list_output_columns(frame.columns, options)], len(frame)),
        texts=read_texts(frame, choice),
        images=images,
        unreadable=np.zeros(len(frame), dtype=bool),
    )
    return chunk, choice


def list_output_columns(columns: Sequence[str], options: CorpusOptions, *, is_part: bool = False) -> list[str]:
    """Return the columns that are kept in the output, in its order.

    `is_part`: these are the columns of one table of several, another one of which may have those that are named.

    Raises:
        ColumnError: one that is named is not there.
    """
    if options.columns is None:
        return list(columns)
    named = [name if name in columns else name.strip() for name in options.columns]  # `id, text`
    if is_part:
        named = [name for name in named if name in columns]
    for name in named:
        require_column(name, columns, "--columns")
    return list(dict.fromkeys(named))


def is_output_column(name: str, options: CorpusOptions) -> bool:
    """Check whether a column is among those that all inputs must have: those of `required`, or of the output."""
    if options.required is not None:
        return name in options.required
    return options.columns is None or name in options.columns or name in map(str.strip, options.columns)


def make_frame(columns: Sequence[pl.Series], rows: int) -> pl.DataFrame:
    """Make a frame that has its height even where it has no columns: scores are added to it."""
    if columns:
        return pl.DataFrame({column.name: column for column in columns})  # as a list, "" would get another name
    return pl.DataFrame({"": range(rows)}).drop("")


def read_texts(frame: pl.DataFrame, choice: ColumnChoice) -> pl.Series:
    """Return the texts of a frame as String, repaired; null: no text."""
    return repair_texts(read_raw_texts(frame, choice), choice.repairs)


def read_raw_texts(frame: pl.DataFrame, choice: ColumnChoice) -> pl.Series:
    """Return the texts of a frame as String, as they are; null: no text."""
    if choice.text is None:
        return pl.Series("text", [None] * len(frame), dtype=pl.String)
    texts = _read_text_column(frame, choice.text, choice)
    if choice.short_text is not None:
        is_empty = ~texts.str.contains(r"\S").fill_null(False)
        texts = _read_text_column(frame, choice.short_text, choice).zip_with(is_empty, texts)
    if choice.full_texts:
        texts = complete_texts(texts, [_to_strings(select_column(frame, name)) for name in choice.full_texts])
    return texts


def _read_text_column(frame: pl.DataFrame, name: str, choice: ColumnChoice) -> pl.Series:
    texts = join_parts(_to_strings(select_column(frame, name))).alias("text")
    return join_lines(texts) if name in choice.roots else texts


def find_images(frame: pl.DataFrame, choice: ColumnChoice, folder: ImageLookup | None) -> list[PostImages]:
    """Find the images of a frame's posts (see `Chunk.images`); without a folder no name counts."""
    if choice.image is not None:
        return _find_in_column(select_column(frame, choice.image), folder, choice.null_words)
    if choice.by_id and folder is not None:
        return [folder.find_by_id(post_id) for post_id in _read_ids(frame, choice)]
    return [None] * len(frame)


def count_images(frame: pl.DataFrame, choice: ColumnChoice, folder: ImageLookup | None) -> tuple[int, int, int]:
    """Count the posts of a frame that name an image, those that find one, and those that have several.

    They are found as `find_images` finds them.
    """
    if choice.image is None and not (choice.by_id and folder is not None):
        return 0, 0, 0
    column = None if choice.image is None else select_column(frame, choice.image)
    if folder is not None and column is not None and not column.dtype.is_nested() and not holds_bytes(column.dtype):
        return count_by_names(_drop_null_words(column, choice.null_words), folder)
    if folder is not None and choice.by_id:
        return folder.count_by_id(_read_ids(frame, choice))
    images = find_images(frame, choice, folder)
    several = sum(isinstance(each, tuple) for each in images)
    return sum(image is not None for image in images), sum(map(is_found, images)), several


def list_image_names(frame: pl.DataFrame, choice: ColumnChoice) -> list[str]:
    """Return what the posts of a frame name as their images, for messages; bytes have no names."""
    column = choice.image or choice.ignored_image or (choice.id if choice.by_id else None)
    values = None if column is None else select_column(frame, column)
    if values is None or holds_bytes(values.dtype):
        return []
    names = _to_strings(values.explode() if is_list(values.dtype) else values).str.strip_chars().drop_nulls()
    return names.filter(names != "").to_list()


def read_names(frame: pl.DataFrame, choice: ColumnChoice) -> pl.DataFrame:
    """Return what identifies the posts of a frame and their images (see `Chunk.names`)."""
    nothing = pl.Series([None] * len(frame), dtype=pl.String)
    images = nothing
    if choice.image is not None:
        values = select_column(frame, choice.image)
        images = nothing if holds_bytes(values.dtype) else _write_names(values)
    ids = _to_strings(select_column(frame, choice.id)) if choice.id is not None else nothing
    return pl.DataFrame({"id": ids, "image": images})


def explain_no_image(folder: ImageLookup, names: Sequence[str], choice: ColumnChoice, columns: Sequence[str]) -> str:
    """Return why none of the posts finds an image, and what to do, for the `names` that they give."""
    begin = f"No post finds an image in {folder.root}"
    go_on = "; use --allow-missing to continue without images."
    if choice.image is None and (likely := list_image_columns(columns)):
        one = " or ".join(map(repr, likely[:3]))
        go_on = f"; if the column {one} names the images, choose it with --image-column{go_on}"
    if not names and choice.image is None and not choice.by_id:
        return f"{begin}: no column gives a name or an id. Name one with --image-column or --id-column{go_on}"
    if not names:
        return f"{begin}: the column {choice.image or choice.id!r} is empty{go_on}"
    rounded = list(filter(is_rounded, names))
    if 2 * len(rounded) >= len(names):
        return (
            f"{begin}: a spreadsheet rounded the ids in the column {choice.image or choice.id!r} (such as "
            f"{rounded[0]}). Export the table again with that column as text{go_on}"
        )
    first = shorten_name(names[0])
    if all(map(is_url, names)):
        return f"{begin}: the images are URLs (such as {first}), which are not downloaded{go_on}"
    if choice.by_id:
        return f"{begin}: there is no {first}.jpg or the like, looked up by the column {choice.id!r}{go_on}"
    base = names[0].replace("\\", "/").rpartition("/")[2]
    if base != names[0] and folder.find_by_name(base) is not MISSING:
        return (
            f"{begin}: the posts name {first!r}, but {shorten_name(base)} is in the folder itself. Pass the folder "
            f"that these names start from as --images{go_on}"
        )
    named = f"{first!r} in the column {choice.image!r}"
    if not is_remote(folder.root) and store_of(folder.root).is_link(Path(folder.root, names[0])):
        return f"{begin}: {named} is a link that leads out of it. Pass the folder that it leads to as --images{go_on}"
    return f"{begin}: {named} is not there. Check that --images is the right folder{go_on}"


def _to_strings(values: pl.Series) -> pl.Series:
    if values.dtype in (pl.Date, pl.Datetime):
        values = _drop_strange_years(values)
    if values.dtype != pl.Binary:
        return values.cast(pl.String)
    decoded = [value if value is None else value.decode(errors="replace") for value in values.to_list()]
    return pl.Series(values.name, decoded, dtype=pl.String)


def _drop_strange_years(values: pl.Series) -> pl.Series:
    """Make dates outside of the years 1 to 9999 null: polars can't write those of far away, and ends the process."""
    dtype = values.dtype
    days = values.to_physical() // (_PER_DAY[dtype.time_unit] if isinstance(dtype, pl.Datetime) else 1)
    return values.set((days < _FIRST_DAY) | (days > _LAST_DAY), None)


def _read_ids(frame: pl.DataFrame, choice: ColumnChoice) -> list[str | None]:
    """Return the ids by which images are looked up; None where there is none."""
    return _drop_null_words(select_column(frame, str(choice.id)), choice.null_words).to_list()


def _drop_null_words(values: pl.Series, more: Sequence[str]) -> pl.Series:
    """Return the names in a column of images, or ids, as String; null where NA, or one of `more`, is for nothing."""
    names = _to_strings(values)
    rows = find_words(names, (*NULL_WORDS, *more))
    return names.scatter(rows, None) if len(rows) else names


def _write_names(values: pl.Series) -> pl.Series:
    """Return the names in a column of images as String, a list of them as JSON."""
    if not is_list(values.dtype):
        return _to_strings(values)
    lists = [None if names is None else json.dumps(list(names), ensure_ascii=False) for names in values.to_list()]
    return pl.Series(values.name, lists, dtype=pl.String)


def _find_in_column(values: pl.Series, folder: ImageLookup | None, null_words: Sequence[str]) -> list[PostImages]:
    if is_list(values.dtype):
        lengths = (values.arr if isinstance(values.dtype, pl.Array) else values.list).len().fill_null(0)
        found = _find_in_column(values.filter(lengths > 0).explode(), folder, null_words)
        return regroup(found, lengths.to_list())
    if values.dtype == pl.Binary:
        return list(values.to_list())
    if holds_bytes(values.dtype):
        return list(_find_bytes_or_names(values, folder))
    return [None] * len(values) if folder is None else find_by_names(_drop_null_words(values, null_words), folder)


def _find_bytes_or_names(values: pl.Series, folder: ImageLookup | None) -> list[ImageSource]:
    data = values.struct.field("bytes").to_list()
    if "path" not in values.struct.fields:
        return list(data)
    names = values.struct.field("path").cast(pl.String).to_list()
    images: list[ImageSource] = []
    for content, name in zip(data, names, strict=True):
        if content is not None or not name:
            images.append(content)
        else:
            images.append(MISSING if folder is None else folder.find_by_name(name))
    return images
