from __future__ import annotations

import io
import os
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentimm.corpus import MISSING, chunk_frame, spool_stdin, survey_corpus
from sentimm.corpus.survey.repeated_texts import RepeatCounter
from sentimm.errors import ColumnError, InputError, OutputError, TableError
from sentimm.options import CorpusOptions
from tests.support.posts.reading import read_all, read_chunks, survey, write


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.jpg", "b.png", "1.jpg"):
        write(folder / name, "image")
    return folder


POSTS = """id,text,image,likes
1,Hello,a.jpg,3
2,Hello,b.png,4
3,"  ",no.jpg,5
4,,,6
5,World,https://example.org/z.jpg,7
six,too,many,fields,here
"""


def test_what_a_survey_finds(tmp_path: Path, images: Path) -> None:
    path = write(tmp_path / "posts.csv", POSTS)
    found = survey(path, images=images)
    assert [(source.path, source.format, source.rows) for source in found.sources] == [(path, "csv", 6)]
    assert found.rows == 6
    assert found.schema == {"id": pl.Int64(), "text": pl.String(), "image": pl.String(), "likes": pl.Int64()}
    assert (found.choice.text, found.choice.image, found.choice.id) == ("text", "image", "id")
    assert (found.texts, found.repeated_texts, found.unreadable) == (3, 1, 1)
    assert (found.images_named, found.images_found) == (4, 2)
    assert found.notes[-1] == (
        f"1 record can't be read as a row; the first: row 5 of {path} has 5 fields where the header has 4."
    )
    assert found.choice.reasons == (
        "text: column 'text' (first match among text, tweet, full_text, content, message, body, caption)",
        "image: column 'image' (first match among image, image_path, image_file, filename, media, photo)",
    )


def test_text_and_image_of_a_post_come_together(tmp_path: Path, images: Path) -> None:
    chunk = read_all(write(tmp_path / "posts.csv", POSTS), images=images)
    assert chunk.texts.to_list() == ["Hello", "Hello", "  ", None, "World", None]
    assert chunk.images == [images / "a.jpg", images / "b.png", MISSING, None, MISSING, None]
    assert chunk.unreadable.tolist() == [False] * 5 + [True]
    assert chunk.frame["likes"].to_list() == [3, 4, 5, 6, 7, None]
    (problem,) = chunk.problems
    assert (problem.row, problem.raw) == (5, "six,too,many,fields,here")


@pytest.mark.parametrize(
    ("header", "text", "image", "post_id"),
    [
        ("caption,body,text", "text", None, None),
        ("caption,body", "body", None, None),
        ("full_text,tweet,photo,media", "tweet", "media", None),
        ("Text,Image_Path,ID", "Text", "Image_Path", "ID"),
        ("guid, text,image", " text", "image", "guid"),
        ("TEXT,text", "text", None, None),
        ("tweet_id,filename", None, "filename", "tweet_id"),
    ],
)
def test_columns_are_found_by_their_names(
    tmp_path: Path, images: Path, header: str, text: str | None, image: str | None, post_id: str | None
) -> None:
    path = write(tmp_path / "posts.csv", f"{header}\n{','.join('a.jpg' for _ in header.split(','))}\n")
    choice = survey(path, images=images, allow_missing=True).choice
    assert (choice.text, choice.image, choice.id) == (text, image, post_id)


def test_columns_can_be_named(tmp_path: Path, images: Path) -> None:
    path = write(tmp_path / "posts.csv", "a,b,c,text\n1,hello,b.png,no\n")
    options = {"images": images, "text_column": "b", "image_column": "c", "id_column": "a"}
    found = survey(path, **options)
    assert found.choice.reasons == (
        "text: column 'b' (--text-column)",
        "image: column 'c' (--image-column)",
    )
    chunk = read_all(path, **options)
    assert (chunk.texts.to_list(), chunk.images) == (["hello"], [images / "b.png"])


def test_images_are_looked_up_by_id_where_no_column_names_them(tmp_path: Path, images: Path) -> None:
    path = write(tmp_path / "posts.csv", "id,text\n1,one\n2,two\n")
    found = survey(path, images=images)
    assert (found.choice.image, found.choice.by_id) == (None, True)
    assert (found.images_named, found.images_found) == (1, 1)
    assert read_all(path, images=images).images == [images / "1.jpg", None]
    pl.DataFrame({"id": [1, 2], "text": ["one", "two"]}).write_parquet(tmp_path / "posts.parquet")
    assert read_all(tmp_path / "posts.parquet", images=images).images == [images / "1.jpg", None]


def test_images_are_looked_up_by_id_where_no_name_is_there(tmp_path: Path, images: Path) -> None:
    path = write(tmp_path / "posts.csv", "id,text,media\n1,one,http://x.org/y.jpg\n2,two,\n")
    found = survey(path, images=images)
    assert (found.choice.image, found.choice.by_id, found.images_named, found.images_found) == (None, True, 1, 1)
    assert (
        found.choice.reasons[-1]
        == "image: looked up in the folder by id (column 'id'); no name in column 'media' is there"
    )
    assert read_all(path, images=images).images == [images / "1.jpg", None]
    with pytest.raises(InputError, match="are URLs"):
        survey(path, images=images, image_column="media")


def test_without_a_folder_image_names_are_not_used_and_this_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.csv", "text,image\na,a.jpg\nb,\n")
    found = survey(path)
    assert (found.choice.image, found.images_named) == (None, 0)
    assert found.notes == ("The column 'image' names images, which are not used: give their folder with --images.",)
    assert read_all(path).images == [None, None]
    assert survey(path, only="text").notes == ()


def test_what_may_have_been_meant_as_an_image_is_named(tmp_path: Path) -> None:
    path = tmp_path / "posts.parquet"
    columns = {"text": [b"good"], "image": [[1, 2]], "pics": [b"png"]}
    pl.DataFrame(columns).write_parquet(path)
    notes = (
        "The column 'image' holds List(Int64), which is not used: an image is a name, a list of names, or its bytes.",
        "The column 'pics' holds bytes: if these are images, name it with --image-column.",
    )
    assert survey(path).notes == notes
    assert survey(path, only="text").notes == survey(path, image_column="pics").notes == ()


def test_a_column_that_is_empty_in_one_table_has_the_type_of_the_other(tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{name}.parquet") for name in "ab"]
    pl.DataFrame({"text": ["a"], "likes": [1], "tags": [None]}).write_parquet(paths[0])
    pl.DataFrame({"text": ["b"], "likes": [None], "tags": [["x"]]}).write_parquet(paths[1])
    schema = survey_corpus(paths, CorpusOptions()).schema
    assert (schema["likes"], schema["tags"]) == (pl.Int64(), pl.List(pl.String()))


def test_times_at_any_offset_are_kept(tmp_path: Path) -> None:
    times = pa.array([0], pa.timestamp("us", "+05:30"))
    pq.write_table(pa.table({"text": ["a"], "at": times}), tmp_path / "posts.parquet")
    frame = read_all(tmp_path / "posts.parquet").frame
    assert frame["at"].dtype == pl.Datetime("us", "UTC") and frame["at"].to_physical().to_list() == [0]


def test_a_link_that_leads_out_of_the_folder_is_called_one(tmp_path: Path, images: Path) -> None:
    outside = write(tmp_path / "outside.jpg", "")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").symlink_to(outside)
    path = write(tmp_path / "posts.csv", "text,image\na,a.jpg\n")
    with pytest.raises(InputError, match=r"'a\.jpg' in the column 'image' is a link that leads out of it\. Pass the"):
        survey(path, images=tmp_path / "photos")


def test_urls_are_missing_and_this_is_said(tmp_path: Path, images: Path) -> None:
    path = write(tmp_path / "posts.csv", "text,image\na,https://example.org/z.jpg\nb,\n")
    note = (
        "The images in the column 'image' are URLs, which are not downloaded. "
        f"`img2dataset --url_list {path} --input_format csv --url_col image --caption_col text --resize_mode no "
        "--output_format webdataset --output_folder posts-images` downloads them into a folder that can be scored "
        "(sentimm score posts-images); posts whose image can't be downloaded are left out."
    )
    assert note in survey(path).notes
    assert note in survey(path, images=images, allow_missing=True).notes
    assert read_all(path, images=images, allow_missing=True).images == [MISSING, None]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "text,image\na,no.jpg\n",
            "'no.jpg' in the column 'image' is not there. Check that --images is the right",
        ),
        ("text,image\na,../photos/a.jpg\n", "the posts name '../photos/a.jpg', but a.jpg is in the folder itself."),
        (
            "text,image\na,http://x.org/z.jpg\n",
            "the images are URLs (such as http://x.org/z.jpg), which are not downloaded",
        ),
        ("text,image\na,\n", "the column 'image' is empty"),
        ("id,text\n9,a\n", "there is no 9.jpg or the like, looked up by the column 'id'"),
        ("text\na\n", "no column gives a name or an id. Name one with --image-column or --id-column"),
    ],
)
def test_no_image_found_is_an_error_unless_it_is_allowed(
    tmp_path: Path, images: Path, content: str, message: str
) -> None:
    path = write(tmp_path / "posts.csv", content)
    with pytest.raises(InputError) as raised:
        survey(path, images=images)
    assert str(raised.value).startswith(f"No post finds an image in {images}: {message}")
    assert str(raised.value).endswith("; use --allow-missing to continue without images.")
    assert raised.value.exit_code == 2
    assert survey(path, images=images, allow_missing=True).images_found == 0
    assert survey(path, images=images, only="text").images_found == 0


def test_a_header_alone_needs_no_images(tmp_path: Path, images: Path) -> None:
    assert survey(write(tmp_path / "posts.csv", "id,text,image\n"), images=images).rows == 0


def test_one_modality_may_be_left_out(tmp_path: Path, images: Path) -> None:
    path = write(tmp_path / "posts.csv", POSTS)
    assert read_all(path, images=images, only="text").images == [None] * 6
    assert read_all(path, images=images, only="image").texts.to_list() == [None] * 6
    assert survey(path, images=images, only="image").texts == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text_column": "txt"}, "--text-column names 'txt', but the columns are a, txet, c; did you mean 'txet'?"),
        ({"image_column": "zzz"}, "--image-column names 'zzz', but the columns are a, txet, c."),
        ({"id_column": "zzz"}, "--id-column names 'zzz', but the columns are a, txet, c."),
        ({"text_column": "a", "columns": ("a", "zzz")}, "--columns names 'zzz', but the columns are a, txet, c."),
        ({}, "No text column found (columns: a, txet, c): name it with --text-column (images need --images)."),
        ({"only": "text"}, "No text column found (columns: a, txet, c): name it with --text-column."),
        (
            {"only": "image", "text_column": "a"},
            "No image column found (columns: a, txet, c): use --images, and --image-column or --id-column.",
        ),
    ],
)
def test_a_column_that_is_not_there_is_a_clear_error(tmp_path: Path, options: dict[str, object], message: str) -> None:
    path = write(tmp_path / "posts.csv", "a,txet,c\n1,2,3\n")
    with pytest.raises(ColumnError) as raised:
        survey(path, **options)
    assert str(raised.value) == message
    assert raised.value.exit_code == 2


def test_only_some_columns_are_kept(tmp_path: Path, images: Path) -> None:
    path = write(tmp_path / "posts.csv", POSTS)
    chunk = read_all(path, images=images, columns=("likes", " id"))
    assert chunk.frame.columns == ["likes", "id"]
    assert chunk.texts[0] == "Hello"
    assert chunk.images[0] == images / "a.jpg"
    nothing = read_all(path, images=images, columns=())
    assert (nothing.frame.shape, nothing.rows, nothing.texts[0]) == ((6, 0), 6, "Hello")
    assert [chunk.frame.height for chunk in read_chunks(path, rows=4, columns=())] == [4, 2]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 100])
def test_a_limit_ends_the_corpus(tmp_path: Path, limit: int) -> None:
    one = write(tmp_path / "1.csv", "text\na\nb\n")
    two = write(tmp_path / "2.csv", "text\nc\nd\n")
    found = survey(one, two, limit=limit)
    assert found.rows == min(4, limit)
    assert [source.rows for source in found.sources] == [min(2, limit), min(2, max(0, limit - 2))]
    for start in range(limit):
        chunks = read_chunks(one, two, rows=3, start=start, limit=limit)
        assert [text for chunk in chunks for text in chunk.texts] == list("abcd")[start:limit]


def test_several_inputs_tell_where_a_post_comes_from(tmp_path: Path) -> None:
    one = write(tmp_path / "1.csv", "text,n\na,1\nb,2\nc\n")
    two = write(tmp_path / "2.tsv", "n\ttext\n3\td\n")
    chunk = read_all(one, two)
    assert chunk.frame.to_dict(as_series=False) == {
        "text": ["a", "b", None, "d"],
        "n": [1, 2, None, 3],
        "source": [str(one), str(one), str(one), str(two)],
        "row": [0, 1, 2, 0],
    }
    assert chunk.frame.schema["row"] == pl.Int64
    assert [problem.row for problem in chunk.problems] == [2]
    for start in range(4):
        chunks = list(read_chunks(one, two, rows=2, start=start))
        assert pl.concat([each.frame for each in chunks]).equals(chunk.frame.slice(start))


def test_the_added_columns_take_no_other_s_name(tmp_path: Path) -> None:
    one = write(tmp_path / "1.csv", "text,source\na,phone\n")
    two = write(tmp_path / "2.csv", "text,source\nb,web\n")
    with pytest.raises(ColumnError, match=r"a column 'source' is added, but they already have one: .*--prefix"):
        survey(one, two)
    assert list(survey(one, two, prefix="my_").schema) == ["text", "source", "my_source", "my_row"]
    assert read_all(one, two, prefix="my_").frame["my_source"].to_list() == [str(one), str(two)]
    assert list(survey(one, two, columns=("text",)).schema) == ["text", "source", "row"]
    assert list(survey(one).schema) == ["text", "source"]


@pytest.mark.parametrize("headers", [("text,a", "text"), ("text", "text,a")])
def test_columns_that_differ_are_a_clear_error(tmp_path: Path, headers: tuple[str, str]) -> None:
    one, two = (write(tmp_path / f"{n}.csv", f"{header}\n") for n, header in enumerate(headers))
    more, fewer = (one, two) if "a" in headers[0].split(",") else (two, one)
    with pytest.raises(ColumnError) as raised:
        survey(one, two)
    assert str(raised.value) == (
        f"The inputs' columns differ: {fewer} lacks a, which {more} has. Use --union to fill what an input lacks with "
        "null, or --columns to keep only columns that all have, such as --columns text."
    )


def test_globs_name_files_in_order(tmp_path: Path) -> None:
    for name in ("2026-02.csv", "2026-01.csv", "2025-01.csv"):
        write(tmp_path / name, f"text\n{name}\n")
    (tmp_path / "2026-03.csv").mkdir()
    found = survey_corpus([str(tmp_path / "2026-*.csv")], CorpusOptions())
    assert [source.path.name for source in found.sources] == ["2026-01.csv", "2026-02.csv"]
    write(tmp_path / "[odd].csv", "text\na\n")
    assert survey(tmp_path / "[odd].csv").rows == 1


def test_inputs_that_are_not_there_are_clear_errors(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.csv", "text\na\n")
    os.mkfifo(tmp_path / "pipe.csv")
    write(tmp_path / "posts.docx", "x")
    (tmp_path / "gone.csv").symlink_to(tmp_path / "nowhere.csv")
    for names, message in (
        (
            ["no.csv"],
            "no.csv is not there: name a table of posts (CSV, TSV, NDJSON, Parquet, Arrow), shards (.tar) or a folder.",
        ),
        (["*.tsv"], f"No file matches '{tmp_path}/*.tsv'."),
        (["gone.csv"], "gone.csv is not there"),
        (["pipe.csv"], "pipe.csv is not a regular file, but a table is read twice: write it to a file first."),
        (["posts.docx"], f"The format of {tmp_path}/posts.docx is unknown: its name must end in .csv, .tsv, .ndjson"),
        (["posts.csv", "p*s.csv"], f"{path} is named twice: each post would come out twice."),
    ):
        with pytest.raises(InputError) as raised:
            survey_corpus([str(tmp_path / name) for name in names], CorpusOptions())
        assert str(raised.value).removeprefix(f"{tmp_path}/").startswith(message.removeprefix(f"{tmp_path}/"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_a_clear_error(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.csv", "text\na\n")
    path.chmod(0)
    with pytest.raises(TableError, match="can't be read: Permission denied"):
        survey(path)


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[int] = []
    path = write(tmp_path / "posts.csv", "text\na\nb\n")
    survey_corpus([str(path)], CorpusOptions(), told.append)
    assert told[-1] == 2


def test_a_frame_s_images_are_looked_up_by_id_where_no_name_is_there(images: Path) -> None:
    frame = pl.DataFrame({"id": ["1", "2"], "text": ["a", "b"], "image": ["https://x.org/z.jpg"] * 2})
    chunk, choice = chunk_frame(frame, CorpusOptions(images=images))
    assert choice.by_id and chunk.images[0] == images / "1.jpg"


def test_a_frame_is_one_chunk(images: Path) -> None:
    frame = pl.DataFrame({"id": [1, 2], "text": ["a", None], "image": ["a.jpg", "no.jpg"]})
    chunk, choice = chunk_frame(frame, CorpusOptions(images=images))
    assert chunk.frame.equals(frame)
    assert chunk.texts.to_list() == ["a", None]
    assert chunk.images == [images / "a.jpg", MISSING]
    assert (choice.text, choice.image) == ("text", "image")
    assert chunk_frame(frame, CorpusOptions())[0].images == [None, None]
    assert chunk_frame(frame.drop("image"), CorpusOptions(images=images))[0].images == [images / "1.jpg", None]
    assert chunk_frame(frame, CorpusOptions(columns=("id",)))[0].frame.columns == ["id"]
    assert chunk_frame(frame, CorpusOptions(columns=()))[0].frame.shape == (2, 0)
    with pytest.raises(InputError, match="No post finds an image"):
        chunk_frame(frame.tail(1), CorpusOptions(images=images))
    assert chunk_frame(frame.clear(), CorpusOptions(images=images))[0].rows == 0


def test_standard_input_is_spooled(tmp_path: Path) -> None:
    path = spool_stdin(io.BytesIO(b'{"text": "a"}\n{"text": "b"}\n'), tmp_path / "stdin.ndjson")
    assert read_all(path).texts.to_list() == ["a", "b"]
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(InputError, match="Standard input is empty"):
        spool_stdin(io.BytesIO(b""), tmp_path / "empty.ndjson")
    with pytest.raises(OutputError, match="can't be written"):
        spool_stdin(io.BytesIO(b"{}"), tmp_path / "nowhere" / "stdin.ndjson")
    assert list(tmp_path.iterdir()) == [path]


def test_repeats_are_counted_and_beyond_a_limit_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sentimm.corpus.survey.repeated_texts.MAX_HASHES", 5000)
    exact, estimate, none = RepeatCounter(), RepeatCounter(), RepeatCounter()
    for block in range(20):
        exact.add(pl.Series([f"text {n % 4000}" for n in range(1000 * block, 1000 * (block + 1))]))
        estimate.add(pl.Series([f"text {n % 15000}" for n in range(5000 * block, 5000 * (block + 1))]))
        none.add(pl.Series([f"text {n}" for n in range(5000 * block, 5000 * (block + 1))]))
    assert exact.count() == 16_000
    assert abs(estimate.count() - 85_000) < 5000
    assert none.count() == 0
