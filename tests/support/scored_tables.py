"""Tables as tests score them: what came out, or the one sentence that says why nothing did."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentimm.corpus import Survey
from sentimm.errors import SentimmError
from tests.support.reading import survey

HEADER = b"id,text\n"
OK, BAD, EMPTY = "ok", "row_unreadable", "empty"


class Scored:
    """What a job made of a table."""

    def __init__(self, frame: pl.DataFrame, found: Survey) -> None:
        self.frame = frame
        self.statuses = frame["status"].to_list()
        self.texts = frame["text"].to_list() if frame.schema.get("text") == pl.String else []
        self.notes = found.notes


Score = Callable[..., Scored]


def fail(kind: type[SentimmError], path: Path, **options: object) -> str:
    """Survey a table that can't be read: the error, one or two sentences."""
    with pytest.raises(kind) as raised:
        survey(path, **options)
    message = str(raised.value)
    assert "\n" not in message and message.endswith(".") and len(message) < 600
    return message


def write_parquet(path: Path, columns: dict[str, object]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path
