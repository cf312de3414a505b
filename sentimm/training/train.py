"""Training: from labelled tables to a run folder, resumable at any step, the same for the same seed."""

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
from sentimm.models.fusion import SentimentModel
from sentimm.storage.atomic import commit_folder, write_file
from sentimm.text import NORMALIZATION
from sentimm.training.data.prepare import TrainingData, check_posts, load_data, make_batchers, store_posts
from sentimm.training.events import PostsLoaded, TrainingListener
from sentimm.training.learning.loop import TrainingLoop
from sentimm.training.learning.optimizer import arrange_convolutions
from sentimm.training.learning.processes import agree_on, make_accelerator
from sentimm.training.learning.teacher import ask_teacher, check_lessons, open_teacher
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
    """Train a new model into the folder `path` (None: the next one in runs/), and give the finished run.

    `should_stop` is asked after each step; `load` gives the posts.

    Raises:
        UsageError: options that don't go together, or a folder that is in use.
        RunNotFoundError: there is no run to begin with, or to be taught by.
        InputError, ColumnError, TableError: the tables or encoders can't be read.
        DeviceError: the device can't be used, or not in that precision.
        OutputError: the folder can't be written to.
        TrainingError: the loss is no longer a number.
        TrainingStopped: `should_stop` said so.
    """
    check_options(options)
    teacher = open_teacher(options)
    if options.init is not None:
        open_run(options.init)
    accelerator = make_accelerator(options)
    path = agree_on(accelerator, lambda: _choose_folder(path, options.fusion))
    data = load(options)
    check_posts(data, options)
    torch.manual_seed(options.seed)
    model, tokenizer = load_model(options, data.training)
    if teacher is not None:
        check_lessons(teacher, data.training, model.config.heads)
    run = Run(
        path=path,
        labels=options.labels,
        fusion=model.config,
        text=None if model.text is None else model.text.config,
        image=None if model.image is None else model.image.config,
        normalization=NORMALIZATION,
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
    agree_on(accelerator, lambda: _write_start(run, model, tokenizer, data, options))
    return _train(run, model, options, data, accelerator, tell, should_stop, state=None)


def _choose_folder(path: Path | None, fusion: str) -> Path:
    if path is None:
        numbered = (Path("runs") / f"{fusion}-{number}" for number in itertools.count(1))
        return next(path for path in numbered if not path.exists())
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file: name a folder with -o.")
    if path.exists() and any(path.iterdir()):
        raise UsageError(f"{path} is there already: name another folder with -o, or go on with --resume {path}.")
    return path


def _write_start(
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
    """Go on with a run where its state was saved last; a finished one stays as it is.

    Raises:
        RunNotFoundError: there is no run at `path`.
        RunError: the run is damaged, or has no state to go on from.
        InputError: the tables hold other posts than those that the run began with.
        TrainingError, TrainingStopped: as `start_run`.
    """
    run = open_run(path)
    if run.is_finished():
        return run
    options = TrainOptions.from_plain(run.options)
    data = load(options)
    if data.digests() != run.provenance.get("posts", data.digests()):
        raise InputError(
            f"{path} was begun on other posts than {', '.join(options.inputs)} and their images are now: train a new "
            "run, which --init lets begin with this one's weights."
        )
    initial = path / "initial.safetensors"
    saved = path / "trainer.pt"
    # A run that was killed before it saved a state, be it at the end of its first epoch, begins once more.
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
        )
    )
    model.to(accelerator.device)
    arrange_convolutions(model, options, accelerator.device)
    # The main process first: the others find frozen encoders' outputs in the cache.
    with accelerator.main_process_first():
        batchers = make_batchers(run, model, options, data, accelerator.device, tell)
    if (teacher := open_teacher(options)) is not None:
        cache = options.feature_cache or run.path / "cache"
        batchers.training.taught = ask_teacher(teacher, data.training, cache, accelerator, tell)
    TrainingLoop(run, model, options, batchers, accelerator, tell, should_stop, state).go()
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return run
