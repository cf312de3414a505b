"""Reading a surveyed corpus, chunk by chunk, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from sentimm.corpus.chunks import Chunk, find_images, make_frame, read_names, read_texts
from sentimm.corpus.columns.choice import list_used
from sentimm.corpus.images.image_lookup import ImageLookup, open_images
from sentimm.corpus.images.post_images import list_images
from sentimm.corpus.inputs.partitioned_table import PartitionedTable
from sentimm.corpus.survey.column_types import convert_series
from sentimm.corpus.survey.differences import read_filled
from sentimm.corpus.survey.survey import Source, Survey, open_folders
from sentimm.corpus.survey.table_columns import ROW, SOURCE
from sentimm.corpus.tables.base import Block, Table, head_block
from sentimm.corpus.tables.open import open_table
from sentimm.errors import TableError
from sentimm.options import CorpusOptions
from sentimm.storage import hide_secrets

CHUNK_BYTES = 256 << 20  # a chunk of long texts, or of images as bytes, has fewer rows than asked for


class CorpusReader:
    """Reads the posts of a surveyed corpus in order.

    Args:
        survey: what the survey of this corpus found.
        options: those of the survey.
        start: how many posts to leave out at the beginning.
        images: the folder of their images, where it is open already.
    """

    def __init__(
        self, survey: Survey, options: CorpusOptions, start: int = 0, images: ImageLookup | None = None
    ) -> None:
        self._images = images
        self._survey = survey
        self._options = options
        self._pieces = self._read_pieces(start)
        self._rest: Chunk | None = None

    def read(self, rows: int) -> Chunk | None:
        """Return the next posts: `rows` of them, fewer at the end or where they are large; None at the end.

        Raises:
            TableError: an input can't be read, or changed since the survey.
        """
        taken: list[Chunk] = []
        wanted, size = rows, 0
        while wanted > 0 and size < CHUNK_BYTES:
            piece = self._rest or next(self._pieces, None)
            if piece is None:
                break
            taken.append(piece.cut(0, wanted))
            self._rest = piece.cut(wanted, piece.rows) if piece.rows > wanted else None
            wanted -= taken[-1].rows
            size += _measure(taken[-1])
        return join_chunks(taken) if taken else None

    def _read_pieces(self, start: int) -> Iterator[Chunk]:
        """Yield the posts from `start` on, in chunks as large as the tables' blocks."""
        folder = self._images
        if folder is None and self._options.images is not None:
            folder = open_images(self._options.images)
        first = 0
        for source in self._survey.sources:
            skip = min(max(0, start - first), source.rows)
            if skip < source.rows:
                table = open_table(source.path, source.encoding, self._options.no_header, source.escaped_quotes)
                if source.partitions:
                    table = PartitionedTable(table, source.partitions)
                (images,) = open_folders([table], [open_images(source.images) if source.images else folder])
                yield from self._read_table(source, table, images, first, skip)
            first += source.rows

    def _read_table(
        self, source: Source, table: Table, folder: ImageLookup | None, first: int, skip: int
    ) -> Iterator[Chunk]:
        columns = self._list_columns()
        fills = self._options.union or self._options.required is not None
        for name in columns:
            if name not in table.columns and not (table.grows or fills):
                raise TableError(f"{source.path} changed while it was read: it has no column {name!r}. Start again.")
        row = skip
        for block in read_filled(table, columns, skip):
            if row + block.rows > source.rows:
                if self._survey.rows != self._options.limit:
                    raise TableError(f"{source.path} grew while it was read: start again.")
                block = head_block(block, source.rows - row)
            if block.rows:
                yield self._make_chunk(block, source, folder, first, row)
            row += block.rows
            if row == source.rows and self._survey.rows == self._options.limit:
                return
        if row < source.rows:
            raise TableError(
                f"{source.path} shrank while it was read: {row} rows of {source.rows} are there. Start again."
            )

    def _list_columns(self) -> list[str]:
        """List the columns of the tables that are needed: those kept, and those that the posts are made of."""
        added = (self._options.prefix + SOURCE, self._options.prefix + ROW) if len(self._survey.sources) > 1 else ()
        output = [name for name in self._survey.schema if name not in added]
        return list(dict.fromkeys([*output, *list_used(self._survey.choice)]))

    def _make_chunk(self, block: Block, source: Source, folder: ImageLookup | None, first: int, row: int) -> Chunk:
        several, null_words = len(self._survey.sources) > 1, self._options.null_values or ()
        series = []
        for name, dtype in self._survey.schema.items():
            if several and name == self._options.prefix + SOURCE:
                series.append(
                    pl.Series(name, [hide_secrets(source.path)], dtype=pl.String).new_from_index(0, block.rows)
                )
            elif several and name == self._options.prefix + ROW:
                series.append(pl.Series(name, np.arange(row, row + block.rows, dtype=np.int64)))
            else:
                series.append(convert_series(block.frame[name], dtype, source.path, null_words))
        unreadable = np.zeros(block.rows, dtype=bool)
        unreadable[[problem.row for problem in block.problems]] = True
        return Chunk(
            start=first + row,
            frame=make_frame(series, block.rows),
            texts=read_texts(block.frame, self._survey.choice),
            images=find_images(block.frame, self._survey.choice, folder),
            unreadable=unreadable,
            problems=tuple(replace(each, row=first + row + each.row, file=source.path) for each in block.problems),
            names=read_names(block.frame, self._survey.choice),
        )


def join_chunks(chunks: Sequence[Chunk]) -> Chunk:
    """Make one chunk of consecutive ones."""
    if len(chunks) == 1:
        return chunks[0]
    return Chunk(
        start=chunks[0].start,
        frame=pl.concat([chunk.frame for chunk in chunks]),
        texts=pl.concat([chunk.texts for chunk in chunks]),
        images=[image for chunk in chunks for image in chunk.images],
        unreadable=np.concatenate([chunk.unreadable for chunk in chunks]),
        problems=tuple(problem for chunk in chunks for problem in chunk.problems),
        names=pl.concat([chunk.names for chunk in chunks if chunk.names is not None]),
    )


def _measure(chunk: Chunk) -> int:
    images = 0
    if {bytes, tuple} & set(map(type, chunk.images)):
        images = sum(len(each) for post in chunk.images for each in list_images(post) if isinstance(each, bytes))
    return int(chunk.frame.estimated_size()) + int(chunk.texts.estimated_size()) + images
