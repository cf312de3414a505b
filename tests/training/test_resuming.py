from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sentimm.errors import InputError, RunError
from sentimm.training.events import PostsLoaded, TrainingEvent
from sentimm.training.learning.loop import TrainingLoop
from sentimm.training.options import TrainOptions
from sentimm.training.run_folder import Run, TrainingStopped, load_state, open_run
from sentimm.training.train import resume_run, start_run
from tests.support.failures.power import ForgetfulDisk
from tests.support.tiny.training_runs import losses, same_weights, train
from tests.training.learning.test_processes import ROOT, arguments

STEPS = 5  # of an epoch of the tiny corpus

KILLED = """
import json, os, signal, sys
from pathlib import Path
from sentimm.training.events import StepTrained
from sentimm.training.options import TrainOptions
from sentimm.training.train import start_run

def tell(event):
    if isinstance(event, StepTrained) and (event.epoch, event.step) == (2, 4):
        os.kill(os.getpid(), signal.SIGKILL)

start_run(TrainOptions.from_plain(json.loads(sys.argv[1])), Path(sys.argv[2]), tell)
"""


@pytest.fixture(scope="module")
def busy(options: TrainOptions) -> TrainOptions:
    """Options in which everything that draws or remembers takes part."""
    return replace(
        options, epochs=3, augment=True, ema=0.9, warmup=0.3, modality_dropout=0.5, accumulate=2, batch_size=4
    )


@pytest.fixture(scope="module")
def whole(busy: TrainOptions, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run that nobody disturbed."""
    return train(busy, tmp_path_factory.mktemp("whole") / "run")[0]


def stop_after(steps: int) -> Callable[[], bool]:
    asked = iter(range(1, 1000))
    return lambda: next(asked) >= steps


def check_same(resumed: Run, whole: Run) -> None:
    assert losses(resumed) == losses(whole)
    assert [record["tables"] for record in resumed.read_metrics()] == [
        record["tables"] for record in whole.read_metrics()
    ]
    assert same_weights(resumed, whole) and same_weights(resumed, whole, "best")


@pytest.mark.slow
@pytest.mark.parametrize("steps", [STEPS + 2, *(pytest.param(steps, marks=pytest.mark.ci) for steps in (1, STEPS))])
def test_a_stopped_run_goes_on_as_an_undisturbed_one(
    busy: TrainOptions, whole: Run, tmp_path: Path, steps: int
) -> None:
    with pytest.raises(TrainingStopped) as stop:
        start_run(busy, tmp_path / "run", lambda _: None, stop_after(steps))
    assert (stop.value.epoch - 1) * STEPS + stop.value.step == steps
    events: list[TrainingEvent] = []
    resumed = resume_run(tmp_path / "run", events.append)
    loaded = next(event for event in events if isinstance(event, PostsLoaded))
    assert (loaded.resumed_epoch - 1) * STEPS + loaded.resumed_step == steps
    check_same(resumed, whole)


@pytest.mark.slow
def test_a_killed_run_goes_on_from_its_last_saved_step(busy: TrainOptions, whole: Run, tmp_path: Path) -> None:
    plain = json.dumps(replace(busy, save_every_s=0.0).to_plain())
    command = [sys.executable, "-c", KILLED, plain, str(tmp_path / "run")]
    assert subprocess.run(command, cwd=ROOT, check=False, timeout=120).returncode == -signal.SIGKILL
    state = load_state(tmp_path / "run" / "trainer.pt")
    assert (state["epoch"], state["step"]) == (2, 3)
    check_same(resume_run(tmp_path / "run", lambda _: None), whole)


@pytest.mark.slow
def test_a_run_that_was_killed_before_it_saved_a_state_begins_once_more(
    busy: TrainOptions, whole: Run, tmp_path: Path
) -> None:
    def die(_loop: TrainingLoop) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(TrainingLoop, "_save_state", die)
        start_run(busy, tmp_path / "run", lambda _: None)
    assert open_run(tmp_path / "run").read_metrics() and not (tmp_path / "run" / "trainer.pt").exists()
    check_same(resume_run(tmp_path / "run", lambda _: None), whole)


@pytest.mark.slow
def test_ctrl_c_saves_the_step_and_says_how_to_go_on(options: TrainOptions, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sentimm", *arguments(replace(options, epochs=500)), "-o", str(tmp_path / "run")]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if line.startswith("epoch 2/500: loss"))
        process.send_signal(signal.SIGINT)
        words = process.stderr.read()
        assert process.wait(timeout=60) == 130
    state = load_state(tmp_path / "run" / "trainer.pt")
    assert f"Stopped in epoch {state['epoch']}, after step {state['step']}. To resume: sentimm train --resume" in words
    assert "Traceback" not in words


@pytest.mark.slow
def test_a_run_goes_on_from_another_folder_but_not_on_other_posts(
    options: TrainOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "posts.csv"
    table.write_bytes(Path(options.inputs[0]).read_bytes())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "kept").write_bytes(table.read_bytes())
    (tmp_path / "a" / "posts.csv").symlink_to(tmp_path / "kept")
    inputs = ("posts.csv", "a/posts.csv")
    for name in ("run", "other"):
        with pytest.raises(TrainingStopped):
            start_run(replace(options, inputs=inputs), tmp_path / name, lambda _: None, stop_after(1))
    events: list[TrainingEvent] = []
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert resume_run(tmp_path / "run", lambda _: None).is_finished()
    names = [list(record["tables"]) for record in open_run(tmp_path / "run").read_metrics()]
    assert names == [[f"{tmp_path.name}/posts.csv", "a/posts.csv"]] * options.epochs
    assert resume_run(tmp_path / "run", events.append).is_finished() and events == []  # nothing is left to do
    table.write_text(table.read_text().replace("positive", "negative", 1))
    with pytest.raises(InputError, match=rf"was started on other posts: {table}, .*a/posts\.csv or their images"):
        resume_run(tmp_path / "other", lambda _: None)


@pytest.mark.slow
def test_a_state_of_another_run_is_refused(options: TrainOptions, tmp_path: Path) -> None:
    with pytest.raises(TrainingStopped):
        start_run(options, tmp_path / "run", lambda _: None, stop_after(1))
    with pytest.raises(TrainingStopped):
        start_run(replace(options, width=36), tmp_path / "other", lambda _: None, stop_after(1))
    (tmp_path / "other" / "trainer.pt").replace(tmp_path / "run" / "trainer.pt")
    with pytest.raises(RunError, match=r"trainer\.pt belongs to another run"):
        resume_run(tmp_path / "run", lambda _: None)
    (tmp_path / "run" / "trainer.pt").write_bytes(b"torn")
    with pytest.raises(RunError, match="is missing or damaged"):
        resume_run(tmp_path / "run", lambda _: None)
    assert open_run(tmp_path / "run").read_metrics() == []


@pytest.mark.slow
def test_a_power_loss_leaves_a_run_that_goes_on(options: TrainOptions, tmp_path: Path) -> None:
    disk = ForgetfulDisk(tmp_path / "run")
    with disk.watched():
        start_run(replace(options, fusion="bert", epochs=2), tmp_path / "run", lambda _: None)
    begun = [left for left in disk.losses if "config.json" in left]
    assert any("initial.safetensors" not in left for left in begun)
    goes_on = 0
    for number, left in enumerate(begun):
        path = tmp_path / str(number)
        path.mkdir()
        for name, content in left.items():
            (path / name).write_bytes(content)
        try:
            resume_run(path, lambda _: None, lambda: True)
        except TrainingStopped:
            goes_on += 1
    assert goes_on > 5
