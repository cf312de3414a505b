"""The processes that train together and the precision they compute in, through accelerate; mostly it is one process.

`accelerate launch --multi_gpu --num_processes 2 -m sentimm train ...` starts several, also where there are no GPUs
(`--cpu` would start one): each takes its share of every batch, and only the main one prints and writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs, broadcast_object_list

from sentimm.errors import DeviceError, UsageError
from sentimm.training.options import TrainOptions

# The others wait while the main process runs frozen encoders over all posts.
_PATIENCE = timedelta(hours=6)

T = TypeVar("T")


def make_accelerator(options: TrainOptions) -> Accelerator:
    """Join the processes that were launched together, on the device and in the precision that were asked for.

    Raises:
        DeviceError: a GPU was asked for that PyTorch can't use, or it can't compute in that precision.
        UsageError: fp16 without a GPU.
    """
    device = choose_device(options.device)
    if options.mixed_precision == "fp16" and device.type == "cpu":
        raise UsageError("--mixed-precision fp16 needs a GPU: use bf16 on a CPU.")
    if device.index is not None:
        torch.cuda.set_device(device)
    # accelerate keeps its state for the process's life; another run in the same process may want another precision.
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        return Accelerator(
            cpu=device.type == "cpu",
            mixed_precision=options.mixed_precision,
            kwargs_handlers=[
                InitProcessGroupKwargs(timeout=_PATIENCE),
                # A process's share may have no text or no image at all.
                DistributedDataParallelKwargs(find_unused_parameters=True),
            ],
        )
    except ValueError as error:
        raise DeviceError(f"--mixed-precision {options.mixed_precision} can't be used here: {error}") from error


def choose_device(name: str) -> torch.device:
    """Choose the device to train on: `auto` is the GPU where there is one.

    Raises:
        UsageError: it is neither `auto` nor `cpu` nor a GPU's name.
        DeviceError: a GPU was asked for that PyTorch can't use.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise UsageError(f"--device {name!r} is not auto, cpu, cuda or, of several GPUs, cuda:N.")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise DeviceError(
            f"--device {name} was asked for, but PyTorch finds no GPU that it can use: run `sentimm doctor`."
        )
    device = torch.device(name)
    if device.index is not None and device.index >= torch.cuda.device_count():
        raise DeviceError(f"--device {name} was asked for, but there are {torch.cuda.device_count()} GPUs, from 0.")
    return device


def agree_on(accelerator: Accelerator, decide: Callable[[], T]) -> T:
    """Let the main process decide, and tell all others; an error of its deciding is raised in all of them."""
    outcome: list[object] = [None, None]
    if accelerator.is_main_process:
        try:
            outcome = [decide(), None]
        except Exception as error:
            outcome = [None, error]
    broadcast_object_list(outcome)
    if isinstance(outcome[1], Exception):
        raise outcome[1]
    return outcome[0]  # type: ignore[return-value]
