"""WebDataset shards: tar archives in which 012.jpg, 012.txt and 012.json, one behind the other, are a post."""

from __future__ import annotations

import itertools
import json
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from sentimm.corpus.encodings import decode_text, note_texts
from sentimm.corpus.images.id_index import split_suffix
from sentimm.corpus.images.image_lookup import MISSING, Missing
from sentimm.corpus.tables.base import Block, Problem, Table
from sentimm.corpus.tables.delimited_records import MAX_RAW_BYTES, MAX_RECORD_BYTES
from sentimm.corpus.tables.json_files.ndjson import build_block, parse_lines
from sentimm.corpus.wording import to_utf8
from sentimm.errors import TableError
from sentimm.images import IMAGE_SUFFIXES, MAX_FILE_BYTES
from sentimm.storage import is_remote, open_file

_BLOCK_SAMPLES = 256
_HEAD_SAMPLES = 64  # whose keys are known before the shard is read
_TAR_BLOCK = 512
_MAX_HEADER_BYTES = 1 << 20  # of a member's extended header


@dataclass(frozen=True)
class _Member:
    """A file in the archive: its name, and where its content lies."""

    name: str
    offset: int
    size: int


@dataclass
class _Sample:
    """The files of one key: its images, and of others, such as .txt and .json, the first of each suffix."""

    key: str
    files: dict[str, _Member] = field(default_factory=dict)
    images: list[_Member] = field(default_factory=list)


class ShardTable(Table):
    """A WebDataset shard: a post for each key.

    `id` is the key, `text` the content of its .txt, `image` the name of its image, or a JSON list of the names of
    several (`012.0.jpg`, `012.1.jpg`), whose bytes `images` gives; the fields of its .json are columns too, and its
    `id` goes before the key. A shard that is cut off or damaged is read up to there, and a note says so.

    Raises:
        TableError: the file can't be read, or is no tar archive.
    """

    format = "webdataset"
    grows = True

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        super().__init__(path, ("id",))
        self.images = ShardImages(path)
        self._encoding = encoding
        self._wrong = Counter[str]()
        self._damage = ""
        for records, _ in self._read_records(itertools.islice(self._read_samples(), _HEAD_SAMPLES)):
            self._columns.update(dict.fromkeys(itertools.chain.from_iterable(records)))

    @property
    def notes(self) -> tuple[str, ...]:
        """How the shard is read, in sentences; complete after reading."""
        return (*([self._damage] if self._damage else []), *note_texts(self.path, self._wrong))

    @property
    def encoding(self) -> str | None:
        """That of the texts, where it was named."""
        return self._encoding

    def open_images(self) -> ShardImages:
        """Return where the images are looked up: in the shard itself."""
        return self.images

    def read_blocks(self, columns: Sequence[str] | None, start: int = 0) -> Iterator[Block]:
        """Yield the posts from `start` on (see `Table`); `images` holds those of the block that was yielded last."""
        samples = itertools.islice(self._read_samples(), start, None)
        self._wrong.clear()
        for records, problems in self._read_records(samples):
            found = dict.fromkeys(itertools.chain.from_iterable(records))
            self._columns.update(found)
            yield build_block(records, list(self._columns) if columns is None else columns, problems)

    def _read_records(self, samples: Iterable[_Sample]) -> Iterator[tuple[list[dict[str, Any]], list[Problem]]]:
        """Read texts and fields of samples, some at a time; one that can't be read is an empty record and a problem."""
        samples = iter(samples)
        with self._open() as file:
            self.images.file = file
            while some := list(itertools.islice(samples, _BLOCK_SAMPLES)):
                self.images.members = {image.name: image for sample in some for image in sample.images}
                records: list[dict[str, Any]] = []
                problems: list[Problem] = []
                for row, sample in enumerate(some):
                    record, problem = self._read_record(file, sample, row)
                    records.append(record)
                    problems += [problem] if problem else []
                yield records, problems

    def _read_record(self, file: IO[bytes], sample: _Sample, row: int) -> tuple[dict[str, Any], Problem | None]:
        record: dict[str, Any] = {"id": sample.key}
        if (member := sample.files.get(".txt")) is not None:
            content = _read_member(file, member)
            if content is None:
                return {}, Problem(row, member.name, "has a .txt that is too long, or cut off")
            record["text"], wrong = decode_text(content, self._encoding)
            self._wrong[wrong] += 1
        if sample.images:
            names = [member.name for member in sample.images]
            record["image"] = names[0] if len(names) == 1 else json.dumps(names, ensure_ascii=False)
        if (member := sample.files.get(".json")) is not None:
            content = _read_member(file, member)
            if content is None:
                return {}, Problem(row, member.name, "has a .json that is too long, or cut off")
            ((fields,), problems) = parse_lines([content.replace(b"\r", b" ").replace(b"\n", b" ")])
            if problems:
                raw = content[:MAX_RAW_BYTES].decode(errors="replace")
                return {}, Problem(row, raw, f"has a .json that {problems[0].reason}")
            record |= {name: value for name, value in fields.items() if name not in record or (name == "id" and value)}
        return record, None

    def _read_samples(self) -> Iterator[_Sample]:
        sample: _Sample | None = None
        for member in self._read_members():
            folder, _, name = member.name.rpartition("/")
            stem, dot, suffixes = name.partition(".")
            if not dot or not stem:
                continue
            key = f"{folder}/{stem}" if folder else stem
            if sample is None or sample.key != key:
                if sample is not None:
                    yield sample
                sample = _Sample(key)
            suffix = split_suffix(f".{suffixes}")[1] or f".{suffixes.lower()}"
            if suffix in IMAGE_SUFFIXES:
                sample.images.append(member)
            else:
                sample.files.setdefault(suffix, member)
        if sample is not None:
            yield sample

    def _read_members(self) -> Iterator[_Member]:
        """Yield the regular files of the archive, up to its end or to where it is damaged."""
        with self._open() as file:
            try:
                archive = tarfile.TarFile(fileobj=cast(IO[bytes], _Bounded(file)))
            except (tarfile.TarError, OSError, RecursionError) as error:
                raise TableError(f"{self.path} can't be read as a tar archive: {error}.") from error
            count = 0
            try:
                while (entry := archive.next()) is not None:
                    archive.members = []  # type: ignore[attr-defined]  # which would grow with the archive
                    if entry.isreg() and not entry.issparse():
                        count += 1
                        yield _Member(to_utf8(entry.name.removeprefix("./")), entry.offset_data, entry.size)
                is_whole = _ends_at(file, archive.offset)
            except (tarfile.TarError, OSError, ValueError, RecursionError) as error:
                if is_remote(self.path) and isinstance(error, OSError):  # its server fails, and not the shard
                    raise TableError(f"{self.path} can't be read: {error.strerror or error}.") from error
                is_whole = False
            if not is_whole:
                self._damage = (
                    f"{self.path} is cut off or damaged behind its file {count:,}: what may have followed is not read."
                )

    def _open(self) -> IO[bytes]:
        try:
            return open_file(self.path)
        except OSError as error:
            raise TableError(f"{self.path} can't be read: {error.strerror or error}.") from error


class ShardImages:
    """The images of a shard, as far as `members` tells where they lie in `file`, which is open while it is read."""

    lists_names = True

    def __init__(self, path: Path) -> None:
        self.root = path
        self.members: dict[str, _Member] = {}
        self.file: IO[bytes] | None = None

    def find_by_name(self, name: str | None) -> bytes | Missing | None:
        """Return the bytes of the image with this name; None where there is no name."""
        if not name:
            return None
        member = self.members.get(name)
        if member is None:
            return MISSING
        if self.file is None:
            return MISSING
        try:
            self.file.seek(member.offset)
            return self.file.read(min(member.size, MAX_FILE_BYTES + 1))
        except OSError as error:
            if is_remote(self.root):
                raise TableError(f"{self.root} can't be read: {error.strerror or error}.") from error
        return MISSING

    def find_by_id(self, post_id: str | None) -> None:
        """Return None: a post names its image."""

    def count_by_name(self, names: Iterable[str | None]) -> tuple[int, int]:
        """Count the names that are given, and the images that are there."""
        given = [name for name in names if name]
        return len(given), sum(name in self.members for name in given)

    def count_by_id(self, ids: Iterable[str | None]) -> tuple[int, int, int]:
        """Count nothing: a post names its image."""
        return 0, 0, 0


class _Bounded:
    """A file of which no header is read that would fill the memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if size > _MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return self._file.read(size)


def _ends_at(file: IO[bytes], offset: int) -> bool:
    """Check whether the mark of an archive's end is where reading it stopped."""
    file.seek(offset)
    return file.read(_TAR_BLOCK) == bytes(_TAR_BLOCK)


def _read_member(file: IO[bytes], member: _Member) -> bytes | None:
    """Read a member's content; None where it is too long, or not all there."""
    if member.size > MAX_RECORD_BYTES:
        return None
    file.seek(member.offset)
    content = file.read(member.size)
    return content if len(content) == member.size else None
