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
        InputError: there are several.
    """
    found = []
    for name in filter(is_metadata, names):
        with contextlib.suppress(TableError):
            if find_name_column(open_table(folder / name).columns) is not None:
                found.append(name)
    if len(found) > 1:
        raise InputError(
            f"{folder} holds {' and '.join(found)}, each of which may name its images: pass the one that is meant, "
            f"such as {folder / found[0]}."
        )
    return folder / found[0] if found else None


def find_name_column(columns: Sequence[str]) -> str | None:
    """Find the column that names the images of an image folder; None: there is none.

    Raises:
        InputError: several do.
    """
    for name in _FIRST:
        if name in columns:
            return name
    found = [column for column in columns if column.endswith(tuple(f"_{name}" for name in _NAMES))]
    if len(found) > 1:
        raise InputError(
            f"The columns {list_names(found)} name images: pass the table with --image-column, and the folder with "
            "--images."
        )
    return found[0] if found else None
