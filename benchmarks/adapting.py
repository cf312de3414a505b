"""Measure what `sentimm adapt` gains on posts that were not labelled: a table whose own labels fill the sheet.

python benchmarks/adapting.py DATA/semeval_tweets/dev.csv DATA/multilingual_tweets/val.csv --labels 500

Scores the posts, draws a sheet, labels it by the table, adapts the model, scores again, and compares both over the
posts whose texts are not on the sheet. The default model must not have seen them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from sentimm.options import SENTIMENTS


def run(*arguments: object, folder: Path) -> str:
    """Run a command of sentimm in `folder`, and return what it prints."""
    command = [sys.executable, "-m", "sentimm", *map(str, arguments)]
    done = subprocess.run(command, check=True, cwd=folder, capture_output=True, text=True)
    return done.stdout


def measure(scored: pl.DataFrame) -> tuple[float, float]:
    """Return the mean log loss and the accuracy of scored posts."""
    p = scored.select(f"p_{label}" for label in SENTIMENTS).to_numpy().astype(np.float64)
    label = scored["label"].replace_strict(dict(zip(SENTIMENTS, range(3), strict=True))).to_numpy()
    loss = -np.log(np.maximum(p[np.arange(len(p)), label], 1e-6)).mean()
    return float(loss), float((p.argmax(axis=1) == label).mean())


def compare(table: Path, labels: int) -> None:
    """Adapt the default model to a table, and print what it does before and after."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        posts = pl.read_csv(table, infer_schema=False)
        posts.write_csv(folder / "posts.csv")
        run("score", "posts.csv", "-o", "before.parquet", "--quiet", folder=folder)
        run("sample", "before.parquet", "--labels", labels, "-o", "sheet.csv", folder=folder)
        design = pl.read_parquet(folder / "sheet.design.parquet")
        truth = dict(zip(design["sheet_id"], posts["label"].gather(design["row"]), strict=True))
        sheet = pl.read_csv(folder / "sheet.csv", infer_schema=False)
        sheet.with_columns(label=pl.col("sheet_id").replace_strict(truth)).write_csv(folder / "sheet.csv")
        found = json.loads(run("adapt", "sheet.csv", "-o", "adapted", "--anyway", "--json", folder=folder))
        run("score", "posts.csv", "-o", "after.parquet", "--model", "adapted", "--quiet", folder=folder)
        drawn = posts["text"].gather(design["row"]).unique()
        print(f"{table}: {found['best']}, gain stated {max(each['gain']['value'] for each in found['candidates']):.4f}")
        for stage in ("before", "after"):
            scored = pl.read_parquet(folder / f"{stage}.parquet")
            rest = scored.filter(~pl.col("text").is_in(drawn.implode()), pl.col("p_neutral").is_not_null())
            loss, accuracy = measure(rest)
            print(f"  {stage}: log loss {loss:.3f}, accuracy {accuracy:.1%}, {len(rest):,} posts off the sheet")


def main() -> None:
    """Compare on each table."""
    parser = argparse.ArgumentParser(description="Measure what adapting to a sheet gains on other posts.")
    parser.add_argument("tables", type=Path, nargs="+", help="with columns text and label")
    parser.add_argument("--labels", type=int, default=500)
    options = parser.parse_args()
    for table in options.tables:
        compare(table.absolute(), options.labels)


if __name__ == "__main__":
    main()
