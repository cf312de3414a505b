"""Which columns of a corpus hold the text, the image and the id of a post."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from sentimm.corpus.wording import list_names
from sentimm.errors import ColumnError
from sentimm.options import CorpusOptions

TEXT_NAMES = ("text", "tweet", "full_text", "content", "message", "body", "caption")
IMAGE_NAMES = ("image", "image_path", "image_file", "filename", "media", "photo")
BYTES_NAMES = ("jpg", "png", "webp")  # of columns that hold images themselves, as img2dataset calls them
ID_NAMES = ("id", "tweet_id", "post_id", "guid")


@dataclass(frozen=True)
class ColumnChoice:
    """The columns that are used, and why.

    Attributes:
        text: the column of texts; None: no text is used.
        image: the column of image names or bytes; None: images are looked up by id, or not used.
        id: the column of ids.
        by_id: images are looked up in the folder by id.
        ignored_image: a column of image names that is not used, as there is no folder.
        reasons: the choice in sentences for a person.
    """

    text: str | None
    image: str | None
    id: str | None
    by_id: bool = False
    ignored_image: str | None = None
    reasons: tuple[str, ...] = ()


def choose_columns(types: Mapping[str, pl.DataType], options: CorpusOptions, has_folder: bool) -> ColumnChoice:
    """Choose among the columns of a corpus, given with their types in the files (String for text formats).

    Args:
        types: the columns, in order.
        options: what was asked for.
        has_folder: there is a folder of images to look names up in.

    Raises:
        ColumnError: a column that was named is not there, or there is neither text nor image to use.
    """
    text, why_text = _choose("text", options.text_column, TEXT_NAMES, list(types))
    names = [name for name, dtype in types.items() if _can_name_images(dtype) or holds_bytes(dtype)]
    image, why_image = _choose("image", options.image_column, IMAGE_NAMES, names, list(types))
    if image is None:
        held = [name for name in names if holds_bytes(types[name])]
        image, why_image = _choose("image", None, BYTES_NAMES, held)
    ids = [name for name, dtype in types.items() if _can_name(dtype)]
    id_, why_id = _choose("id", options.id_column, ID_NAMES, ids, list(types))
    ignored = None
    if text is not None and not _can_name(types[text]):
        raise ColumnError(f"The column {text!r} holds {types[text]}, not text: choose another one with --text-column.")
    if image is not None and image not in names:
        raise ColumnError(
            f"The column {image!r} holds {types[image]}, not images: choose another one with --image-column."
        )
    if id_ is not None and id_ not in ids:
        raise ColumnError(f"The column {id_!r} holds {types[id_]}, not ids: choose another one with --id-column.")
    if options.only == "image":
        text = None
    if image and not has_folder and not holds_bytes(types[image]):
        ignored, image = image, None
    by_id = image is None and id_ is not None and has_folder
    if options.only == "text":
        image, by_id, ignored = None, False, None
    if text is None and image is None and not by_id:
        raise ColumnError(_explain_nothing(types, options))
    reasons = [why_text] if text else []
    reasons += [why_image] if image else []
    reasons += [f"image: looked up in the folder by id; {why_id}"] if by_id else []
    return ColumnChoice(text, image, id_, by_id, ignored, tuple(reasons))


def choose_ids_for_images(choice: ColumnChoice) -> ColumnChoice:
    """Make a choice that looks images up by id rather than by the names in a column."""
    reason = f"image: looked up in the folder by id (column {choice.id!r}); no name in column {choice.image!r} is there"
    reasons = (*(each for each in choice.reasons if not each.startswith("image")), reason)
    return replace(choice, image=None, by_id=True, reasons=reasons)


def list_used(choice: ColumnChoice) -> list[str]:
    """List the columns that a choice reads."""
    names = (choice.text, choice.image, choice.id, choice.ignored_image)
    return list(dict.fromkeys(name for name in names if name is not None))


def is_list(dtype: pl.DataType) -> bool:
    """Check whether a column of this type holds several values for a row."""
    return isinstance(dtype, pl.List | pl.Array)


def holds_bytes(dtype: pl.DataType) -> bool:
    """Check whether a column of this type holds images themselves, one or a list of them.

    They are binary, or the {bytes, path} of Hugging Face.
    """
    if isinstance(dtype, pl.List | pl.Array):
        return isinstance(dtype.inner, pl.DataType) and holds_bytes(dtype.inner)
    if isinstance(dtype, pl.Struct):
        return any(field.name == "bytes" and field.dtype == pl.Binary for field in dtype.fields)
    return dtype == pl.Binary


def require_column(name: str, columns: Sequence[str], option: str) -> None:
    """Check that `name`, given with `option`, is one of the columns.

    Raises:
        ColumnError: it is not; the message lists the columns.
    """
    if name in columns:
        return
    close = difflib.get_close_matches(name, columns, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    raise ColumnError(f"{option} names {name!r}, but the columns are {list_names(columns)}{hint}")


def _can_name(dtype: pl.DataType) -> bool:
    """Check whether values of this type can be written as a text, a name or an id."""
    return not (dtype.is_nested() or dtype in (pl.Duration, pl.Object))


def _can_name_images(dtype: pl.DataType) -> bool:
    """Check whether values of this type can be the name of an image, or a list of names."""
    return _can_name(dtype) or (isinstance(dtype, pl.List | pl.Array) and dtype.inner == pl.String)


def _choose(
    kind: str, named: str | None, names: Sequence[str], columns: Sequence[str], there: Sequence[str] = ()
) -> tuple[str | None, str]:
    """Choose the column that is `named`, which may be any that is `there`, or the first of `names` in `columns`."""
    if named is not None:
        require_column(named, there or columns, f"--{kind}-column")
        return named, f"{kind}: column {named!r} (--{kind}-column)"
    plain = {column.strip().lower(): column for column in reversed(columns)}
    for name in names:
        column = name if name in columns else plain.get(name)
        if column is not None:
            return column, f"{kind}: column {column!r} (first match among {', '.join(names)})"
    return None, ""


def _explain_nothing(types: Mapping[str, pl.DataType], options: CorpusOptions) -> str:
    columns = f"(columns: {list_names(list(types))})"
    if options.only == "image":
        return f"No image column found {columns}: use --images, and --image-column or --id-column."
    if options.only == "text":
        return f"No text column found {columns}: name it with --text-column."
    if options.images is None:
        return f"No text column found {columns}: name it with --text-column (images need --images)."
    return (
        f"No column of texts, images or ids found {columns}: name one with --text-column, --image-column or "
        "--id-column."
    )
