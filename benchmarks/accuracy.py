"""Compare labels that `sentimm score` wrote with a column of its input.

python benchmarks/accuracy.py scored.parquet label
"""

from __future__ import annotations

import sys

import numpy as np
import polars as pl

from sentimm.evaluation.metrics import measure_labels


def main(file: str, column: str) -> None:
    """Print accuracy, macro F1 and macro recall of `sentiment` against `column`."""
    frame = pl.read_parquet(file, columns=["sentiment", column]).drop_nulls(column)
    labels = sorted(frame[column].unique())
    true, predicted = (
        np.asarray([labels.index(label) if label in labels else -1 for label in frame[name]])
        for name in (column, "sentiment")
    )
    metrics = measure_labels(true, predicted)
    print(
        f"{file} against {column}: {metrics.posts} posts, accuracy {metrics.accuracy:.2%}, "
        f"macro F1 {metrics.macro_f1:.3f}, macro recall {metrics.macro_recall:.3f}"
    )


if __name__ == "__main__":
    main(*sys.argv[1:3])
