"""Random damage to images, tables and manifests, none of which may end in anything but an answer.

2,000 cases, and 28,000 in CI: `pytest --hypothesis-profile=ci`.
"""

from __future__ import annotations

import bz2
import copy
import io
import json
import lzma
import random
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from sentimm.bundle.bundle import load_bundle
from sentimm.corpus import CorpusReader, survey_corpus
from sentimm.errors import BundleError, InputError, SentimmError
from sentimm.options import CorpusOptions
from sentimm.scoring.pipeline.decoder import Decoder
from sentimm.scoring.pipeline.decoder_pool import DecoderPool
from tests.support.posts.awkward_images import FORMATS, encode
from tests.support.profile import IN_CI
from tests.support.tiny.bundles import make_bundle

IMAGES, TABLES, MANIFESTS = (16_000, 8_000, 4_000) if IN_CI else (1_140, 570, 290)
SIZE = 16

pytestmark = pytest.mark.slow


def fuzz(examples: int) -> Callable[[Any], Any]:
    """Make a test one over so many random seeds, always the same ones."""

    def decorate(test: Any) -> Any:
        some = settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        return some(given(seed=st.integers(0, 2**32 - 1))(test))

    return decorate


def damage(content: bytes, chance: random.Random, first: int = 0) -> bytes:
    """Change a few bytes from `first` on: flip, overwrite, insert, leave out, repeat or cut off."""
    found = bytearray(content)
    for _ in range(chance.randint(1, 6)):
        if len(found) <= first + 1:
            break
        place = chance.randrange(first, len(found))
        match chance.randrange(8):
            case 0 | 1:
                found[place] ^= 1 << chance.randrange(8)
            case 2:
                found[place] = chance.choice((0, 1, 127, 128, 255))
            case 3:
                found[place : place + 4] = chance.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"))
            case 4:
                found[place:place] = chance.randbytes(chance.randint(1, 9))
            case 5:
                del found[place : place + chance.randint(1, 40)]
            case 6:
                found[place:place] = found[place : place + chance.randint(1, 40)]
            case 7 if chance.random() < 0.3:
                del found[place:]
    return bytes(found)


class Images:
    """Whole image files, a decoder, and what became of the damaged ones."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder
        self.whole = [encode(kind, (24, 18), seed) for kind in FORMATS for seed in range(3)]
        for mode in ("1", "L", "P", "LA", "RGBA", "CMYK", "I", "F"):
            for kind in ("PNG", "TIFF", "JPEG", "GIF"):
                file = io.BytesIO()
                image = Image.new("RGB", (9, 7), (200, 30, 90))
                try:
                    image.convert(mode).save(file, kind)
                except (OSError, ValueError):  # this format has no such images
                    continue
                self.whole.append(file.getvalue())
        self.whole.append(encode("JPEG", (24, 18), progressive=True))
        self.whole.append(encode("TIFF", (24, 18), compression="tiff_lzw"))
        self.whole.append(encode("WEBP", (24, 18), lossless=True))
        self.counts: Counter[str] = Counter()
        self.processes: set[int] = set()


@pytest.fixture(scope="module")
def images():
    with DecoderPool(SIZE, 1) as pool, pool.borrow() as decoder:
        found = Images(decoder)
        yield found
    counts = found.counts
    print(
        f"\n{counts['tried']:,} images: {counts['past the header']:,} past the header, {counts['decoded']:,} decoded, "
        f"{len(found.processes) - 1} decoders died"
    )


@fuzz(IMAGES)
def test_a_damaged_image_is_pixels_or_a_reason(images: Images, seed: int) -> None:
    chance, decoder = random.Random(seed), images.decoder
    content = damage(chance.choice(images.whole), chance, first=chance.choice((0, 0, 20, 60)))
    decoder.decoded = 0
    (error,) = decoder.decode([content])
    images.processes.add(decoder.start().pid)
    images.counts["tried"] += 1
    images.counts["past the header"] += passes_header(content)
    if error is None:
        images.counts["decoded"] += 1
        assert decoder.pixels.shape == (1, 3, SIZE, SIZE)
    else:
        assert str(error) and "decoder died" not in str(error) and "seconds" not in str(error)


def passes_header(content: bytes) -> bool:
    """Return whether a file is taken for an image: whether its header can be read."""
    try:
        with Image.open(io.BytesIO(content)):
            return True
    except Exception:
        return False


def test_most_images_got_past_the_header(images: Images) -> None:
    """Runs behind the one before: damage to valid files, not noise, is what was tried."""
    if not images.counts:
        pytest.fail("run it with the test before it, which it counts")
    assert images.counts["tried"] >= IMAGES
    assert images.counts["past the header"] > images.counts["tried"] / 2
    assert len(images.processes) == 1


TABLE = '''id,text,image,likes
0001,"a good, day",a.jpg,3
0002,"she said ""no""",,0

0003,"two
lines",b.png,-1
0004,schön 😀,c.gif,
0005,,,"7"
'''.encode()
HEADER_END = TABLE.index(b"\n") + 1
LINES = b"\n".join(
    [b'{"id": "1", "text": "good", "n": [1]}', b'{"text": null}', b'{"id": 2.5, "text": "\\ud83d\\ude00"}'] * 2
)
POSTS = [
    {"id": 1, "tweet": {"full_text": "<p>good</p>"}, "media": [{"uri": "a.jpg"}, {"uri": "b.jpg"}]},
    {"id": 2, "tweet": {"full_text": ["so ", {"text": "bad"}]}, "n": 0.5},
    {"id": 3, "tweet": None},
]
PAGE = {"data": [{"id": "1", "text": "good"}, {"id": "2", "text": "[deleted]"}], "meta": {"count": 2}}
JSON_FILES = {
    "ndjson": LINES,
    "array.json": json.dumps(POSTS, indent=1).encode(),
    "object.json": json.dumps({"about": {"n": [1]}, "posts": POSTS * 2}, indent=1).encode(),
    "line.json": json.dumps({"name": "x", "messages": PAGE["data"]}).encode(),
    "js": b"window.YTD.tweets.part0 = " + json.dumps(POSTS, indent=1).encode(),
    "included.jsonl": json.dumps(
        {
            "data": [{"id": "1", "text": "RT @a: go…", "referenced_tweets": [{"type": "retweeted", "id": "9"}]}] * 2,
            "includes": {"tweets": [{"id": "9", "text": "good"}, {"id": "8", "note_tweet": {"text": "bad"}}]},
        }
    ).encode(),
    "nan.json": json.dumps([{"text": "good", "n": float("nan")}, {"text": float("nan")}, {"text": "NaN"}]).encode(),
    "pages.jsonl": b"\n".join([json.dumps(PAGE).encode()] * 3),
}
PIECES = (b'"', b'""', b",", b"\n", b"\r\n", b"\r", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\t", b";", b"\xc3", b" ")


@fuzz(TABLES)
def test_a_damaged_table_is_all_of_its_rows_or_a_sentence(tmp_path_factory, seed: int) -> None:
    chance = random.Random(seed)
    content = damage(TABLE * chance.randint(1, 3), chance, first=chance.choice((0, HEADER_END, HEADER_END)))
    for _ in range(chance.randrange(4)):
        place = chance.randrange(len(content) + 1)
        content = content[:place] + chance.choice(PIECES) + content[place:]
    suffix = chance.choice(("csv", "csv", "csv", "csv", "tsv", *JSON_FILES))
    path = tmp_path_factory.getbasetemp() / f"fuzz.{suffix}"
    if suffix in JSON_FILES:
        content = damage(JSON_FILES[suffix], chance)
    path.write_bytes(content)
    check_rows(path, chance)


def check_rows(path: Path, chance: random.Random) -> None:
    """Check that a table is refused in a sentence, or that the survey and the reader see the same rows."""
    options = CorpusOptions(
        infer_types=chance.random() < 0.7,
        no_header=chance.random() < 0.1,
        encoding=chance.choice((None, None, None, "utf-8", "cp1252", "utf-16")),
        null_values=chance.choice((None, None, ("good", "NA"), ())),
        allow_missing=chance.random() < 0.5,
    )
    try:
        survey = survey_corpus([str(path)], options)
    except SentimmError as error:
        assert str(error)
        return
    rows = survey.rows
    whole = read_all(CorpusReader(survey, options), rows + 1)
    assert sum(chunk.rows for chunk in whole) == rows
    assert sum(int(chunk.unreadable.sum()) for chunk in whole) == survey.unreadable
    start = chance.randrange(rows + 1)
    rest = read_all(CorpusReader(survey, options, start), chance.randint(1, 3))
    assert [chunk.start for chunk in rest[:1]] == ([start] if start < rows else [])
    if whole and rest:
        assert pl.concat([chunk.frame for chunk in rest]).equals(whole[0].frame.slice(start))
        unreadable = np.concatenate([chunk.unreadable for chunk in rest])
        assert (unreadable == whole[0].unreadable[start:]).all()


ESCAPED = b"id,text,likes\n" + b'1,"he said \\"wow\\", ok",3\n2,"C:\\\\",0\n3,"two\nlines",\n4,fine,7\n' * 4
TITLED = b"Report:,my list\nFrom,2024\n\n# by me\n" + TABLE
LINES = "good\n\nschön\r\nbad, really\n".encode()
QUESTIONS = b'id,text,n\nid,"What\ndo you say?",n\n"{""ImportId"":""a""}","{""ImportId"":""b""}",c\n1,good,2\n2,bad,3\n'
OTHERS = (
    *(("a.csv", each) for each in (ESCAPED, TITLED, QUESTIONS)),
    ("a.tsv", ESCAPED),
    *(
        ("a.txt", each)
        for each in (
            LINES,
            b"__label__a good\n__label__b bad\n\n",
            TABLE,
            b"id\ttext\n1\tgood\n2\tbad\n",
            b'{"text": "good"}\n{"text": "bad"}\n',
        )
    ),
)


@fuzz(TABLES // 2)
def test_a_damaged_file_of_another_kind_is_all_of_its_rows_or_a_sentence(tmp_path_factory, seed: int) -> None:
    chance = random.Random(seed)
    name, content = chance.choice(OTHERS)
    suffix = chance.choice(("", ".bz2", ".xz", ".zst", ".zip", ".xlsx"))
    content = damage(content * chance.randint(1, 3), chance) if not suffix or chance.random() < 0.2 else content
    match suffix:
        case ".bz2":
            content = bz2.compress(content)
        case ".xz":
            content = lzma.compress(content)
        case ".zst":
            content = pa.compress(content, codec="zstd", asbytes=True)
        case ".zip":
            content = pack({name: content, f"other/{name}": content})
        case ".xlsx":
            content = WORKBOOK
    path = tmp_path_factory.getbasetemp() / ("fuzz" + suffix if suffix in (".zip", ".xlsx") else f"fuzz-{name}{suffix}")
    path.write_bytes(damage(content, chance) if suffix else content)
    check_rows(path, chance)


def pack(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def make_workbook() -> bytes:
    file = io.BytesIO()
    pl.DataFrame({"id": [1, 2, 10**17], "text": ["good", None, "bad"], "ok": [True, None, False]}).write_excel(file)
    return file.getvalue()


WORKBOOK = make_workbook()


def read_all(reader: CorpusReader, rows: int) -> list[Any]:
    return list(iter(lambda: reader.read(rows), None))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("fuzz") / "bundle")


NUMBERS = (True, -1, 0, 1, 2**31, 2**63, 10**400, 1e308, float("nan"))
VALUES = (None, *NUMBERS, "", "..", "/etc/passwd", "a" * 5000, [], {}, [[]])


@fuzz(MANIFESTS)
def test_a_damaged_manifest_is_refused_or_says_the_same(bundle: Path, seed: int) -> None:
    chance, path = random.Random(seed), bundle / "bundle.json"
    whole = path.read_bytes()
    try:
        path.write_bytes(change_manifest(whole, chance) if chance.random() < 0.6 else damage(whole, chance))
        try:
            loaded = load_bundle(bundle)
        except (BundleError, InputError) as error:
            assert str(bundle) in str(error)
            return
        for graphs in loaded.graphs.values():
            assert all(graph.parent == bundle and graph.is_file() for graph in graphs.values())
    finally:
        path.write_bytes(whole)


def change_manifest(content: bytes, chance: random.Random) -> bytes:
    """Set another value in a field anywhere in a manifest, or take one away."""
    manifest = json.loads(content)
    for _ in range(chance.randint(1, 3)):
        inside, key = manifest, chance.choice(list(manifest))
        while isinstance(inside[key], dict | list) and inside[key] and chance.random() < 0.7:
            inside = inside[key]
            key = chance.choice(list(inside)) if isinstance(inside, dict) else chance.randrange(len(inside))
        if chance.random() < 0.2 and isinstance(inside, dict) and len(inside) > 1:
            del inside[key]
        else:
            inside[key] = copy.deepcopy(chance.choice(VALUES))
    return json.dumps(manifest).encode()
