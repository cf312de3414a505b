"""The loop: epochs of steps, each epoch validated and saved."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
from accelerate import Accelerator
from accelerate.utils import set_seed

from sentimm.errors import TrainingError
from sentimm.models.fusion import SentimentModel
from sentimm.training.batches import Batch
from sentimm.training.events import BatchTrained, EpochTrained, TrainingListener
from sentimm.training.objective import Objective
from sentimm.training.optimization import freeze_statistics, make_optimizer, make_schedule
from sentimm.training.options import TrainOptions
from sentimm.training.preparation import Batchers
from sentimm.training.run import Run, replace_file, save_state, save_weights
from sentimm.training.validation import measure_tables

Rows = npt.NDArray[np.int64]


class TrainingLoop:
    """One model in training, in one process of possibly several.

    Args:
        run: where weights and metrics go.
        model: the model, which is changed in place.
        batchers: its posts.
        accelerator: device, precision, and the other processes.
        state: what `save_state` saved, None at the start.
    """

    def __init__(
        self,
        run: Run,
        model: SentimentModel,
        options: TrainOptions,
        batchers: Batchers,
        accelerator: Accelerator,
        tell: TrainingListener,
        state: dict[str, Any] | None,
    ) -> None:
        self.run = run
        self.model = model
        self.options = options
        self.batchers = batchers
        self.accelerator = accelerator
        self.tell = tell
        optimizer = make_optimizer(model, options)
        self.steps = len(self._plan(1))
        self.schedule = make_schedule(optimizer, options.epochs * self.steps, options)
        self.best = -1.0
        self.done = 0
        if state is not None:
            optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])
            self.best = float(state["best"])
            self.done = int(state["epoch"])
        self.records = run.read_metrics()[: self.done]
        self.objective, self.optimizer = accelerator.prepare(Objective(model, options), optimizer)

    def go(self) -> None:
        """Train the epochs that are left.

        Raises:
            TrainingError: the loss is no longer a number.
        """
        for epoch in range(self.done + 1, self.options.epochs + 1):
            started = time.monotonic()
            loss = self._train_epoch(epoch)
            self._finish_epoch(epoch, loss, started)

    def _plan(self, epoch: int) -> list[Rows]:
        """The posts of each step of an epoch, the same whenever they are asked for."""
        options = self.options
        rng = np.random.default_rng([options.seed, epoch])
        weights = options.table_weights or (1.0,) * len(options.inputs)
        return self.batchers.training.plan_epoch(weights, options.batch_size, rng)

    def _train_epoch(self, epoch: int) -> float:
        self.objective.train()
        freeze_statistics(self.model, self.options)
        plan = self._plan(epoch)
        total = 0.0
        for step, batch in enumerate(self._load(plan)):
            # Seeded for each step: a resumed run draws what an undisturbed one draws.
            process = self.accelerator.process_index
            set_seed(int(np.random.SeedSequence([self.options.seed, epoch, step, process]).generate_state(1)[0]))
            total += self._step(batch, len(plan[step]))
            if not np.isfinite(total):
                raise TrainingError(
                    f"The loss of epoch {epoch}, batch {step + 1} is {total}: train again with a smaller "
                    "--learning-rate."
                )
            self.tell(
                BatchTrained(epoch, self.options.epochs, step + 1, len(plan), len(plan[step]), total / (step + 1))
            )
        return total / len(plan)

    def _load(self, plan: list[Rows]) -> Iterator[Batch]:
        # Rows lie sorted by length: every process gets short and long ones.
        share = slice(self.accelerator.process_index, None, self.accelerator.num_processes)
        return self.batchers.training.iterate([rows[share] for rows in plan])

    def _step(self, batch: Batch, posts: int) -> float:
        """Move the weights by the gradient of the loss per post over all processes' shares, and give that loss."""
        accelerator = self.accelerator
        self.optimizer.zero_grad()
        loss = self.objective(batch) / posts
        # Gradients are averaged over the processes, and should be summed.
        accelerator.backward(loss * accelerator.num_processes)
        accelerator.clip_grad_norm_(self.model.parameters(), self.options.clip_norm)
        self.optimizer.step()
        if not accelerator.optimizer_step_was_skipped:
            self.schedule.step()
        return float(accelerator.reduce(loss.detach(), "sum"))

    def _finish_epoch(self, epoch: int, loss: float, started: float) -> None:
        metrics = measure_tables(self.model, self.batchers.validation, self.options.batch_size, self.accelerator)
        score = float(np.mean([getattr(table, self.options.metric) for table in metrics.values()]))
        is_best = score > self.best
        self.best = max(score, self.best)
        seconds = time.monotonic() - started
        self.records.append(
            {
                "epoch": epoch,
                "loss": loss,
                "seconds": round(seconds, 1),
                "score": score,
                "tables": {name: asdict(table) for name, table in metrics.items()},
            }
        )
        if self.accelerator.is_main_process:
            self._save(epoch, is_best)
        self.tell(EpochTrained(epoch, self.options.epochs, loss, seconds, metrics, score, is_best))

    def _save(self, epoch: int, is_best: bool) -> None:
        path = self.run.path
        if is_best:
            save_weights(self.model, path / "best.safetensors")
        save_weights(self.model, path / "last.safetensors")
        replace_file(path / "metrics.ndjson", "".join(json.dumps(record) + "\n" for record in self.records).encode())
        state = {
            "epoch": epoch,
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        save_state(state, path / "trainer.pt")
        (path / "initial.safetensors").unlink(missing_ok=True)
