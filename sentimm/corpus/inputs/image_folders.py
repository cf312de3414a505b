"""Image folders as Hugging Face has them: a table called metadata.csv names the images that lie beside it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from sentimm.corpus.tables.open import open_table
from sentimm.corpus.wording import list_names
from sentimm.errors import InputError, TableError

_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_NAMES = ("file_name", "file_names")
_FIRST = (*_NAMES, "image_file_name", "image_file_names")


def is_metadata(name: str) -> bool:
    """Check whether a table of this name may be that of an image folder."""
    return name.lower() in _METADATA


def find_metadata(folder: Path, names: Sequence[str]) -> Path | None:
    """Find the table that makes `folder`, which holds files of these `names`, an image folder; None: it is none.

    Raises:
        InputError: there are several, or it has several columns that may name the images.
    """
    found = {}
    for name in filter(is_metadata, names):
        with contextlib.suppress(TableError):
            if columns := list_name_columns(open_table(folder / name).columns):
                found[name] = columns
    if not found:
        return None
    first = next(iter(found))
    if len(found) > 1:
        raise InputError(
            f"{folder} holds {' and '.join(found)}, each of which may name its images: pass the one that is meant, "
            f"such as {folder / first}."
        )
    if len(found[first]) > 1:
        raise InputError(
            f"The columns {list_names(found[first])} of {folder / first} name images: pass that table with "
            f"--image-column and --images {folder}."
        )
    return folder / first


def list_name_columns(columns: Sequence[str]) -> list[str]:
    """List the columns that may name the images of an image folder: one, where one of them is called `file_name`."""
    first = next((name for name in _FIRST if name in columns), None)
    return [first] if first else [name for name in columns if name.endswith(tuple(f"_{each}" for each in _NAMES))]
