"""What the tests of the corpus share: write a file, read it whole."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa

from sentimm.corpus import Chunk, CorpusReader, Survey, survey_corpus
from sentimm.options import CorpusOptions


def write(path: Path, content: str | bytes) -> Path:
    """Write a file, compressed as its suffix says."""
    data = content.encode() if isinstance(content, str) else content
    if path.suffix == ".gz":
        data = gzip.compress(data)
    elif path.suffix == ".zst":
        data = pa.compress(data, codec="zstd", asbytes=True)
    elif path.suffix == ".bz2":
        data = bz2.compress(data)
    elif path.suffix == ".xz":
        data = lzma.compress(data)
    path.write_bytes(data)
    return path


def write_table(frame: pl.DataFrame, path: Path) -> Path:
    """Write a frame in the format that the suffix of `path` names."""
    match path.suffix:
        case ".csv":
            frame.write_csv(path)
        case ".jsonl":
            frame.write_ndjson(path)
        case _:
            frame.write_parquet(path)
    return path


def survey(*inputs: Path, **options: object) -> Survey:
    return survey_corpus([str(path) for path in inputs], CorpusOptions(**options))  # type: ignore[arg-type]


def read_chunks(*inputs: Path, rows: int = 1000, start: int = 0, **options: object) -> Iterator[Chunk]:
    options.setdefault("allow_missing", "images" not in options)  # a table of nothing is read, too
    corpus_options = CorpusOptions(**options)  # type: ignore[arg-type]
    found = survey_corpus([str(path) for path in inputs], corpus_options)
    reader = CorpusReader(found, corpus_options, start)
    while (chunk := reader.read(rows)) is not None:
        assert dict(chunk.frame.schema) == found.schema
        assert 0 < chunk.rows <= rows
        assert len(chunk.texts) == len(chunk.images) == len(chunk.unreadable) == chunk.rows
        assert [row - chunk.start for row in chunk.unreadable.nonzero()[0] + chunk.start] == [
            problem.row - chunk.start for problem in chunk.problems
        ]
        yield chunk


def read_all(*inputs: Path, **options: object) -> Chunk:
    """Read a corpus whole, as one chunk."""
    (chunk,) = read_chunks(*inputs, rows=1_000_000, **options)
    return chunk
