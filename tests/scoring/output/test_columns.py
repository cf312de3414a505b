from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from sentimm.corpus.labels import NO_LABEL
from sentimm.errors import UsageError
from sentimm.events import Counts
from sentimm.scoring.output.columns import OutputColumns, add_counts
from sentimm.scoring.output.parquet_files import read_facts, regroup_parts, write_parquet
from sentimm.scoring.scores import Scores, ViewScores

LABELS = ("negative", "neutral", "positive")
NOTHING = Counts({}, {}, {})


def scores_of(rows: int) -> Scores:
    probabilities = np.tile(np.array([[0.2, 0.1, 0.7]], dtype=np.float32), (rows, 1))
    zeros = np.zeros(rows, dtype=np.int64)
    return Scores(probabilities, zeros + 2, zeros, zeros)


def test_the_added_columns_have_the_designs_names_types_and_order():
    columns = OutputColumns({"id": pl.Int64()}, LABELS)
    frame = columns.add_scores(pl.DataFrame({"id": [1, 2]}), scores_of(2))
    assert frame.schema == {
        "id": pl.Int64,
        "sentiment": pl.String,
        "confidence": pl.Float32,
        "p_negative": pl.Float32,
        "p_neutral": pl.Float32,
        "p_positive": pl.Float32,
        "modality": pl.String,
        "status": pl.String,
    }
    assert frame.rows()[0] == pytest.approx((1, "positive", 0.7, 0.2, 0.1, 0.7, "text+image", "ok"), abs=1e-6)


def test_a_post_without_a_label_has_nulls():
    scores = Scores(
        probabilities=np.array([[0.5, 0.3, 0.2], [0, 0, 0]], dtype=np.float32),
        labels=np.array([0, NO_LABEL]),
        modalities=np.array([1, 3]),
        statuses=np.array([0, 4]),
    )
    frame = OutputColumns({"id": pl.Int64()}, LABELS).add_scores(pl.DataFrame({"id": [1, 2]}), scores)
    assert frame.rows()[1] == (2, None, None, None, None, None, "none", "empty")
    assert frame["sentiment"].to_list() == ["negative", None]


def test_views_come_last_and_are_null_where_there_is_nothing_to_say():
    columns = OutputColumns({"id": pl.Int64()}, LABELS, views=True)
    probabilities = np.full((2, 3), 1 / 3, dtype=np.float32)
    views = ViewScores(
        np.array([0, 1]), np.array([2, NO_LABEL]), probabilities, probabilities, np.array([0.25, np.nan], np.float32)
    )
    frame = columns.add_scores(pl.DataFrame({"id": [1, 2]}), replace(scores_of(2), views=views))
    assert frame.columns[-4:] == ["status", "text_sentiment", "image_sentiment", "conflict"]
    assert frame.schema["conflict"] == pl.Float32 and frame.schema["text_sentiment"] == pl.String
    assert frame.rows()[0][-3:] == ("negative", "positive", 0.25)
    assert frame.rows()[1][-3:] == ("neutral", None, None)
    assert frame.to_arrow().schema == columns.arrow_schema
    with pytest.raises(UsageError, match="already has a column named 'conflict'"):
        OutputColumns({"conflict": pl.Int64()}, LABELS, views=True)


def test_a_frame_of_no_posts_gets_the_columns_too():
    columns = OutputColumns({"id": pl.Int64()}, LABELS)
    frame = columns.add_scores(pl.DataFrame(schema={"id": pl.Int64}), scores_of(0))
    assert frame.to_arrow().schema == columns.arrow_schema


def test_a_column_that_is_there_already_is_named_with_prefix():
    with pytest.raises(UsageError, match=r"already has columns named 'sentiment', 'status': .* --prefix"):
        OutputColumns({"status": pl.String(), "sentiment": pl.String()}, LABELS)
    with_prefix = OutputColumns({"status": pl.String()}, LABELS, prefix="m_")
    assert list(with_prefix.added)[:3] == ["m_sentiment", "m_confidence", "m_p_negative"]


def test_labels_modalities_and_statuses_are_counted():
    columns = OutputColumns({"id": pl.Int64()}, LABELS, prefix="x_")
    counts = columns.count(columns.add_scores(pl.DataFrame({"id": [1, 2]}), scores_of(2)))
    assert counts.labels == {"negative": 0, "neutral": 0, "positive": 2}
    assert counts.modalities == {"text+image": 2, "text": 0, "image": 0, "none": 0}
    assert counts.statuses["ok"] == 2
    assert add_counts([counts, counts], LABELS).labels == {"negative": 0, "neutral": 0, "positive": 4}


def test_a_file_is_zstd_with_string_dictionaries_and_our_metadata(tmp_path):
    columns = OutputColumns({"id": pl.Int64()}, LABELS)
    frame = columns.add_scores(pl.DataFrame({"id": list(range(50))}), scores_of(50))
    metadata = {"bundle": "tiny", "fingerprint": {"a": 1}}
    write_parquet(tmp_path / "x.parquet", [frame.to_arrow()], columns.arrow_schema, metadata, columns.count(frame))
    file = pq.ParquetFile(tmp_path / "x.parquet")
    sentiment = file.metadata.row_group(0).column(1)
    assert sentiment.compression == "ZSTD"
    assert sentiment.has_dictionary_page
    assert str(file.schema.column(1).logical_type) == "String"
    assert file.metadata.metadata[b"sentimm.bundle"] == b"tiny"
    facts = read_facts(tmp_path / "x.parquet")
    assert facts is not None
    assert (facts.rows, facts.fingerprint, facts.counts) == (50, {"a": 1}, columns.count(frame))
    assert facts.schema == columns.arrow_schema
    assert pl.read_parquet(tmp_path / "x.parquet").equals(frame)


def test_a_file_that_is_cut_or_not_ours_has_no_facts(tmp_path):
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "foreign.parquet")
    assert read_facts(tmp_path / "foreign.parquet") is None
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "foreign.parquet").read_bytes()[:-5])
    assert read_facts(tmp_path / "cut.parquet") is None
    (tmp_path / "empty.parquet").write_bytes(b"")
    assert read_facts(tmp_path / "empty.parquet") is None


def many_types() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "string": ["a", None, ""],
            "integer": [1, 2, None],
            "byte": pl.Series([1, 2, 3], dtype=pl.UInt8),
            "date": [dt.date(2020, 1, 1)] * 3,
            "time zone": pl.Series([dt.datetime(2020, 1, 1)] * 3).dt.replace_time_zone("UTC"),
            "duration": [dt.timedelta(seconds=1)] * 3,
            "categorical": pl.Series(["x", "y", "x"], dtype=pl.Categorical),
            "enum": pl.Series(["x", "y", "x"], dtype=pl.Enum(["x", "y"])),
            "list": [[1, 2], [], None],
            "struct": [{"a": 1, "b": "x"}] * 3,
            "binary": [b"a", b"\x00", None],
            "null": [None] * 3,
            "boolean": [True, None, False],
        }
    )


def test_parts_are_regrouped_with_all_types_kept(tmp_path):
    frame = many_types()
    other = frame.with_columns(categorical=pl.Series(["q", "z", "q"], dtype=pl.Categorical))
    schema = frame.to_arrow().schema
    parts = [tmp_path / f"{index}.parquet" for index in range(3)]
    for part, rows in zip(parts, (frame, other, frame), strict=True):
        write_parquet(part, [rows.to_arrow()], schema, {"fingerprint": {}}, NOTHING)
    told: list[int] = []
    tables = regroup_parts(parts, told.append, rows=4)
    write_parquet(tmp_path / "all.parquet", tables, schema, {"fingerprint": {}}, NOTHING)
    metadata = pq.read_metadata(tmp_path / "all.parquet")
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [4, 4, 1]
    assert told == [4, 8, 9]
    whole = pl.read_parquet(tmp_path / "all.parquet")
    assert whole.equals(pl.concat([frame, other, frame]))
    assert whole.schema == frame.schema
