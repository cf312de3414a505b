"""Training: from labelled tables to a run folder, resumable at any step and reproducible by its seed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

import sentimm
from sentimm.errors import InputError, UsageError
from sentimm.models.sentiment_model import SentimentModel
from sentimm.storage.atomic import commit_folder, write_file
from sentimm.training.data.epochs import note_balance
from sentimm.training.data.prepare import (
    TrainingData,
    check_posts,
    load_data,
    make_batchers,
    note_labels,
    store_posts,
)
from sentimm.training.events import PostsLoaded, TrainingListener
from sentimm.training.learning.answers import ask_teachers
from sentimm.training.learning.loop import TrainingLoop
from sentimm.training.learning.optimizer import speed_up_convolutions
from sentimm.training.learning.processes import make_accelerator, share_result
from sentimm.training.learning.teacher import check_teachers, open_teachers
from sentimm.training.model import check_options, load_model
from sentimm.training.options import TrainOptions
from sentimm.training.run_folder import Run, load_state, load_weights, open_run, save_weights

Loader = Callable[[TrainOptions], TrainingData]


def start_run(
    options: TrainOptions,
    path: Path | None,
    tell: TrainingListener,
    should_stop: Callable[[], bool] = lambda: False,
    load: Loader = load_data,
) -> Run:
    """Train a new model into the folder `path` (None: the next one in runs/), and return the finished run.

    `should_stop` is called after each step; `load` reads the posts.

    Raises:
        UsageError: options that exclude each other, or a folder that is in use.
        RunNotFoundError: `options.init` is no run, or one of `options.teacher` is neither a run nor a bundle.
        RunError, BundleError: one of them is damaged.
        InputError, ColumnError, TableError: the tables or encoders can't be read.
        DeviceError: the device can't be used, or does not support the precision.
        OutputError: the folder can't be written to.
        TrainingError: the loss is no longer a number.
        TrainingStopped: `should_stop` returned true.
    """
    check_options(options)
    teachers = open_teachers(options)
    if options.init is not None:
        open_run(options.init)
    accelerator = make_accelerator(options)
    path = share_result(accelerator, lambda: _choose_folder(path, options.fusion))
    data = load(options)
    check_posts(data, options)
    torch.manual_seed(options.seed)
    model, tokenizer = load_model(options, data.training)
    check_teachers(teachers, data.training, options, model.config.heads)
    run = Run(
        path=path,
        labels=options.labels,
        fusion=model.config,
        text=None if model.text is None else model.text.config,
        image=None if model.image is None else model.image.config,
        normalization=data.training.normalization,
        options=options.to_plain(),
        provenance={
            "sentimm": sentimm.__version__,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "tables": {
                name: int((data.training.table == number).sum()) for number, name in enumerate(data.training.tables)
            },
            "posts": data.digests(),
        },
    )
    share_result(accelerator, lambda: _write_new_run(run, model, tokenizer, data, options))
    return _train(run, model, options, data, accelerator, tell, should_stop, state=None)


def _choose_folder(path: Path | None, fusion: str) -> Path:
    if path is None:
        numbered = (Path("runs") / f"{fusion}-{number}" for number in itertools.count(1))
        return next(path for path in numbered if not path.exists())
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file: name a folder with -o.")
    if path.exists() and any(path.iterdir()):
        raise UsageError(
            f"{path} already exists: name another folder with -o, or continue that run with --resume {path}."
        )
    return path


def _write_new_run(
    run: Run, model: SentimentModel, tokenizer: bytes | None, data: TrainingData, options: TrainOptions
) -> None:
    if not run.path.is_dir():
        commit_folder(run.path)
    if tokenizer is not None:
        write_file(run.tokenizer, tokenizer)
    store_posts(run, data, options)
    save_weights(model, run.path / "initial.safetensors")
    run.write_config()


def resume_run(
    path: Path,
    tell: TrainingListener,
    should_stop: Callable[[], bool] = lambda: False,
    load: Loader = load_data,
) -> Run:
    """Resume a run from its last saved state; a finished one is returned unchanged.

    Raises:
        RunNotFoundError: there is no run at `path`.
        RunError: the run is damaged, or has no state to resume from.
        InputError: the tables or images changed since the run was started.
        TrainingError, TrainingStopped: as `start_run`.
    """
    run = open_run(path)
    if run.is_finished():
        return run
    options = TrainOptions.from_plain(run.options | {"normalization": run.normalization})
    data = load(options)
    if data.digests() != run.provenance.get("posts", data.digests()):
        raise InputError(
            f"{path} was started on other posts: {', '.join(options.inputs)} or their images have changed. Train a new "
            f"run; --init {path} starts it from these weights."
        )
    initial = path / "initial.safetensors"
    saved = path / "trainer.pt"
    # A run that was killed before it saved a state, even at the end of its first epoch, starts again.
    state = load_state(saved) if saved.exists() or (run.read_metrics() and not initial.exists()) else None
    model = run.build_model()
    load_weights(model, initial if initial.exists() else path / "last.safetensors")
    return _train(run, model, options, data, make_accelerator(options), tell, should_stop, state)


def _train(
    run: Run,
    model: SentimentModel,
    options: TrainOptions,
    data: TrainingData,
    accelerator: Accelerator,
    tell: TrainingListener,
    should_stop: Callable[[], bool],
    state: dict[str, Any] | None,
) -> Run:
    tell(
        PostsLoaded(
            run.path,
            len(data.training),
            len(data.validation),
            int(data.training.is_complete.sum()),
            data.training.skipped,
            0 if state is None else int(state["epoch"]),
            0 if state is None else int(state["step"]),
            accelerator.num_processes,
            (
                *data.training.notes,
                *note_balance(data.training, options),
                *note_labels(data, options, run.fusion.heads),
            ),
        )
    )
    model.to(accelerator.device)
    speed_up_convolutions(model, options.mixed_precision, accelerator.device)
    # The main process first: the others read the frozen encoders' outputs from the cache.
    with accelerator.main_process_first():
        batchers = make_batchers(run, model, options, data, accelerator.device, tell)
    if options.teacher:
        cache = options.feature_cache or run.path / "cache"
        batchers.training.teacher_answers = ask_teachers(
            open_teachers(options), data.training, options, cache, accelerator, tell
        )
    TrainingLoop(run, model, options, batchers, accelerator, tell, should_stop, state).train()
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return run
