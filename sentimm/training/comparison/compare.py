"""A comparison: models trained on the same posts, for several seeds and folds, each in a run folder that resumes.

comparison.json         what all runs have in common; another command's is refused
cache/                  what frozen encoders gave, for all runs
runs/<model>-seed<N>[-fold<K>]
results.json, table.md, comparison.png      what was found, written anew after each run
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import sentimm
from sentimm.errors import JobConflictError, OutputError, RunError, UsageError
from sentimm.models.fusion import FUSIONS
from sentimm.plots import draw_comparison
from sentimm.storage.atomic import commit_folder, remove_file, write_file
from sentimm.training.comparison.results import (
    Comparison,
    EpochFigures,
    RunFigures,
    measure_epoch,
    render_markdown,
    summarize_model,
)
from sentimm.training.comparison.seen import Flags, find_seen, hash_images
from sentimm.training.data.posts import LabelledPosts, find_usable
from sentimm.training.data.prepare import TrainingData, check_posts, cut_data, divide_data, load_tables
from sentimm.training.events import ComparedRun, ComparisonListener, ImagesHashed
from sentimm.training.learning.validation import count_confusion
from sentimm.training.model import check_options, load_model
from sentimm.training.options import CompareOptions, TrainOptions
from sentimm.training.run_folder import Run, Weights, is_run, open_run
from sentimm.training.train import resume_run, start_run

FORMAT = 1
_SPLIT_SEED = 0  # what `train` holds out unless another seed is asked for
# What tells one run from another, and what may change when a comparison goes on. Tables count by their posts.
_OWN = {"fusion", "seed", "fold"}
_FREE = {"inputs", "images", "val", "device", "save_every_s", "feature_cache", "image_cache"}
_BOTH = ("text", "image")


@dataclass(frozen=True)
class Cell:
    """One run of a comparison; `fold` counts from 1, None: no folds."""

    model: str
    seed: int
    fold: int | None

    @property
    def name(self) -> str:
        """The name of its run folder."""
        return f"{self.model}-seed{self.seed}" + ("" if self.fold is None else f"-fold{self.fold}")

    @classmethod
    def parse(cls, name: str) -> Cell | None:
        """Read the name of a run folder; None where it is none of ours."""
        found = re.fullmatch(r"(.+)-seed(\d+)(?:-fold(\d+))?", name)
        if found is None or found[1] not in FUSIONS:
            return None
        return cls(found[1], int(found[2]), None if found[3] is None else int(found[3]))


def compare_models(
    options: CompareOptions, tell: ComparisonListener, should_stop: Callable[[], bool] = lambda: False
) -> Comparison:
    """Train what is not trained yet, and write and give what was found, by earlier calls for this folder too.

    `should_stop` is asked after each step.

    Raises:
        UsageError: options that don't go together, or a folder that holds something else.
        JobConflictError: the folder holds a comparison with other options or posts.
        OutputError: the folder can't be written.
        TrainingStopped: `should_stop` said so; the same call goes on.
        InputError, ColumnError, TableError, DeviceError, TrainingError, RunError: see `start_run`.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("A comparison trains in one process: start it without `accelerate launch`.")
    _check_models(options)
    _check_folder(options.folder)
    posts, validation = load_tables(options.training, _BOTH)
    base = replace(
        options.training,
        split_seed=_SPLIT_SEED,
        feature_cache=options.training.feature_cache or options.folder / "cache",
    )
    work = _Work(options, base, posts, validation, tell, should_stop)
    cells = list(_list_cells(options))
    for model in {cell.model for cell in cells if not _is_done(options.folder, cell)}:
        load_model(_adapt(base, model), posts)  # an encoder that can't be had is no reason to stop after hours
    _claim_folder(options.folder, base, posts, validation)
    figures = [work.measure(cell, run) for cell, run in _find_others(options.folder, cells)]
    for number, cell in enumerate(cells, start=1):
        run = work.train(cell, number, len(cells))
        figures.append(work.measure(cell, run))
        found = work.conclude(figures, number, len(cells))
        _write_results(found, options.folder)
    return found


def _list_cells(options: CompareOptions) -> Iterator[Cell]:
    """Every model once before the next seed or fold: a comparison that was stopped has something to show."""
    folds = options.training.folds
    for seed in range(1, options.seeds + 1):
        for fold in [None] if folds is None else range(1, folds + 1):
            for model in options.models:
                yield Cell(model, seed, fold)


def _is_done(folder: Path, cell: Cell) -> bool:
    path = folder / "runs" / cell.name
    return is_run(path) and open_run(path).is_finished()


def _find_others(folder: Path, cells: Sequence[Cell]) -> Iterator[tuple[Cell, Run]]:
    """Find the finished runs of earlier calls that `cells` does not name."""
    for path in sorted(folder.glob("runs/*")):
        cell = Cell.parse(path.name)
        if cell is not None and cell not in cells and _is_done(folder, cell):
            yield cell, open_run(path)


class _Work:
    """Posts, and what is done with them for each cell."""

    def __init__(
        self,
        options: CompareOptions,
        base: TrainOptions,
        posts: LabelledPosts,
        validation: LabelledPosts | None,
        tell: ComparisonListener,
        should_stop: Callable[[], bool],
    ) -> None:
        self._options = options
        self._base = base
        self._posts = posts
        self._validation = validation
        self._tell = tell
        self._should_stop = should_stop
        # A split each: one, or one for each fold.
        self._splits = {
            fold: divide_data(self._choose(Cell(options.models[0], 1, fold)), posts, validation)
            for fold in dict.fromkeys(cell.fold for cell in _list_cells(options))
        }
        for cell in _list_cells(options):
            choice = self._choose(cell)
            check_posts(self._load(choice), choice)
        self._seen = self._find_seen() if options.without_seen else None

    def train(self, cell: Cell, number: int, planned: int) -> Run:
        """Train a cell's model, or what is left of it."""
        path = self._options.folder / "runs" / cell.name
        state: Any = "interrupted" if is_run(path) else "new"
        if _is_done(self._options.folder, cell):
            state = "finished"
        self._tell(ComparedRun(number, planned, cell.name, state))
        if state == "finished":
            run = open_run(path)
        elif state == "interrupted":
            run = resume_run(path, self._tell, self._should_stop, self._load)
        else:
            shutil.rmtree(path, ignore_errors=True)  # of a run that ended before it began
            run = start_run(self._choose(cell), path, self._tell, self._should_stop, self._load)
        # Twice the size of the weights, for each run, and of no use any more.
        remove_file(path / "trainer.pt")
        return run

    def measure(self, cell: Cell, run: Run) -> RunFigures:
        """Take a finished run's figures."""
        records = run.read_metrics()
        best = max(records, key=lambda record: record["score"])
        epochs: dict[Weights, int] = {"best": best["epoch"], "last": records[-1]["epoch"]}
        figures: dict[str, EpochFigures | None] = {}
        for kind, epoch in epochs.items():
            confusion = np.asarray(records[epoch - 1]["confusion"], dtype=np.int64)
            figures[kind] = measure_epoch(epoch, confusion)
            figures[f"{kind}_unseen"] = self._measure_unseen(cell, run, kind, epoch)
        return RunFigures(cell.model, cell.seed, cell.fold, f"runs/{cell.name}", **figures)  # type: ignore[arg-type]

    def conclude(self, figures: list[RunFigures], done: int, planned: int) -> Comparison:
        """Put together what was found so far."""
        figures = sorted(figures, key=lambda run: (run.seed, run.fold or 0))
        sizes = [(len(data.training), len(data.validation)) for data in self._splits.values()]
        models = [
            summarize_model(model, runs)
            for model in dict.fromkeys([*self._options.models, *FUSIONS])
            if (runs := [run for run in figures if run.model == model])
        ]
        return Comparison(
            inputs=self._base.inputs,
            val=self._base.val,
            training=round(np.mean([training for training, _ in sizes])),
            validation=round(np.mean([validation for _, validation in sizes])),
            seen=None if self._seen is None else sum(int(flags.sum()) for flags in self._seen.values()),
            folds=self._base.folds,
            seeds=self._options.seeds,
            done=done,
            planned=planned,
            options=_describe_options(self._base),
            models=tuple(models),
        )

    def _choose(self, cell: Cell) -> TrainOptions:
        options = _adapt(self._base, cell.model)
        return replace(options, seed=cell.seed, fold=0 if cell.fold is None else cell.fold - 1)

    def _load(self, options: TrainOptions) -> TrainingData:
        return cut_data(options, self._posts, self._validation)

    def _find_seen(self) -> dict[int | None, Flags]:
        hashes = hash_images(self._posts, lambda done, total: self._tell(ImagesHashed(done, total)))
        own = hashes
        if self._validation is not None:
            own = hash_images(self._validation, lambda done, total: self._tell(ImagesHashed(done, total)))
        return {fold: find_seen(data.training, data.validation, hashes, own) for fold, data in self._splits.items()}

    def _measure_unseen(self, cell: Cell, run: Run, kind: Weights, epoch: int) -> EpochFigures | None:
        if self._seen is None:
            return None
        data = self._load(self._choose(cell))
        scores = run.read_scores(kind)
        if len(scores) != len(data.validation):
            raise RunError(f"{run.path} holds scores of {len(scores)} posts, not {len(data.validation)}: remove it.")
        usable = find_usable(self._splits[cell.fold].validation, FUSIONS[cell.model].modalities)
        rows = np.flatnonzero(~self._seen[cell.fold][usable])
        confusion = count_confusion(scores[rows], data.validation.select(rows), run.fusion.heads)
        return measure_epoch(epoch, confusion) if confusion.any() else None


def _check_models(options: CompareOptions) -> None:
    if unknown := [model for model in options.models if model not in FUSIONS]:
        raise UsageError(f"--models: {', '.join(unknown)} is not one of {', '.join(FUSIONS)}.")
    literal = [model for model in options.models if FUSIONS[model].can_be_literal]
    if options.training.literal and not literal:
        raise UsageError(f"--literal changes none of {', '.join(options.models)}: leave it away.")
    takes_both = [model for model in options.models if len(FUSIONS[model].modalities) > 1]
    if options.training.composed and not takes_both:
        raise UsageError(f"--composed changes none of {', '.join(options.models)}: leave it away.")
    if options.training.heads and not takes_both:
        raise UsageError(f"--heads change none of {', '.join(options.models)}: leave it away.")
    for modality in options.training.freeze:
        if not any(modality in FUSIONS[model].modalities for model in options.models):
            raise UsageError(f"--freeze {modality}: none of {', '.join(options.models)} has such an encoder.")
    if options.training.composed and set(options.training.heads or ()) < set(_BOTH):
        raise UsageError("--composed needs both heads: give --heads text,image.")
    for model in options.models:
        check_options(_adapt(options.training, model))


def _adapt(options: TrainOptions, model: str) -> TrainOptions:
    """Give the options for one of the models, with what it can follow of them."""
    fusion = FUSIONS[model]
    return replace(
        options,
        fusion=model,
        literal=options.literal and fusion.can_be_literal,
        heads=options.heads if len(fusion.modalities) > 1 else (),
        freeze=tuple(modality for modality in options.freeze if modality in fusion.modalities),
        composed=options.composed if len(fusion.modalities) > 1 else 0.0,
    )


def _check_folder(folder: Path) -> None:
    """Check what can be known of the folder before the tables are read."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file: name a folder with -o.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "comparison.json").is_file():
        raise UsageError(f"{folder} is there already and holds no comparison: name another folder with -o.")


def _claim_folder(folder: Path, base: TrainOptions, posts: LabelledPosts, validation: LabelledPosts | None) -> None:
    """Note in the folder what all runs have in common, or check that it is what was noted."""
    own: dict[str, Any] = {
        "format": FORMAT,
        "sentimm": sentimm.__version__,
        "options": _describe_options(base),
        "posts": [each.digest() for each in (posts, validation) if each is not None],
    }
    file = folder / "comparison.json"
    if not file.is_file():
        if not (folder / "runs").is_dir():
            commit_folder(folder / "runs")
        write_file(file, (json.dumps(own, indent=1) + "\n").encode())
        return
    try:
        noted = json.loads(file.read_text(encoding="utf-8"))
        options: dict[str, Any] = noted["options"]
        differing = [name for name in own["options"] if options.get(name) != own["options"][name]]
        other_posts = noted["posts"] != own["posts"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file} is damaged ({error!r}): compare in another folder.") from error
    if differing:
        changes = ", ".join(f"{name} was {options.get(name)!r} and is {own['options'][name]!r}" for name in differing)
        raise JobConflictError(f"{folder} holds a comparison with other options ({changes}): name another with -o.")
    if other_posts:
        raise JobConflictError(f"{folder} holds a comparison on other posts: name another folder with -o.")


def _describe_options(base: TrainOptions) -> dict[str, Any]:
    """Give what all runs are trained with, as JSON gives it back."""
    plain = {name: value for name, value in base.to_plain().items() if name not in _OWN | _FREE}
    for name, encoder, usual in (("pooling", base.text_encoder, "mean"), ("image_levels", base.image_encoder, 1)):
        if plain[name] is None and not is_run(Path(encoder)):
            plain[name] = usual
    described: dict[str, Any] = json.loads(json.dumps(plain))
    return described


def _write_results(found: Comparison, folder: Path) -> None:
    content = json.dumps({"format": FORMAT, **asdict(found)}, indent=1, ensure_ascii=False) + "\n"
    write_file(folder / "results.json", content.encode())
    write_file(folder / "table.md", render_markdown(found).encode())
    draw_comparison(found, folder / "comparison.png")
