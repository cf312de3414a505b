"""One pass over all tables: posts, texts, images and what is wrong with them, counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import polars as pl

from sentimm.corpus.chunks import list_output_columns, read_raw_texts
from sentimm.corpus.columns.choice import ColumnChoice, list_used
from sentimm.corpus.columns.values import find_nested
from sentimm.corpus.images.image_lookup import ImageLookup
from sentimm.corpus.survey.column_types import TypeInference
from sentimm.corpus.survey.image_counter import ImageCounter
from sentimm.corpus.survey.languages import LanguageSample
from sentimm.corpus.survey.long_cells import LongCellCounter
from sentimm.corpus.survey.repeated_texts import RepeatCounter
from sentimm.corpus.tables.base import Block, Table, head_block, make_block
from sentimm.corpus.text_repairs import RepairCounter
from sentimm.errors import TableError
from sentimm.options import CorpusOptions

Progress = Callable[[int], None]


class PostCounter:
    """Counts the posts of tables, for one choice of columns.

    Attributes:
        rows: posts of each table, `--limit` respected.
        texts: posts with a text.
        repairs: what is to be repaired in the texts.
        repeats: which of these texts repeat an earlier one.
        languages: some of these texts.
        images: posts with an image.
        inferences: of each table without types, what its values say of its columns' types.
        boosts: activities of a Mastodon archive that name another's post by its URL.
        long_cells: cells that may hold many posts.
        unreadable: records that can't be read as a row.
        nested_texts: posts whose text is an object or a list; `first_nested` is the first one.
        first_unreadable: where the first of them is, and what is wrong with it.
    """

    def __init__(
        self,
        tables: Sequence[Table],
        folders: Sequence[ImageLookup | None],
        choice: ColumnChoice,
        options: CorpusOptions,
    ) -> None:
        self.rows = [0] * len(tables)
        self.texts = 0
        self.repeats = RepeatCounter()
        self.languages = LanguageSample()
        self.images = ImageCounter(choice, options)
        words = options.null_values or ()
        self.inferences = [TypeInference(finds_wide=options.union, null_words=words) for _ in tables]
        self.repairs = RepairCounter(options.null_values)
        self.repairs.has_bare_na = bool(tables) and all(table.quotes_strings for table in tables)
        self.boosts = 0
        self.long_cells = LongCellCounter()
        self.unreadable, self.first_unreadable = 0, ""
        self.nested_texts, self.first_nested = 0, ""
        self._tables = tables
        self._folders = folders
        self._choice = choice
        self._options = options

    def read_tables(self, progress: Progress | None) -> None:
        """Read all rows up to the limit; `progress` is told the rows seen so far.

        Raises:
            TableError: a table is damaged.
        """
        for number, table in enumerate(self._tables):
            if table.partitions and self._options.infer_types:
                self.inferences[number].add(make_block(table.partitions))
            for block in self._read_blocks(number, table):
                if self._options.limit is not None:
                    block = head_block(block, self._options.limit - sum(self.rows))
                if block.rows:
                    self._add(number, block)
                if progress is not None:
                    progress(sum(self.rows))
                if sum(self.rows) == self._options.limit:
                    return

    def _read_blocks(self, number: int, table: Table) -> Iterator[Block]:
        """Read a table; where it is damaged, the error says how far it can be read."""
        try:
            yield from table.read_blocks(self._choose_columns(table))
        except TableError as error:
            if not (rows := self.rows[number]):
                raise
            raise TableError(
                f"{error} Its first {rows:,} rows can be read: use --limit {sum(self.rows)} for these."
            ) from error

    def _choose_columns(self, table: Table) -> list[str] | None:
        if table.grows:
            return None
        used = list_used(self._choice)
        needed = [*(name for name in used if name in table.columns), *table.repeated]
        if not table.types and self._options.infer_types:
            output = list_output_columns(table.columns, self._options, is_part=True)
            needed += [name for name in output if name not in table.partitions]
        return list(dict.fromkeys(needed))

    def _add(self, number: int, block: Block) -> None:
        table, frame, start = self._tables[number], block.frame, self.rows[number]
        self.rows[number] += block.rows
        if missing := [name for name in list_used(self._choice) if name not in frame.columns]:
            frame = frame.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in missing)
        if self._options.infer_types and not table.types:
            self.inferences[number].add(block)
        self.repairs.has_nan |= "nan" in block.kinds.get(str(self._choice.text), ())
        self.boosts += _count_boosts(frame, self._choice)
        texts = self.repairs.add(read_raw_texts(frame, self._choice)).drop_nulls()
        texts = _drop_blank(texts)
        self.texts += len(texts)
        if nested := find_nested(texts):
            self.first_nested = self.first_nested or nested[0]
            self.nested_texts += len(nested)
        self.repeats.add(texts)
        self.languages.add(texts)
        self.images.add(frame, self._folders[number])
        if table.may_swallow_rows:
            self.long_cells.add(block, start, table.path)
        if block.problems and not self.unreadable:
            first = block.problems[0]
            self.first_unreadable = f"row {start + first.row} of {table.path} {first.reason}"
        self.unreadable += len(block.problems)


def _count_boosts(frame: pl.DataFrame, choice: ColumnChoice) -> int:
    is_outbox = choice.text == "object.content" and frame.schema.get("type") == pl.String
    return int((frame["type"] == "Announce").sum()) if is_outbox else 0


def _drop_blank(texts: pl.Series) -> pl.Series:
    """Leave out texts (String, no null) of white space alone; those that begin with a visible ASCII character are not.

    To look into each text takes five times as long.
    """
    doubtful = ((texts < "!") | (texts > "~")).arg_true()
    blank = doubtful.filter(~texts.gather(doubtful).str.contains(r"\S"))
    if not len(blank):
        return texts
    return texts.filter(pl.repeat(True, len(texts), eager=True).scatter(blank, False))
