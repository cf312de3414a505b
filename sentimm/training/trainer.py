"""Training: from labelled tables to a run folder, resumable at each epoch, the same for the same seed."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import sentimm
from sentimm.errors import TrainingError, UsageError
from sentimm.models.fusion import FUSIONS, SentimentModel
from sentimm.text import NORMALIZATION
from sentimm.training.batches import Batcher
from sentimm.training.events import BatchTrained, EpochTrained, PostsLoaded, TrainingListener
from sentimm.training.objective import compute_loss
from sentimm.training.optimization import freeze_statistics, make_optimizer, make_schedule
from sentimm.training.options import TrainOptions
from sentimm.training.preparation import TrainingData, choose_device, load_data, load_model, make_batchers, store_posts
from sentimm.training.run import Run, load_state, load_weights, open_run, replace_file, save_state, save_weights
from sentimm.training.validation import measure_tables


def start_run(options: TrainOptions, path: Path, tell: TrainingListener) -> Run:
    """Train a new model into the folder `path`, and give the finished run.

    Raises:
        UsageError: options that don't go together, or a folder that is in use.
        InputError, ColumnError, TableError: the tables or encoders can't be read.
        TrainingError: the loss is no longer a number.
    """
    if options.fusion not in FUSIONS:
        raise UsageError(f"--fusion {options.fusion!r} is not one of {', '.join(FUSIONS)}.")
    if path.exists() and any(path.iterdir()):
        raise UsageError(f"{path} is there already: name another folder with -o, or go on with --resume {path}.")
    data = load_data(options)
    torch.manual_seed(options.seed)
    model, tokenizer = load_model(options, data.training)
    path.mkdir(parents=True, exist_ok=True)
    if tokenizer is not None:
        replace_file(path / "tokenizer.json", tokenizer)
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
        },
    )
    store_posts(run, data, options)
    save_weights(model, path / "initial.safetensors")
    run.write_config()
    return _train(run, model, options, data, tell, state=None)


def resume_run(path: Path, tell: TrainingListener) -> Run:
    """Go on with a run after its last finished epoch.

    Raises:
        RunNotFoundError: there is no run at `path`.
        RunError: the run is damaged.
    """
    run = open_run(path)
    options = TrainOptions.from_plain(run.options)
    state = load_state(path / "trainer.pt") if (path / "trainer.pt").exists() else None
    model = run.build_model()
    load_weights(model, path / ("initial.safetensors" if state is None else "last.safetensors"))
    return _train(run, model, options, load_data(options), tell, state)


def _train(
    run: Run,
    model: SentimentModel,
    options: TrainOptions,
    data: TrainingData,
    tell: TrainingListener,
    state: dict[str, Any] | None,
) -> Run:
    device = choose_device(options.device)
    model.to(device)
    done = 0 if state is None else int(state["epoch"])
    tell(
        PostsLoaded(
            run.path,
            len(data.training),
            len(data.validation),
            int(data.training.is_complete.sum()),
            data.training.skipped,
            done,
        )
    )
    batchers = make_batchers(run, model, options, data, device, tell)
    optimizer = make_optimizer(model, options)
    weights = options.table_weights or (1.0,) * len(options.inputs)
    steps = options.epochs * len(batchers.training.plan_epoch(weights, options.batch_size, np.random.default_rng(0)))
    schedule = make_schedule(optimizer, steps, options)
    best = -1.0
    if state is not None:
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        best = float(state["best"])
    records = run.read_metrics()[:done]
    for epoch in range(done + 1, options.epochs + 1):
        started = time.monotonic()
        # Seeded for each epoch, so that a resumed run goes on as an undisturbed one.
        torch.manual_seed(options.seed * 100_003 + epoch)
        rng = np.random.default_rng([options.seed, epoch])
        plan = batchers.training.plan_epoch(weights, options.batch_size, rng)
        loss = _train_epoch(model, optimizer, schedule, batchers.training, plan, options, epoch, tell)
        metrics = measure_tables(model, batchers.validation, options.batch_size)
        score = float(np.mean([getattr(table, options.metric) for table in metrics.values()]))
        is_best = score > best
        best = max(score, best)
        seconds = time.monotonic() - started
        records.append(
            {
                "epoch": epoch,
                "loss": loss,
                "seconds": round(seconds, 1),
                "score": score,
                "tables": {name: asdict(table) for name, table in metrics.items()},
            }
        )
        _save_epoch(run, model, optimizer, schedule, records, epoch, best, is_best)
        tell(EpochTrained(epoch, options.epochs, loss, seconds, metrics, score, is_best))
    return run


def _save_epoch(
    run: Run,
    model: SentimentModel,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    records: list[dict[str, Any]],
    epoch: int,
    best: float,
    is_best: bool,
) -> None:
    if is_best:
        save_weights(model, run.path / "best.safetensors")
    save_weights(model, run.path / "last.safetensors")
    replace_file(run.path / "metrics.ndjson", "".join(json.dumps(record) + "\n" for record in records).encode())
    state = {"epoch": epoch, "best": best, "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
    save_state(state, run.path / "trainer.pt")
    (run.path / "initial.safetensors").unlink(missing_ok=True)


def _train_epoch(
    model: SentimentModel,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    batcher: Batcher,
    plan: list[np.ndarray[Any, np.dtype[np.int64]]],
    options: TrainOptions,
    epoch: int,
    tell: TrainingListener,
) -> float:
    model.train()
    freeze_statistics(model, options)
    total = 0.0
    for number, batch in enumerate(batcher.iterate(plan), start=1):
        loss = compute_loss(model, batch, options)
        value = float(loss.detach())
        if not np.isfinite(value):
            raise TrainingError(
                f"The loss of epoch {epoch}, batch {number} is {value}: train again with a smaller --learning-rate."
            )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), options.clip_norm)
        optimizer.step()
        schedule.step()
        total += value
        tell(BatchTrained(epoch, options.epochs, number, len(plan), len(batch.label), total / number))
    return total / len(plan)
