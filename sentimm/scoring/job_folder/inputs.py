"""The inputs of a job while it runs: their posts, and whether they are still what the survey saw."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sentimm.corpus import Chunk, CorpusReader
from sentimm.errors import SentimmError, TableError
from sentimm.storage import find_state, is_remote, map_files
from sentimm.storage.archives import find_holder

InputStates = dict[Path, tuple[Any, ...] | None]


def read_posts(reader: CorpusReader, rows: int, states: InputStates) -> Iterator[Chunk]:
    """Read so many posts of inputs that had these `states`, as one chunk or, where they are large, some.

    Raises:
        TableError, OSError: they can't be read, or an input changed.
    """
    while rows:
        try:
            chunk = reader.read(rows)
        except (SentimmError, OSError):
            check_unchanged(states)  # explains more
            raise
        assert chunk is not None, "the reader returns as many posts as the survey counted"
        rows -= chunk.rows
        yield chunk


def read_states(paths: Iterable[Path]) -> InputStates:
    """Read size and time of the inputs that are files; the posts of a folder are those that the survey counted."""
    return _read_all([path for path in paths if is_remote(path) or not path.is_dir()])


def check_unchanged(states: InputStates, read: Collection[Path] | None = None) -> None:
    """Check that size and time of the inputs are still as they were.

    Args:
        states: how they were.
        read: those that were read lately: of remote ones, which cost a request each, only these are asked for; None:
            all.

    Raises:
        TableError: one is not.
    """
    looked_at = [path for path in states if read is None or path in read or not is_remote(path)]
    for path, state in _read_all(looked_at).items():
        if states[path] != state:
            raise TableError(
                f"{path} changed while it was being scored: restore it and run the same command again, or score it as "
                "it is now with --overwrite."
            )


def _read_all(paths: Sequence[Path]) -> InputStates:
    return dict(zip(paths, map_files(_read_state, paths), strict=True))


def _read_state(path: Path) -> tuple[Any, ...] | None:
    try:
        return find_state(find_holder(path))
    except OSError as error:  # of a server
        raise TableError(f"{path} can't be read: {error.strerror or error}.") from error
