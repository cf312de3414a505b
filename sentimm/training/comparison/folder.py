"""The folder of a comparison.

comparison.json         what all runs have in common; a command with other options or posts is refused
cache/                  outputs of frozen encoders, for all runs
runs/<model>-seed<N>[-fold<K>]
results.json, table.md, comparison.png      the results so far, rewritten after each run
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import sentimm
from sentimm.errors import JobConflictError, OutputError, RunError, UsageError
from sentimm.storage.atomic import commit_folder, write_file
from sentimm.training.comparison.plan import Cell
from sentimm.training.comparison.plot import draw_comparison
from sentimm.training.comparison.results import Comparison, render_markdown
from sentimm.training.data.posts import LabelledPosts
from sentimm.training.options import TrainOptions
from sentimm.training.run_folder import Run, is_run, open_run

FORMAT = 1
# What tells one run from another, and what may change when a comparison is resumed. Tables count by their posts.
_OWN = {"fusion", "seed", "fold", "teacher", "teacher_weight"}  # comparisons have no teacher
_FREE = {"inputs", "images", "encoding", "no_header", "union", "val", "device", "save_every_s"}
_FREE |= {"feature_cache", "image_cache"}


def is_done(folder: Path, cell: Cell) -> bool:
    """Check whether a cell's run is finished."""
    path = folder / "runs" / cell.name
    return is_run(path) and open_run(path).is_finished()


def find_others(folder: Path, cells: Sequence[Cell]) -> Iterator[tuple[Cell, Run]]:
    """Yield the finished runs of earlier calls that `cells` does not name."""
    for path in sorted(folder.glob("runs/*")):
        cell = Cell.parse(path.name)
        if cell is not None and cell not in cells and is_done(folder, cell):
            yield cell, open_run(path)


def check_folder(folder: Path) -> None:
    """Check, before the tables are read, that the folder is new, empty or a comparison's.

    Raises:
        OutputError: it is a file.
        UsageError: it holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file: name a folder with -o.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "comparison.json").is_file():
        raise UsageError(f"{folder} already exists and holds no comparison: name another folder with -o.")


def claim_folder(folder: Path, base: TrainOptions, posts: LabelledPosts, validation: LabelledPosts | None) -> None:
    """Write comparison.json, or check that the one in the folder has the same options and posts.

    Raises:
        OutputError: the folder can't be written.
        RunError: comparison.json is damaged.
        JobConflictError: it has other options or posts.
    """
    own: dict[str, Any] = {
        "format": FORMAT,
        "sentimm": sentimm.__version__,
        "options": describe_options(base),
        "posts": [each.digest() for each in (posts, validation) if each is not None],
    }
    file = folder / "comparison.json"
    if not file.is_file():
        if not (folder / "runs").is_dir():
            commit_folder(folder / "runs")
        write_file(file, (json.dumps(own, indent=1) + "\n").encode())
        return
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        # Options that were added since had their default values.
        options: dict[str, Any] = describe_options(TrainOptions(base.inputs)) | stored["options"]
        differing = [name for name in own["options"] if options.get(name) != own["options"][name]]
        other_posts = stored["posts"] != own["posts"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file} is damaged ({error!r}): compare in another folder.") from error
    if differing:
        changes = ", ".join(f"{name} was {options.get(name)!r} and is {own['options'][name]!r}" for name in differing)
        raise JobConflictError(f"{folder} holds a comparison with other options ({changes}): name another with -o.")
    if other_posts:
        raise JobConflictError(f"{folder} holds a comparison on other posts: name another folder with -o.")


def describe_options(base: TrainOptions) -> dict[str, Any]:
    """Return the options that all runs share, as JSON reads them back."""
    plain = {name: value for name, value in base.to_plain().items() if name not in _OWN | _FREE}
    for name, encoder, usual in (("pooling", base.text_encoder, "mean"), ("image_levels", base.image_encoder, 1)):
        if plain[name] is None and not is_run(Path(encoder)):
            plain[name] = usual
    described: dict[str, Any] = json.loads(json.dumps(plain))
    return described


def write_results(comparison: Comparison, folder: Path) -> None:
    """Write results.json, table.md and comparison.png.

    Raises:
        OutputError: the folder can't be written.
    """
    content = json.dumps(comparison.to_json(), indent=1, ensure_ascii=False) + "\n"
    write_file(folder / "results.json", content.encode())
    write_file(folder / "table.md", render_markdown(comparison).encode())
    draw_comparison(comparison, folder / "comparison.png")
