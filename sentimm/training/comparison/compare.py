"""A comparison: models trained on the same posts, for several seeds and folds, each in a run folder that resumes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from sentimm.errors import RunError, UsageError
from sentimm.models.sentiment_model import FUSIONS
from sentimm.storage.atomic import remove_file
from sentimm.training.comparison.folder import (
    check_folder,
    claim_folder,
    describe_options,
    find_others,
    is_done,
    write_results,
)
from sentimm.training.comparison.options import CompareOptions
from sentimm.training.comparison.plan import Cell, adapt_options, check_models, list_cells
from sentimm.training.comparison.results import (
    Comparison,
    EpochFigures,
    RunFigures,
    measure_epoch,
    summarize_model,
)
from sentimm.training.comparison.seen import BoolArray, flag_seen, hash_images
from sentimm.training.data.posts import LabelledPosts, find_usable
from sentimm.training.data.prepare import TrainingData, check_posts, load_tables, split_data, split_for_model
from sentimm.training.events import ComparedRun, ComparisonListener, ImagesHashed
from sentimm.training.learning.validation import count_confusion
from sentimm.training.model import load_model
from sentimm.training.options import TrainOptions
from sentimm.training.run_folder import Run, Weights, is_run, open_run
from sentimm.training.train import resume_run, start_run

_SPLIT_SEED = 0  # the seed of the posts that `train` holds out by default
_BOTH = ("text", "image")


def compare_models(
    options: CompareOptions, tell: ComparisonListener, should_stop: Callable[[], bool] = lambda: False
) -> Comparison:
    """Train the runs that are not finished yet; write and return all results in the folder, those of earlier calls too.

    `should_stop` is called after each step.

    Raises:
        UsageError: options that don't go together, or a folder that holds something else.
        JobConflictError: the folder holds a comparison with other options or posts.
        OutputError: the folder can't be written.
        TrainingStopped: `should_stop` returned true; the same call resumes.
        InputError, ColumnError, TableError, DeviceError, TrainingError, RunError: see `start_run`.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("A comparison trains in one process: run it without `accelerate launch`.")
    check_models(options)
    check_folder(options.folder)
    posts, validation = load_tables(options.training, _BOTH)
    base = replace(
        options.training,
        split_seed=_SPLIT_SEED,
        feature_cache=options.training.feature_cache or options.folder / "cache",
    )
    experiment = _Experiment(options, base, posts, validation, tell, should_stop)
    cells = list(list_cells(options))
    for model in {cell.model for cell in cells if not is_done(options.folder, cell)}:
        load_model(adapt_options(base, model), posts)  # a missing encoder should fail now, not after hours
    claim_folder(options.folder, base, posts, validation)
    figures = [experiment.measure(cell, run) for cell, run in find_others(options.folder, cells)]
    for number, cell in enumerate(cells, start=1):
        run = experiment.train(cell, number, len(cells))
        figures.append(experiment.measure(cell, run))
        comparison = experiment.summarize(figures, number, len(cells))
        write_results(comparison, options.folder)
    return comparison


class _Experiment:
    """The posts and their splits, and training and measuring on them, cell by cell."""

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
        # One split, or one for each fold.
        self._splits = {
            fold: split_data(self._make_options(Cell(options.models[0], 1, fold)), posts, validation)
            for fold in dict.fromkeys(cell.fold for cell in list_cells(options))
        }
        for cell in list_cells(options):
            training = self._make_options(cell)
            check_posts(self._load(training), training)
        self._seen = self._flag_seen() if options.without_seen else None

    def train(self, cell: Cell, number: int, planned: int) -> Run:
        """Train a cell's model, or resume its training."""
        path = self._options.folder / "runs" / cell.name
        state: Any = "interrupted" if is_run(path) else "new"
        if is_done(self._options.folder, cell):
            state = "finished"
        self._tell(ComparedRun(number, planned, cell.name, state))
        if state == "finished":
            run = open_run(path)
        elif state == "interrupted":
            run = resume_run(path, self._tell, self._should_stop, self._load)
        else:
            shutil.rmtree(path, ignore_errors=True)  # of a run that was killed before its config.json
            run = start_run(self._make_options(cell), path, self._tell, self._should_stop, self._load)
        # Twice the size of the weights, and of no more use.
        remove_file(path / "trainer.pt")
        return run

    def measure(self, cell: Cell, run: Run) -> RunFigures:
        """Read a finished run's figures."""
        records = run.read_metrics()
        best = max(records, key=lambda record: record["score"])
        epochs: dict[Weights, int] = {"best": best["epoch"], "last": records[-1]["epoch"]}
        figures: dict[str, EpochFigures | None] = {}
        for kind, epoch in epochs.items():
            confusion = np.asarray(records[epoch - 1]["confusion"], dtype=np.int64)
            figures[kind] = measure_epoch(epoch, confusion)
            figures[f"{kind}_unseen"] = self._measure_unseen(cell, run, kind, epoch)
        return RunFigures(cell.model, cell.seed, cell.fold, f"runs/{cell.name}", **figures)  # type: ignore[arg-type]

    def summarize(self, figures: list[RunFigures], done: int, planned: int) -> Comparison:
        """Summarize the figures of the runs so far."""
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
            options=describe_options(self._base),
            models=tuple(models),
        )

    def _make_options(self, cell: Cell) -> TrainOptions:
        options = adapt_options(self._base, cell.model)
        return replace(options, seed=cell.seed, fold=0 if cell.fold is None else cell.fold - 1)

    def _load(self, options: TrainOptions) -> TrainingData:
        return split_for_model(options, self._posts, self._validation)

    def _flag_seen(self) -> dict[int | None, BoolArray]:
        hashes = hash_images(self._posts, lambda done, total: self._tell(ImagesHashed(done, total)))
        own = hashes
        if self._validation is not None:
            own = hash_images(self._validation, lambda done, total: self._tell(ImagesHashed(done, total)))
        return {fold: flag_seen(data.training, data.validation, hashes, own) for fold, data in self._splits.items()}

    def _measure_unseen(self, cell: Cell, run: Run, kind: Weights, epoch: int) -> EpochFigures | None:
        if self._seen is None:
            return None
        data = self._load(self._make_options(cell))
        scores = run.read_scores(kind)
        if len(scores) != len(data.validation):
            raise RunError(
                f"{run.path} holds scores of {len(scores)} posts, not {len(data.validation)}: remove it, then compare."
            )
        usable = find_usable(self._splits[cell.fold].validation, FUSIONS[cell.model].modalities)
        rows = np.flatnonzero(~self._seen[cell.fold][usable])
        confusion = count_confusion(scores[rows], data.validation.select(rows), run.fusion.heads)
        return measure_epoch(epoch, confusion) if confusion.any() else None
