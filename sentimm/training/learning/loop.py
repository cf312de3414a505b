"""The training loop: epochs of steps, each epoch validated and saved, and a state to resume from."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from sentimm.errors import RunError, TrainingError
from sentimm.models.sentiment_model import SentimentModel
from sentimm.storage.atomic import remove_file, write_file
from sentimm.training.data.batches import Batch
from sentimm.training.data.epochs import plan_draw
from sentimm.training.data.prepare import Batchers
from sentimm.training.events import EpochTrained, StepTrained, StoppedEarly, TrainingListener
from sentimm.training.learning.averaged_weights import AveragedWeights
from sentimm.training.learning.curves import draw_run
from sentimm.training.learning.objective import Objective
from sentimm.training.learning.optimizer import freeze_statistics, make_optimizer, make_schedule
from sentimm.training.learning.validation import count_confusion, measure_tables, score_posts
from sentimm.training.options import TrainOptions
from sentimm.training.run_folder import (
    Run,
    TrainingStopped,
    count_stale_epochs,
    save_scores,
    save_state,
    save_weights,
)

RowArray = npt.NDArray[np.int64]

_DRAW_EVERY_S = 30.0
_SUMS = ("loss", "gradient_norm", "seconds", "waited_s")


class TrainingLoop:
    """One model in training, in one process of possibly several.

    Every random draw follows from the seed, the epoch, the step and the process, and so does the order of the posts:
    a state holds the position in the epoch alone.

    Args:
        run: where weights, metrics and the state go.
        model: the model, which is changed in place.
        batchers: its posts.
        accelerator: device, precision, and the other processes.
        tell: receives the events.
        should_stop: called after each step; where it returns true, the state is saved and the loop ends.
        state: the saved state, None for a new run.
    """

    def __init__(
        self,
        run: Run,
        model: SentimentModel,
        options: TrainOptions,
        batchers: Batchers,
        accelerator: Accelerator,
        tell: TrainingListener,
        should_stop: Callable[[], bool],
        state: dict[str, Any] | None,
    ) -> None:
        self.run = run
        self.model = model
        self.options = options
        self.batchers = batchers
        self.accelerator = accelerator
        self.tell = tell
        self.should_stop = should_stop
        self.epoch, self.step = 1, 0  # steps done in the epoch; the sums are over these
        self.sums = dict.fromkeys(_SUMS, 0.0)
        self.records: list[dict[str, Any]] = []
        objective = Objective(model, options, batchers.training.posts)
        self.auxiliary = objective.auxiliary
        optimizer = make_optimizer(model, options, () if self.auxiliary is None else self.auxiliary.parameters())
        self._epoch_draw = plan_draw(batchers.training.posts, options)
        self.averaged = None if options.ema is None else AveragedWeights(model, options.ema)
        self.schedule = make_schedule(optimizer, options.epochs * len(self._plan(1)), options)
        self.objective, self.optimizer = accelerator.prepare(objective, optimizer)
        if state is not None:
            self._load(state)
        self._saved_s = time.monotonic()
        self._drawn_s = -_DRAW_EVERY_S

    def train(self) -> None:
        """Train the remaining epochs.

        Raises:
            TrainingError: the loss is not finite.
            TrainingStopped: `should_stop` returned true; the run can be resumed.
        """
        while self.epoch <= self.options.epochs:
            if (stale := count_stale_epochs(self.records)) >= (self.options.patience or float("inf")):
                self._draw()
                self.tell(StoppedEarly(self.epoch - 1, stale))
                break
            self._train_epoch()
            self._finish_epoch()

    def _plan(self, epoch: int) -> list[RowArray]:
        """Return the rows of the posts of each step of an epoch, the same on every call."""
        options = self.options
        rng = np.random.default_rng([options.seed, epoch])
        return self.batchers.training.plan_epoch(self._epoch_draw, options.batch_size * options.accumulate, rng)

    def _train_epoch(self) -> None:
        self.objective.train()
        freeze_statistics(self.model, self.options)
        plan = self._plan(self.epoch)
        steps = [self._cut(rows) for rows in plan[self.step :]]
        batches = self.batchers.training.iterate([share for shares in steps for share in shares], self.epoch)
        for rows, shares in zip(plan[self.step :], steps, strict=True):
            started = time.monotonic()
            loss, should_stop = self._take_step(batches, len(shares), len(rows))
            self.step += 1
            self.sums["loss"] += loss
            self.sums["seconds"] += time.monotonic() - started
            if not np.isfinite(loss):
                raise TrainingError(
                    f"The loss of epoch {self.epoch}, step {self.step} is {loss}: train again with a smaller "
                    "--learning-rate."
                )
            epochs, mean = self.options.epochs, self.sums["loss"] / self.step
            self.tell(StepTrained(self.epoch, epochs, self.step, len(plan), len(rows), mean))
            if should_stop or time.monotonic() - self._saved_s >= self.options.save_every_s:
                self._save_state()
            if should_stop:
                raise TrainingStopped(self.run.path, self.epoch, self.step)

    def _cut(self, rows: RowArray) -> list[RowArray]:
        """Cut a step into batches, and return this process's share of each."""
        # Rows lie sorted by length: every process gets short and long ones.
        share = slice(self.accelerator.process_index, None, self.accelerator.num_processes)
        size = self.options.batch_size
        return [rows[start : start + size][share] for start in range(0, len(rows), size)]

    def _take_step(self, batches: Iterator[Batch], count: int, posts: int) -> tuple[float, bool]:
        """Move the weights by the gradient of the loss per post over `count` batches and all processes.

        Returns:
            that loss, and whether any process was asked to stop.
        """
        accelerator = self.accelerator
        process = accelerator.process_index
        set_seed(int(np.random.SeedSequence([self.options.seed, self.epoch, self.step, process]).generate_state(1)[0]))
        self.optimizer.zero_grad()
        total = torch.zeros(2, device=accelerator.device)
        for number in range(1, count + 1):
            asked = time.monotonic()
            batch = next(batches)
            self.sums["waited_s"] += time.monotonic() - asked
            synchronisation: AbstractContextManager[None] = nullcontext()
            if number < count:
                synchronisation = accelerator.no_sync(self.objective)
            with synchronisation:
                loss = self.objective(batch) / posts
                # Gradients are averaged over the processes, and should be summed.
                accelerator.backward(loss * accelerator.num_processes)
            total[0] += loss.detach()
        norm = accelerator.clip_grad_norm_(list(self.objective.parameters()), self.options.clip_norm)
        self.sums["gradient_norm"] += float(norm)
        self.optimizer.step()
        if not accelerator.optimizer_step_was_skipped:
            self.schedule.step()
            if self.averaged is not None:
                self.averaged.update()
        total[1] = float(self.should_stop())
        summed, stops = accelerator.reduce(total, "sum").tolist()
        return summed, stops > 0

    def _finish_epoch(self) -> None:
        started = time.monotonic()
        posts, heads = self.batchers.validation.posts, self.model.config.heads
        with nullcontext() if self.averaged is None else self.averaged.apply():
            scores = score_posts(self.model, self.batchers.validation, self.options.batch_size, self.accelerator)
            metrics = measure_tables(scores, posts, heads)
            score = float(np.mean([getattr(table, self.options.metric) for table in metrics.values()]))
            is_best = score > max((record["score"] for record in self.records), default=-1.0)
            if self.accelerator.is_main_process:
                for name in ("best", "last") if is_best else ("last",):
                    save_weights(self.model, self.run.path / f"{name}.safetensors")
                    save_scores(scores, self.run.path / f"{name}-scores.npy")
        loss, waiting = self.sums["loss"] / self.step, self.sums["waited_s"] / max(self.sums["seconds"], 1e-9)
        seconds = self.sums["seconds"] + time.monotonic() - started
        self.records.append(
            {
                "epoch": self.epoch,
                "loss": loss,
                "gradient_norm": self.sums["gradient_norm"] / self.step,
                "seconds": round(seconds, 1),
                "waiting": round(waiting, 4),
                "score": score,
                "tables": {name: asdict(table) for name, table in metrics.items()},
                "confusion": count_confusion(scores, posts, heads).tolist(),
            }
        )
        done = EpochTrained(self.epoch, self.options.epochs, loss, seconds, waiting, metrics, score, is_best)
        self.epoch, self.step, self.sums = self.epoch + 1, 0, dict.fromkeys(_SUMS, 0.0)
        if self.accelerator.is_main_process:
            lines = "".join(json.dumps(record) + "\n" for record in self.records)
            write_file(self.run.path / "metrics.ndjson", lines.encode())
        self._save_state()
        if time.monotonic() - self._drawn_s >= _DRAW_EVERY_S or done.epoch == done.epochs:
            self._draw()
        self.tell(done)

    def _draw(self) -> None:
        if self.accelerator.is_main_process:
            draw_run(self.records, self.run.labels, self.run.path)
        self._drawn_s = time.monotonic()

    def _save_state(self) -> None:
        """Write trainer.pt; frozen weights are in the weights of the last epoch, or in the initial ones."""
        self._saved_s = time.monotonic()
        if not self.accelerator.is_main_process:
            return
        trained = {name: weight.detach() for name, weight in self.model.named_parameters() if weight.requires_grad}
        state = {
            "epoch": self.epoch,
            "step": self.step,
            "sums": self.sums,
            "records": json.dumps(self.records),
            "weights": trained,
            "averaged": None if self.averaged is None else self.averaged.to_state(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": None if self.accelerator.scaler is None else self.accelerator.scaler.state_dict(),
        }
        if self.auxiliary is not None:
            state["auxiliary"] = self.auxiliary.state_dict()
        save_state(state, self.run.path / "trainer.pt")
        if self.epoch > 1:
            remove_file(self.run.path / "initial.safetensors")

    def _load(self, state: dict[str, Any]) -> None:
        try:
            self.epoch, self.step = int(state["epoch"]), int(state["step"])
            self.sums = dict(state["sums"])
            self.records = json.loads(state["records"])
            self.model.load_state_dict(state["weights"], strict=False)
            if self.auxiliary is not None:
                self.auxiliary.load_state_dict(state["auxiliary"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])
            if self.averaged is not None:
                self.averaged.load_state(state["averaged"])
            if self.accelerator.scaler is not None:
                self.accelerator.scaler.load_state_dict(state["scaler"])
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            raise RunError(
                f"{self.run.path / 'trainer.pt'} belongs to another run or another version of sentimm: train again."
            ) from error
