"""Tables that bring their images in the folder that they lie in, and folders that are named like labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from sentimm.corpus.chunks import find_images
from sentimm.corpus.columns.choice import ColumnChoice
from sentimm.corpus.images.image_lookup import ImageLookup, open_images
from sentimm.corpus.images.post_images import is_found
from sentimm.corpus.inputs.image_folders import is_metadata, list_name_columns
from sentimm.corpus.tables.base import Table
from sentimm.corpus.wording import list_names
from sentimm.errors import ColumnError, InputError
from sentimm.options import CorpusOptions
from sentimm.storage import is_remote, is_web

if TYPE_CHECKING:
    from sentimm.corpus.survey.survey import Source, Survey


def open_beside(table: Table, options: CorpusOptions) -> ImageLookup | None:
    """Return where the images of an image folder's table are looked up: beside it; None: it is no such table.

    One of the images that its first posts name must be there.
    """
    if options.images is not None or not is_metadata(table.path.name) or is_web(table.path):
        return None
    columns = [options.image_column] if options.image_column else list_name_columns(table.columns)
    if len(columns) != 1 or columns[0] not in table.columns:
        return None
    block = next(iter(table.read_blocks(columns)), None)
    if block is None:
        return None
    try:
        folder = open_images(table.path.parent)
    except InputError:  # which may not be read
        return None
    images = find_images(block.frame, ColumnChoice(None, columns[0], None), folder)
    return folder if any(map(is_found, images)) else None


def name_images(tables: Sequence[Table], beside: Sequence[ImageLookup | None], options: CorpusOptions) -> CorpusOptions:
    """Name the column of images where the tables are those of image folders."""
    if options.image_column is not None:
        return options
    found = (list_name_columns(table.columns) for table, own in zip(tables, beside, strict=True) if own is not None)
    return replace(options, image_column=next(found, [None])[0])


def explain_image_column(choice: ColumnChoice, options: CorpusOptions) -> ColumnChoice:
    """Correct the reasons for a choice of columns, of which `name_images` may have named one."""
    if options.image_column is not None:
        return choice
    reasons = tuple(each.replace(" (--image-column)", " (of an image folder)") for each in choice.reasons)
    return replace(choice, reasons=reasons)


def note_image_folders(sources: Sequence[Source]) -> Iterator[str]:
    """Yield a note about tables whose images are looked up beside them."""
    tables = [str(source.path) for source in sources if source.images is not None]
    if tables:
        names, own = ("names", "it") if len(tables) == 1 else ("name", "them")
        yield f"{list_names(tables)} {names} images in the folder beside {own}, which are read."


def read_folder_labels(survey: Survey, column: str) -> pl.Series | None:
    """Return the names of the posts' folders, as a column of labels.

    Returns:
        String (posts,); None where a source is no folder of posts, or the posts have this column.
    """
    if column in survey.schema or any(source.format != "folder" for source in survey.sources):
        return None
    names = [pl.Series(column, [_name_folder(each.path)]).new_from_index(0, each.rows) for each in survey.sources]
    return pl.concat(names)


def note_folder_labels(survey: Survey) -> str:
    """Return a note about posts that are labelled by their folders."""
    folders = [f"{_name_folder(each.path)} ({each.rows:,})" for each in survey.sources]
    return f"The posts are labelled by the names of their folders: {list_names(folders)}."


def explain_folder_labels(survey: Survey, labels: Sequence[str], error: ColumnError) -> ColumnError:
    """Return the error for folders of posts that are not named like labels; `error` where their names are numbers."""
    names = [_name_folder(source.path) for source in survey.sources]
    if all(name.lstrip("+-").isdecimal() for name in names):
        return error
    return ColumnError(
        f"Folders of posts are labelled by their names, which must be among {', '.join(labels)}; here they are "
        f"{list_names(names)}. Pass those that are named so one by one, or name other labels with --labels."
    )


def _name_folder(path: Path) -> str:
    return path.name if is_remote(path) else path.absolute().name
