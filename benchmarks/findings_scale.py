"""Measure `sample` and `shares` over many scored rows, beside what polars itself takes for three means by group.

    python benchmarks/findings_scale.py --millions 100 --folder /tmp/scored

writes a folder of Parquet parts of a million rows each, as `score` does (once: what is there is used again), and prints
seconds and the most memory of each command, run in a process of its own, in turn with polars.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

LABELS = ("negative", "neutral", "positive")
ROWS = 1_000_000

MEANS = """
import polars as pl
posts = pl.scan_parquet({files!r}, hive_partitioning=False)
means = [pl.col(f"p_{{label}}").mean() for label in ("negative", "neutral", "positive")]
posts.group_by("party").agg(means).collect(engine="streaming")
"""
COMMAND = "from sentimm.cli.app import main; main({arguments!r})"


def write_part(folder: Path, number: int) -> None:
    """Write a part of a million scored rows."""
    path = folder / f"part-{number * ROWS:012d}.parquet"
    if path.exists():
        return
    rng = np.random.default_rng(number)
    p = rng.dirichlet((1, 1.5, 2), ROWS).astype(np.float32)
    frame = pl.DataFrame(
        {
            "id": np.arange(number * ROWS, (number + 1) * ROWS),
            "text": pl.Series(rng.integers(0, 1 << 40, ROWS)).cast(pl.String),
            "party": pl.Series(["red", "green", "blue", "grey", "white"])[rng.integers(0, 5, ROWS)],
            "created_at": pl.Series(rng.integers(19000, 19730, ROWS)).cast(pl.Int32).cast(pl.Date),
            "sentiment": pl.Series(LABELS)[p.argmax(axis=1)],
            "confidence": p.max(axis=1),
            **{f"p_{label}": p[:, k] for k, label in enumerate(LABELS)},
            "modality": "text",
            "status": "ok",
        }
    )
    metadata = {"sentimm.labels": json.dumps(LABELS), "sentimm.digest": "made", "sentimm.fingerprint": "{}"}
    table = frame.to_arrow().replace_schema_metadata(metadata)
    pq.write_table(table, path, compression="zstd", row_group_size=100_000)


def measure(code: str) -> tuple[float, float]:
    """Run code in a process of its own: its seconds, and its most memory in MB."""
    began = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    assert status == 0, "the command failed"
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", type=int, default=100)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    for number in range(asked.millions):
        write_part(asked.folder, number)
    files = sorted(map(str, asked.folder.glob("part-*.parquet")))[: asked.millions]
    sheet = asked.folder.parent / "scale-sheet.csv"
    sheet.unlink(missing_ok=True)
    for own in asked.folder.iterdir():
        if own.name not in {Path(file).name for file in files} and own.suffix == ".parquet":
            raise SystemExit(f"{own} is not of this benchmark: choose an empty folder.")
    commands = {
        "sample": ["sample", str(asked.folder), "--labels", "400", "-o", str(sheet)],
        "shares --by": ["shares", str(asked.folder), "--by", "party"],
        "shares --by --time": ["shares", str(asked.folder), "--by", "party", "--time", "created_at"],
        "shares --labels": ["shares", str(asked.folder), "--labels", str(sheet), "--by", "party"],
    }
    print(f"{asked.millions} million rows")
    for _ in range(asked.rounds):
        seconds, memory = measure(MEANS.format(files=files))
        print(f"polars, three means by group: {seconds:.1f} s, {memory:.0f} MB")
        for name, arguments in commands.items():
            own, most = measure(COMMAND.format(arguments=arguments))
            print(f"{name}: {own:.1f} s ({own / seconds:.2f} times polars), {most:.0f} MB")
            if name == "sample":
                _label(sheet)
        sheet.unlink(missing_ok=True)


def _label(sheet: Path) -> None:
    rows = pl.read_csv(sheet, infer_schema=False)
    labels = pl.Series("label", [LABELS[number % 3] for number in range(len(rows))])
    rows.with_columns(labels).write_csv(sheet)


if __name__ == "__main__":
    main()
