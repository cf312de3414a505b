from __future__ import annotations

import io
import json
import random
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from sentimm.corpus import MISSING, Chunk, CorpusReader, survey_corpus
from sentimm.errors import InputError, TableError
from sentimm.options import CorpusOptions, ScoreOptions
from sentimm.scoring.job import run_job
from tests.support.posts.awkward_images import encode
from tests.support.profile import IN_CI
from tests.test_fuzz import damage

SEEDS = 1000 if IN_CI else 200

JPEG, PNG = encode("JPEG"), encode("PNG")


def write_shard(path: Path, files: Iterable[tuple[str, bytes]], **options: Any) -> Path:
    with tarfile.open(path, "w", **options) as archive:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def make_files(posts: int) -> list[tuple[str, bytes]]:
    """Make posts as img2dataset writes them: an image, its caption, and facts about both."""
    files = []
    for number in range(posts):
        key = f"{number:09d}"
        facts = {"caption": f"a good day {number}", "url": f"https://x/{number}.jpg", "key": key, "width": 60 + number}
        files += [(f"{key}.jpg", JPEG), (f"{key}.txt", f"a good day {number}".encode())]
        files.append((f"{key}.json", json.dumps(facts).encode()))
    return files


def read(path: Path, rows: int = 10_000, start: int = 0, **options: Any) -> tuple[list[Chunk], tuple[str, ...]]:
    survey = survey_corpus([str(path)], CorpusOptions(**options))
    reader = CorpusReader(survey, CorpusOptions(**options), start)
    return list(iter(lambda: reader.read(rows), None)), survey.notes


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    return write_shard(tmp_path / "00000.tar", make_files(600))


def test_a_shard_is_a_table_of_posts(shard: Path) -> None:
    ((chunk,), notes) = read(shard)
    assert notes == ()
    assert chunk.frame.columns == ["id", "text", "image", "caption", "url", "key", "width"]
    assert chunk.frame.row(599)[:3] == ("000000599", "a good day 599", "000000599.jpg")
    assert chunk.frame["width"].to_list() == list(range(60, 660))
    assert chunk.texts.to_list() == [f"a good day {number}" for number in range(600)]
    assert chunk.images == [JPEG] * 600


@pytest.mark.parametrize(("rows", "start"), [(1, 590), (7, 0), (256, 255), (1000, 256), (100, 599), (5, 600)])
def test_a_shard_is_read_from_any_post_on(shard: Path, rows: int, start: int) -> None:
    chunks, _ = read(shard, rows, start)
    ids = [post for chunk in chunks for post in chunk.frame["id"]]
    assert ids == [f"{number:09d}" for number in range(start, 600)]
    assert [chunk.start for chunk in chunks] == list(range(start, 600, rows))


def test_what_a_survey_finds(shard: Path) -> None:
    survey = survey_corpus([str(shard)], CorpusOptions())
    assert (survey.rows, survey.texts, survey.images_named, survey.images_found) == (600, 600, 600, 600)
    assert survey.sources[0].format == "webdataset"
    assert (survey.choice.text, survey.choice.image, survey.choice.id) == ("text", "image", "id")


def test_samples_may_lack_anything(tmp_path: Path) -> None:
    files = [
        ("a.jpg", JPEG),
        ("b.txt", b"only text"),
        ("c.cls", b"3"),
        ("sub/d.PNG", PNG),
        ("sub/d.txt", "\ufeffschön".encode()),
        ("./e.left.jpg", JPEG),
        ("e.right.png", PNG),
        ("no suffix", b"x"),
        ("._f.jpg", b"of a Mac"),
    ]
    ((chunk,), _) = read(write_shard(tmp_path / "x.tar", files))
    assert chunk.frame["id"].to_list() == ["a", "b", "c", "sub/d", "e"]
    assert chunk.texts.to_list() == [None, "only text", None, "schön", None]
    assert chunk.images == [JPEG, None, None, PNG, (JPEG, PNG)]


def test_a_sample_may_have_several_images(tmp_path: Path) -> None:
    files = [("1.txt", b"a"), ("1.0.jpg", JPEG), ("1.1.png", PNG), ("2.txt", b"b"), ("2.jpg", JPEG), ("3.txt", b"c")]
    path = write_shard(tmp_path / "x.tar", files)
    chunk = read(path)[0][0]
    assert chunk.images == [(JPEG, PNG), JPEG, None]
    assert chunk.frame["image"].to_list() == ['["1.0.jpg", "1.1.png"]', "2.jpg", None]
    assert survey_corpus([str(path)], CorpusOptions()).several_images == 1


def test_fields_of_the_json_are_columns_and_its_id_the_id(tmp_path: Path) -> None:
    files = [(f"{n}.jpg", JPEG) for n in range(0)]
    for number in range(100):
        fields = {"id": f"tweet{number}", "caption": "nice", "tags": ["a"]} | ({"late": 1} if number > 90 else {})
        files += [(f"{number}.jpg", JPEG), (f"{number}.json", json.dumps(fields).encode())]
    ((chunk,), _) = read(write_shard(tmp_path / "x.tar", files))
    assert chunk.frame["id"].to_list() == [f"tweet{number}" for number in range(100)]
    assert chunk.texts.to_list() == ["nice"] * 100
    assert chunk.frame["tags"][0] == '["a"]'
    assert chunk.frame["late"].to_list() == [None] * 91 + [1] * 9


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            b"{",
            "has a .json that is not valid JSON (Expecting property name enclosed in double quotes: line 1 column 2)",
        ),
        (b"[1]", "has a .json that is not a JSON object"),
        (b"[" * 100_000, "has a .json that is nested too deeply"),
    ],
)
def test_a_sample_whose_json_is_none_is_unreadable_in_its_place(tmp_path: Path, content: bytes, reason: str) -> None:
    files = [("a.jpg", JPEG), ("b.jpg", JPEG), ("b.json", content), ("c.txt", b"good")]
    ((chunk,), _) = read(write_shard(tmp_path / "x.tar", files))
    assert chunk.unreadable.tolist() == [False, True, False]
    assert [(problem.row, problem.reason) for problem in chunk.problems] == [(1, reason)]


def test_a_pretty_json_is_read(tmp_path: Path) -> None:
    files = [("a.json", json.dumps({"text": "good\nday", "n": 1}, indent=2).encode())]
    ((chunk,), _) = read(write_shard(tmp_path / "x.tar", files))
    assert chunk.frame.row(0, named=True) == {"id": "a", "text": "good\nday", "n": 1}


@pytest.mark.parametrize("share", [0.1, 0.35, 0.5, 0.77, 0.999])
def test_a_shard_that_is_cut_off_is_read_up_to_there_and_named(tmp_path: Path, share: float) -> None:
    whole = write_shard(tmp_path / "whole.tar", make_files(50)).read_bytes().rstrip(b"\0")
    (tmp_path / "cut.tar").write_bytes(whole[: int(len(whole) * share)])
    chunks, notes = read(tmp_path / "cut.tar")
    posts = sum(chunk.rows for chunk in chunks)
    assert len(notes) == 1 and str(tmp_path / "cut.tar") in notes[0] and "cut off or damaged behind" in notes[0]
    assert 50 * share - 2 <= posts <= 50 * share + 1
    assert chunks[0].texts.to_list()[: posts - 1] == [f"a good day {number}" for number in range(posts - 1)]


def test_a_shard_that_is_damaged_in_the_middle_is_said_to_be(tmp_path: Path) -> None:
    content = bytearray(write_shard(tmp_path / "x.tar", make_files(20)).read_bytes())
    place = content.index(b"000000010.jpg")
    content[place + 148 : place + 156] = b"nonsense"
    (tmp_path / "x.tar").write_bytes(content)
    ((chunk,), notes) = read(tmp_path / "x.tar")
    assert chunk.rows == 10
    assert notes == (
        f"{tmp_path / 'x.tar'} is cut off or damaged behind its file 30: what may have followed is not read.",
    )


@pytest.mark.parametrize("content", [b"", b"text,image\n", bytes(100), b"\x1f\x8b" + bytes(600)])
def test_what_is_no_archive_is_a_clear_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(TableError, match=r"x\.tar can't be read as a tar archive"):
        read(tmp_path / "x.tar")


@pytest.mark.parametrize(
    ("suffix", "unpacker"),
    [
        ("tar.gz", "gunzip"),
        ("TGZ", "gunzip"),
        ("tar.zst", "unzstd"),
        ("tar.zstd", "unzstd"),
        ("tar.bz2", "bunzip2"),
        ("tar.xz", "unxz"),
    ],
)
def test_a_compressed_archive_is_a_clear_error(tmp_path: Path, suffix: str, unpacker: str) -> None:
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(b"x")
    with pytest.raises(InputError, match=rf"x\.{suffix} is a compressed archive, .* \(`{unpacker} x\.{suffix}`\)\.$"):
        read(path)


def test_a_missing_shard_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.tar is not there"):
        read(tmp_path / "gone.tar")


def test_braces_name_many_shards_of_which_some_may_be_missing(tmp_path: Path) -> None:
    files = make_files(30)
    for number in (8, 9, 11):
        write_shard(tmp_path / f"{number:05d}.tar", files[: 3 * number])
    survey = survey_corpus([str(tmp_path / "{00008..00011}.tar")], CorpusOptions())
    assert [(source.path.name, source.rows) for source in survey.sources] == [
        ("00008.tar", 8),
        ("00009.tar", 9),
        ("00011.tar", 11),
    ]
    assert survey.notes == (f"{tmp_path / '00010.tar'} is not there: its posts are left out.",)
    with pytest.raises(InputError, match=r"^None of the 3 shards that .*\{1\.\.3\}\.tar names is there"):
        survey_corpus([str(tmp_path / "{1..3}.tar")], CorpusOptions())


def test_shards_that_braces_name_are_scored(tmp_path: Path, tiny_bundle: Path) -> None:
    for name in "ac":
        write_shard(tmp_path / f"{name}.tar", make_files(3))
    output = tmp_path / "scored.parquet"
    options = ScoreOptions((str(tmp_path / "{c,b,a}.tar"),), CorpusOptions(), output, tiny_bundle)
    assert run_job(options, lambda _event: None).rows == 6
    assert pl.read_parquet(output)["source"].unique(maintain_order=True).to_list() == [
        str(tmp_path / "c.tar"),
        str(tmp_path / "a.tar"),
    ]


def test_links_and_devices_in_an_archive_are_no_files(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for kind, name in ((tarfile.SYMTYPE, "a.jpg"), (tarfile.LNKTYPE, "b.jpg"), (tarfile.CHRTYPE, "c.jpg")):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "/etc/passwd"
            archive.addfile(entry)
        entry = tarfile.TarInfo("../../d.txt")
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"good"))
    ((chunk,), _) = read(tmp_path / "x.tar")
    assert chunk.frame["id"].to_list() == ["../../d"]
    assert chunk.images == [None]


def test_a_header_that_would_fill_the_memory_ends_the_shard(tmp_path: Path) -> None:
    content = bytearray(write_shard(tmp_path / "x.tar", make_files(2), format=tarfile.PAX_FORMAT).read_bytes())
    entry = tarfile.TarInfo("x")
    entry.type, entry.size = tarfile.XHDTYPE, 7 << 30
    (tmp_path / "x.tar").write_bytes(content.rstrip(b"\0").ljust(-(-len(content.rstrip(b"\0")) // 512) * 512, b"\0"))
    with (tmp_path / "x.tar").open("ab") as file:
        file.write(entry.tobuf(tarfile.PAX_FORMAT))
        file.truncate(8 << 30)  # a hole
    ((chunk,), notes) = read(tmp_path / "x.tar")
    assert chunk.rows == 2 and "damaged" in notes[0]


def test_a_name_that_is_not_in_the_shard_is_missing(shard: Path) -> None:
    from sentimm.corpus.tables.shards import ShardTable

    table = ShardTable(shard)
    blocks = table.read_blocks(None)
    next(blocks)
    assert table.images.find_by_name("000000003.jpg") == JPEG
    assert table.images.find_by_name("nothing.jpg") is MISSING
    assert table.images.find_by_name(None) is None


@pytest.mark.slow
def test_damaged_shards_are_all_of_their_posts_or_a_sentence(tmp_path: Path) -> None:
    whole = write_shard(tmp_path / "whole.tar", make_files(5)).read_bytes()
    read_posts = 0
    for seed in range(SEEDS):
        (tmp_path / "x.tar").write_bytes(damage(whole, random.Random(seed)))
        try:
            chunks, _ = read(tmp_path / "x.tar")
        except (TableError, InputError) as error:
            assert str(error)
            continue
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
        read_posts += sum(chunk.rows for chunk in chunks)
    assert read_posts > SEEDS


def test_shards_are_scored(tmp_path: Path, tiny_bundle: Path) -> None:
    broken = encode("JPEG")[:300]
    files = make_files(40)
    files[3] = ("000000001.jpg", broken)
    write_shard(tmp_path / "00000.tar", files[: 3 * 20])
    write_shard(tmp_path / "00001.tar", files[3 * 20 :])
    output = tmp_path / "scored.parquet"
    options = ScoreOptions((str(tmp_path / "*.tar"),), CorpusOptions(), output, tiny_bundle, chunk_rows=15)
    done = run_job(options, lambda _event: None)
    scored = pl.read_parquet(output)
    assert done.rows == 40
    assert scored["id"].to_list() == [f"{number:09d}" for number in range(40)]
    assert scored["status"].to_list() == ["ok", "image_unreadable", *["ok"] * 38]
    assert scored["modality"].unique().sort().to_list() == ["text", "text+image"]
    assert scored["row"].to_list() == [*range(20), *range(20)]
    assert pl.Binary not in scored.dtypes
    problems = pl.read_csv(str(done.problems))
    assert problems["file"].to_list() == ["000000001.jpg"]


def test_an_image_in_a_shard_is_decoded_as_it_is_elsewhere(tmp_path: Path, tiny_bundle: Path) -> None:
    picture = Image.new("RGB", (40, 30), (200, 30, 90))
    picture.save(tmp_path / "a.png")
    write_shard(tmp_path / "x.tar", [("a.png", (tmp_path / "a.png").read_bytes()), ("a.txt", b"good")])
    (tmp_path / "posts.csv").write_text("text,image\ngood,a.png\n")
    answers = []
    for name, images in (("x.tar", None), ("posts.csv", tmp_path)):
        output = tmp_path / f"{name}.parquet"
        options = ScoreOptions((str(tmp_path / name),), CorpusOptions(images), output, tiny_bundle)
        run_job(options, lambda _event: None)
        answers.append(pl.read_parquet(output).select("confidence", "modality"))
    assert answers[0].equals(answers[1])


@pytest.mark.parametrize("layout", ["webdataset", "files"])
def test_what_img2dataset_writes_is_a_corpus(tmp_path: Path, layout: str) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for part in range(2):
        name = f"{part:05d}"
        files = [
            (f"{part}{number:04d}.{suffix}", content) for number in range(3) for suffix, content in list_post(number)
        ]
        if layout == "webdataset":
            write_shard(folder / f"{name}.tar", files)
        else:
            (folder / name).mkdir()
            for file, content in files:
                (folder / name / file).write_bytes(content)
        pl.DataFrame({"url": ["https://x/y.jpg"]}).write_parquet(folder / f"{name}.parquet")
        (folder / f"{name}_stats.json").write_text("{}")
    survey = survey_corpus([str(folder)], CorpusOptions())
    assert [source.path.name for source in survey.sources] == (
        ["00000.tar", "00001.tar"] if layout == "webdataset" else ["00000", "00001"]
    )
    reader = CorpusReader(survey, CorpusOptions())
    chunk = reader.read(100)
    assert chunk is not None
    assert chunk.frame["id"].cast(pl.String).str.zfill(5).to_list() == [
        f"{part}{number:04d}" for part in range(2) for number in range(3)
    ]
    assert chunk.texts.to_list() == ["day 0", "day 1", "day 2"] * 2
    assert all(image not in (None, MISSING) for image in chunk.images)


def list_post(number: int) -> list[tuple[str, bytes]]:
    return [("jpg", JPEG), ("json", b'{"width": 60}'), ("txt", f"day {number}".encode())]


def test_images_in_a_column_of_their_format_are_found(tmp_path: Path) -> None:
    posts = pl.DataFrame({"key": ["a", "b"], "caption": ["good", "bad"], "jpg": [JPEG, None], "url": ["x", "y"]})
    posts.write_parquet(tmp_path / "00000.parquet")
    survey = survey_corpus([str(tmp_path / "00000.parquet")], CorpusOptions())
    assert (survey.choice.text, survey.choice.image, survey.images_found) == ("caption", "jpg", 1)


def test_a_column_of_names_is_not_taken_for_images_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text("text,jpg\ngood,3\n")
    assert survey_corpus([str(tmp_path / "posts.csv")], CorpusOptions()).choice.image is None
