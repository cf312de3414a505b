from __future__ import annotations

import polars as pl
import pytest

from sentimm.findings.statistics.agreement import measure_alpha


def make_votes(rows: list[tuple[int | None, ...]]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (f"s{unit}", f"p{person}", label)
            for person, labels in enumerate(rows)
            for unit, label in enumerate(labels)
            if label is not None
        ],
        schema={"sheet_id": pl.String, "annotator": pl.String, "label": pl.Int64},
        orient="row",
    )


def test_the_example_of_krippendorff() -> None:
    # "Computing Krippendorff's alpha-reliability" (2011), example C: four observers, twelve units, values 1 to 5.
    n = None
    rows = [
        (1, 2, 3, 3, 2, 1, 4, 1, 2, n, n, n),
        (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, n, 3),
        (n, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, n),
        (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, n),
    ]
    votes = make_votes([tuple(None if value is None else value - 1 for value in row) for row in rows])
    assert measure_alpha(votes, 5, "nominal") == pytest.approx(0.743, abs=5e-4)
    assert measure_alpha(votes, 5, "ordinal") == pytest.approx(0.815, abs=5e-4)


def test_without_an_overlap_there_is_no_agreement_to_measure() -> None:
    assert measure_alpha(make_votes([(0, None), (None, 1)]), 3, "nominal") is None
    assert measure_alpha(make_votes([(0, 1), (0, 1)]), 3, "nominal") == 1.0
