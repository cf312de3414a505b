"""Small tables in several formats."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

FORMATS = pytest.mark.parametrize("suffix", ["csv", "ndjson", "parquet"])


def write_table(folder: Path, suffix: str, columns: dict[str, list[str]]) -> Path:
    frame, path = pl.DataFrame(columns), folder / f"posts.{suffix}"
    writers = {"csv": frame.write_csv, "ndjson": frame.write_ndjson, "parquet": frame.write_parquet}
    writers[suffix](path)
    return path
