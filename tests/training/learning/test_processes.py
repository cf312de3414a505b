from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sentimm.errors import UsageError
from sentimm.training.learning.objective import Objective
from sentimm.training.options import TrainOptions
from sentimm.training.run_folder import open_run
from sentimm.training.train import start_run
from tests.support.tiny.bundles import make_bundle
from tests.support.tiny.training_runs import losses, train, weights

ROOT = Path(__file__).parents[3]


def arguments(options: TrainOptions) -> list[str]:
    """What the command line takes for the tiny options."""
    return [
        *("train", *options.inputs, "--images", str(options.images), "--fusion", options.fusion),
        *("--text-encoder", options.text_encoder, "--image-encoder", options.image_encoder),
        *("--image-size", str(options.image_size), "--width", str(options.width)),
        *("--max-tokens", str(options.max_tokens), "--epochs", str(options.epochs)),
        *("--batch-size", str(options.batch_size), "--learning-rate", str(options.learning_rate)),
        *("--val-fraction", ",".join(map(str, options.val_fraction)), "--device", "cpu"),
        *("--dropout", str(options.dropout), "--bert-dropout", str(options.bert_dropout)),
        *("--modality-dropout", str(options.modality_dropout)),
        *(("--teacher", ",".join(options.teacher)) if options.teacher else ()),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fusion", "teacher"),
    [
        ("cmac", ""),
        pytest.param("native-cat", "run", marks=pytest.mark.ci),
        pytest.param("bert", "bundle", marks=pytest.mark.ci),
    ],
)
def test_two_processes_train_as_one(options: TrainOptions, tmp_path: Path, fusion: str, teacher: str) -> None:
    # The last batch holds one post: a process then has none.
    still = replace(options, fusion=fusion, batch_size=5, dropout=0.0, bert_dropout=0.0, modality_dropout=0.0)
    if teacher == "run":
        still = replace(still, teacher=(str(train(replace(still, seed=1), tmp_path / "teacher")[0].path),))
    elif teacher:
        still = replace(still, teacher=(str(make_bundle(tmp_path / "teacher")),))
    one, _ = train(still, tmp_path / "one")
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    done = subprocess.run(
        [*launch, "-m", "sentimm", *arguments(still), "-o", str(tmp_path / "two")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "2 processes" in done.stderr
    assert done.stdout.splitlines() == [f"Run: {tmp_path / 'two'}", f"Next: sentimm export {tmp_path / 'two'}"]
    two = open_run(tmp_path / "two")
    assert losses(two) == pytest.approx(losses(one), rel=1e-4)
    # Adam would forgive gradients that are too small by a factor; their norm does not.
    norms = [[record["gradient_norm"] for record in run.read_metrics()] for run in (one, two)]
    assert norms[1] == pytest.approx(norms[0], rel=1e-3)
    assert [record["tables"] for record in two.read_metrics()] == [record["tables"] for record in one.read_metrics()]
    for name, tensor in weights(one).items():
        torch.testing.assert_close(weights(two)[name], tensor, rtol=0, atol=2e-3)


@pytest.mark.slow
def test_bf16_runs_both_backbones_in_bf16_and_keeps_weights_and_loss_in_fp32(
    options: TrainOptions, tmp_path: Path
) -> None:
    seen: dict[type, set[torch.dtype]] = {}

    def note(module: torch.nn.Module, _inputs: object, output: object) -> None:
        if module.training and isinstance(output, torch.Tensor):
            seen.setdefault(type(module), set()).add(output.dtype)

    handle = torch.nn.modules.module.register_module_forward_hook(note)
    try:
        run, _ = train(replace(options, epochs=1, mixed_precision="bf16"), tmp_path / "run")
    finally:
        handle.remove()
    assert seen[torch.nn.Linear] == {torch.bfloat16}
    assert seen[Objective] == {torch.float32}
    assert {tensor.dtype for tensor in weights(run).values()} <= {torch.float32, torch.int64}
    plain, _ = train(replace(options, epochs=1), tmp_path / "plain")
    assert losses(run) != losses(plain)
    assert losses(run) == pytest.approx(losses(plain), rel=0.02)


def test_fp16_without_a_gpu_says_what_to_use(options: TrainOptions, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs a GPU: use bf16 on a CPU"):
        start_run(replace(options, mixed_precision="fp16"), tmp_path / "run", lambda _: None)
