"""CSV and TSV files, as blocks of strings."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.csv

from sentimm.corpus.tables.base import Block, Problem, Table, cut_block, find_repeated, read_arrow
from sentimm.corpus.tables.delimited_records import MAX_RAW_BYTES, Records, RecordSplitter
from sentimm.corpus.tables.dialects.escaped_quotes import ESCAPED_QUOTE, count_misfits, double_quotes
from sentimm.corpus.tables.dialects.header_names import find_extra_field, holds_cell, name_by_place
from sentimm.corpus.tables.dialects.quoted_strings import quotes_strings
from sentimm.corpus.tables.dialects.title_lines import find_title_lines
from sentimm.corpus.tables.text_stream import TextStream
from sentimm.corpus.wording import shorten_name
from sentimm.errors import TableError

_DAMAGED = "has a quoted field that does not end at a delimiter, or a line that is too long"
_SEPARATOR = re.compile(rb'"?sep=([,;|\t])"?[\r\n]+', re.IGNORECASE)  # a line for Excel
_NEWLINE = re.compile(rb"[\r\n]")
_NOT_BLANK = re.compile(rb"[^\r\n]")
_MAX_HEADER_BYTES = 1 << 20  # less than a block: a longer one is no header, but a file without newlines
_SAMPLE_BYTES = 1 << 16  # in which the records are compared with the header
_LOOK_BYTES = 1 << 20  # in which it is found out where the header is, and how quotes are escaped
_QUESTION_IDS = (b'"{""ImportId"":', b'{"ImportId":', b"\"{'ImportId':")  # begin a record of Qualtrics

_DELIMITERS = {"csv": ",", "tsv": "\t"}
_OTHER_DELIMITERS = (";", "\t", "|", ",")
_DELIMITER_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}


class DelimitedTable(Table):
    """A CSV or TSV file; its first record names the columns, unless there is no header.

    A first line such as `sep=;`, which is for Excel, names the delimiter. Titles and comments above the header are left
    out.
    A header without the delimiter of its format, but with semicolons, tabs, vertical bars or commas, is split at these.
    Quotes are escaped by doubling them, or by a backslash where that explains the records and doubling does not.

    Args:
        path: the file.
        format_: csv or tsv.
        encoding: see `TextStream`.
        no_header: the first record is a post.
        escaped_quotes: quotes are escaped by a backslash; None: that is to be found out.

    Raises:
        TableError: the file is empty or can't be read, or two columns have one name.
    """

    may_swallow_rows = True

    def __init__(
        self,
        path: Path,
        format_: str,
        encoding: str | None = None,
        no_header: bool = False,
        escaped_quotes: bool | None = None,
    ) -> None:
        super().__init__(path)
        self.format = format_
        self._notes: list[str] = []
        self._doubts = False
        self._stream = TextStream(path, encoding)
        head = next((block for block in self._stream if block), b"")
        blank = len(head) - len(head.lstrip(b"\r\n"))
        if separator := _SEPARATOR.match(head, blank):
            blank = separator.end()
        if not no_header:
            blank += self._skip_title_lines(
                head[blank : blank + _LOOK_BYTES], separator[1].decode() if separator else None
            )
        line = _NEWLINE.split(head[blank:], maxsplit=1)[0]
        if not line.strip():
            raise TableError(f"{path} is empty: expected a first line of column names.")
        if len(line) > _MAX_HEADER_BYTES:
            raise TableError(f"{path} has a first line of more than 1 MB: expected column names.")
        if b"\0" in line:
            raise TableError(f"{path} is not a text file: expected {format_.upper()} in UTF-8, or give its --encoding.")
        if separator:
            self._delimiter = separator[1].decode()
            self._notes.append(f"{path} is split at {_DELIMITER_NAMES[self._delimiter]}, as its first line says.")
        else:
            self._delimiter = self._choose_delimiter(line.decode(errors="replace"))
        self._escaped_quotes = escaped_quotes
        if escaped_quotes is None and ESCAPED_QUOTE in head:
            self._look_for_escapes(head[blank : blank + _LOOK_BYTES], is_whole=len(head) < _LOOK_BYTES)
        self._data_start = self._find_end_of_header(head, blank)
        header = self._double_quotes(head[blank : self._data_start]).decode()
        if no_header:
            self._data_start, self._header = blank, ""
            self._columns = dict.fromkeys(name_by_place([""] * len(self._parse_line(header, self._delimiter))))
            return
        self._columns = dict.fromkeys(self._name_columns(header))
        self._header = header.strip("\r\n")
        self._data_start = self._skip_questions(head)
        if (names := self._fit_names(header, head[self._data_start :])) is not None:
            self._columns = dict.fromkeys(names)
        if header.startswith('"'):  # R quotes them, too
            body = head[self._data_start : self._data_start + _LOOK_BYTES].lstrip(b"\r\n")
            records = self._make_splitter().split(body, final=len(head) < _LOOK_BYTES)
            self.quotes_strings = quotes_strings(records.good, self._delimiter)

    @property
    def notes(self) -> tuple[str, ...]:
        """How the file is read, in sentences; complete after reading."""
        notes = list(self._notes)
        if self._escaped_quotes:
            notes.append(f"{self.path} escapes quotes with a backslash, as Spark and MySQL do: they are read so.")
        elif self._doubts:
            notes.append(
                f"{self.path} holds quotes behind a backslash: if they are escaped so, fewer records are damaged. "
                "Where that is meant, use --quotes escaped, else --quotes doubled."
            )
        return (*notes, *self._stream.notes)

    @property
    def escaped_quotes(self) -> bool:
        """Quotes are escaped by a backslash; known after reading."""
        return bool(self._escaped_quotes)

    @property
    def encoding(self) -> str:
        """That of the file."""
        return self._stream.encoding

    def read_blocks(self, columns: Sequence[str] | None, start: int = 0) -> Iterator[Block]:
        """Yield the rows from `start` on (see `Table`); those before are parsed only to count them."""
        columns = self.columns if columns is None else columns
        seen = 0
        for records, data, is_last in self._split_stream():
            table, invalid = self._parse(records.good, columns)
            if self._escaped_quotes is None and (invalid or len(records.good) != len(data)):
                self._look_for_escapes(data, is_last)
                if self._escaped_quotes:
                    self.is_misread = True
                    return
            if self._may_repeat_header(records.good, table):
                table, invalid = self._leave_out_headers(*self._parse(records.good, self.columns))
            rows = table.num_rows + len(invalid) + len(records.damaged)
            skip, seen = max(0, start - seen), seen + rows
            if skip < rows:
                yield cut_block(_place_rows(table.select(list(columns)), invalid, records.damaged), skip)

    def _skip_title_lines(self, head: bytes, delimiter: str | None) -> int:
        """Return how many bytes the lines above the header have."""
        delimiters = (delimiter,) if delimiter else (_DELIMITERS[self.format], *_OTHER_DELIMITERS)
        if (above := find_title_lines(head, delimiters)) is None:
            return 0
        lines = "1 line" if above.count == 1 else f"{above.count} lines"
        first = shorten_name(above.first)
        self._notes.append(f"{self.path} has {lines} above its header, which are left out; the first: {first!r}.")
        return above.size

    def _look_for_escapes(self, data: bytes, is_whole: bool) -> None:
        """Find out by some records whether quotes are escaped by a backslash; `is_whole`: the file ends with them."""
        misfits = count_misfits(data, self._delimiter, is_whole)
        if misfits.prove_escapes:
            self._escaped_quotes = True
        self._doubts = self._doubts or misfits.leave_doubts

    def _double_quotes(self, records: bytes) -> bytes:
        return double_quotes(records, self._delimiter) if self._escaped_quotes else records

    def _make_splitter(self, skip_blank: bool = True, literal_quotes: bool = False) -> RecordSplitter:
        return RecordSplitter(self._delimiter, skip_blank, literal_quotes, self.escaped_quotes)

    def _choose_delimiter(self, line: str) -> str:
        default = _DELIMITERS[self.format]
        for delimiter in (default, *_OTHER_DELIMITERS):
            if len(self._parse_line(line, delimiter)) > 1:
                if delimiter != default:
                    self._notes.append(f"{self.path} is split at {_DELIMITER_NAMES[delimiter]}.")
                return delimiter
        return default

    def _parse_line(self, line: str, delimiter: str) -> list[str]:
        try:
            return next(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter), [])
        except csv.Error as error:
            raise TableError(f"{self.path} has a header that can't be read: {error}.") from error

    def _find_end_of_header(self, head: bytes, blank: int) -> int:
        end = self._make_splitter().find_first_end(head, blank)
        if end is None:
            raise TableError(f"{self.path} has unbalanced quotes in its header: fix its first line.")
        return end

    def _skip_questions(self, head: bytes) -> int:
        """Find where the records begin behind the questions and their ids, which Qualtrics writes under the header."""
        start = self._data_start
        if head.find(b"ImportId", start, start + _LOOK_BYTES) < 0:
            return start
        ids = self._make_splitter().find_first_end(head, start)
        if ids is None or not head.startswith(_QUESTION_IDS, ids):
            return start
        end = self._make_splitter().find_first_end(head, ids)
        self._notes.append(
            f"{self.path} has questions and their ids under its header, from Qualtrics: they are left out."
        )
        return len(head) if end is None else end

    def _name_columns(self, header: str) -> list[str]:
        names = self._parse_line(header, self._delimiter)
        if "" in names:
            names = name_by_place(names)
            self._notes.append(f"{self.path} has columns without a name: they are named by position (column_1).")
        if (twice := find_repeated(names)) is not None:
            raise TableError(
                f"{self.path} has more than one column named {shorten_name(twice)!r}: rename one of them, or add "
                "--no-header if its first line is a post."
            )
        return names

    def _fit_names(self, header: str, body: bytes) -> list[str] | None:
        """Name one column more where all records have one field more than the header; None: they have not."""
        splitter = self._make_splitter()
        body = body.lstrip(b"\r\n")
        end = splitter.find_first_end(body, 0)
        if end is None or end > _SAMPLE_BYTES or len(self.columns) < 2:
            return None
        first = self._double_quotes(body[:end]).decode()
        if len(self._parse_line(first, self._delimiter)) != len(self.columns) + 1:  # nearly all files
            return None
        sample = self._read_sample()
        records = splitter.split(sample.lstrip(b"\r\n"), final=len(sample) < _SAMPLE_BYTES)
        if not records.good or records.damaged:
            return None
        good = self._double_quotes(records.good).decode()
        rows = list(csv.reader(io.StringIO(good, newline=""), delimiter=self._delimiter))
        rows = [row for row in rows if row]
        place = find_extra_field(
            rows, len(self.columns), is_quoted=header.startswith('"') and records.good.startswith(b'"')
        )
        if place is None:
            return None
        names = [*self.columns, ""] if place == -1 else ["", *self.columns]
        named = name_by_place(names)
        kind = "an empty field at its end" if place == -1 else "the name of a row before the others, as R writes it"
        self._notes.append(
            f"{self.path} has one field more in every record than in the header, {kind}: it is the column "
            f"{named[place]!r}."
        )
        return named

    def _read_sample(self) -> bytes:
        """Return the first bytes behind the header, _SAMPLE_BYTES of them where there are so many."""
        sample = b""
        for block in self._stream:
            sample += block
            if len(sample) >= self._data_start + _SAMPLE_BYTES:
                break
        return sample[self._data_start :][:_SAMPLE_BYTES]

    def _split_stream(self) -> Iterator[tuple[Records, bytes, bool]]:
        """Yield the records of the file, their bytes in it, and whether they are the last; a block at a time."""
        splitter = self._make_splitter(len(self.columns) > 1, literal_quotes=self._delimiter == "\t")
        buffer, unread = b"", self._data_start
        for data in self._stream:
            buffer += data[unread:]
            unread = max(0, unread - len(data))
            records = splitter.split(buffer, final=False)
            taken = records.good if len(records.good) == records.size else buffer[: records.size]
            buffer = buffer[records.size :]
            yield replace(records, good=self._double_quotes(records.good)), taken, False
        if buffer:
            records = splitter.split(buffer, final=True)
            yield replace(records, good=self._double_quotes(records.good)), buffer, True

    def _may_repeat_header(self, good: bytes, table: pa.Table) -> bool:
        """Check whether a record begins like the header: where none does, nothing else is done.

        Where the first column was parsed, its cells are compared: a hundredth of the time of looking at all.
        """
        if len(self.columns) < 2 or not self._header:
            return False
        if self.columns[0] in table.column_names and table.num_rows:
            name = self._parse_line(self._header, self._delimiter)[0]
            # A file's byte order mark may stand before it.
            return holds_cell(table[self.columns[0]], (name, f"\ufeff{name}", f'\ufeff"{name}"'))
        header = self._header.encode()
        if header not in good:
            return False
        return good.startswith(header) or any(mark + header in good for mark in (b"\n", b"\r", codecs.BOM_UTF8))

    def _leave_out_headers(self, table: pa.Table, invalid: list[Problem]) -> tuple[pa.Table, list[Problem]]:
        """Count records that repeat the header, as where files were put one after the other, among the `invalid`."""
        names = self._parse_line(self._header, self._delimiter)
        if len(names) != len(self.columns):
            return table, invalid
        first = pl.col(self.columns[0])
        # A file's byte order mark keeps a quote after it from opening a field.
        marked = first.is_in([f"\ufeff{names[0]}", f'\ufeff"{names[0]}"'])
        frame = read_arrow(table).with_columns(
            pl.when(marked).then(pl.lit(names[0])).otherwise(first).alias(self.columns[0])
        )
        equal = (pl.col(column).fill_null("") == name for column, name in zip(self.columns, names, strict=True))
        repeats = frame.select(pl.all_horizontal(*equal)).to_series().to_numpy()
        is_valid: npt.NDArray[np.bool_] = np.ones(table.num_rows + len(invalid), dtype=bool)
        is_valid[[problem.row for problem in invalid]] = False
        places = np.flatnonzero(is_valid)[repeats]
        found = [Problem(int(place), self._header, "repeats the header") for place in places]
        return table.filter(pa.array(~repeats)), [*invalid, *found]

    def _parse(self, good: bytes, columns: Sequence[str]) -> tuple[pa.Table, list[Problem]]:
        """Parse well-formed records: the table of those that fit the header, and the others (their row among all)."""
        invalid: list[Problem] = []
        is_blank = not good or (len(self.columns) > 1 and not _NOT_BLANK.search(good))
        if is_blank:
            # pa.array would import pandas where that is installed: half a second.
            return pa.Table.from_batches([], pa.schema([(name, pa.string()) for name in self.columns])), invalid

        if good.startswith(codecs.BOM_UTF8):  # of a cell, as the file's is gone: pyarrow takes one away
            good = codecs.BOM_UTF8 + good

        def keep_invalid(row: pyarrow.csv.InvalidRow) -> str:
            reason = f"has {_count_fields(row.actual_columns)} where the header has {row.expected_columns}"
            invalid.append(Problem(row.number - 1, row.text[:MAX_RAW_BYTES], reason))
            return "skip"

        table = pyarrow.csv.read_csv(
            pa.py_buffer(good),
            # One block, one thread: only so does pyarrow know the numbers of invalid rows.
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False, block_size=len(good) + 1, column_names=list(self.columns)
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=self._delimiter,
                newlines_in_values=True,
                ignore_empty_lines=len(self.columns) > 1,
                invalid_row_handler=keep_invalid,
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(self.columns, pa.string()),
                # An empty list would mean all columns; one is needed to count the rows.
                include_columns=list(columns) or [self.columns[0]],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                null_values=[""],
                check_utf8=False,  # the stream is clean
            ),
        )
        return table, invalid


def _count_fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count} fields"


def _place_rows(table: pa.Table, invalid: Sequence[Problem], damaged: Sequence[tuple[int, bytes]]) -> Block:
    """Put the unreadable records between the rows of `table`, each in its place."""
    frame = read_arrow(table)
    if not invalid and not damaged:
        return Block(frame, table.num_rows)
    rows = table.num_rows + len(invalid) + len(damaged)
    is_damaged: npt.NDArray[np.bool_] = np.zeros(rows, dtype=bool)
    is_damaged[[row for row, _ in damaged]] = True
    undamaged = np.flatnonzero(~is_damaged)
    problems = [replace(problem, row=int(undamaged[problem.row])) for problem in invalid]
    problems += [Problem(row, line.decode(errors="replace"), _DAMAGED) for row, line in damaged]
    problems.sort(key=lambda problem: problem.row)
    good: npt.NDArray[np.bool_] = np.ones(rows, dtype=bool)
    good[[problem.row for problem in problems]] = False
    source = pl.Series(np.cumsum(good) - 1).set(pl.Series(~good), None)
    return Block(frame.select(pl.all().gather(source)), rows, tuple(problems))
