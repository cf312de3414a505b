"""The processes that train together (usually one), their device and their precision, through accelerate.

`accelerate launch --multi_gpu --num_processes 2 -m sentimm train ...` starts several, also where there are no GPUs
(`--cpu` would start one): each takes its share of every batch, and the main one alone prints and writes.
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
_TIMEOUT = timedelta(hours=6)

T = TypeVar("T")


def make_accelerator(options: TrainOptions) -> Accelerator:
    """Join the processes that were launched together, on the device and in the precision of the options.

    Raises:
        DeviceError: PyTorch can't use the GPU, or the device does not support the precision.
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
                InitProcessGroupKwargs(timeout=_TIMEOUT),
                # A process's share may have no text or no image at all.
                DistributedDataParallelKwargs(find_unused_parameters=True),
            ],
        )
    except ValueError as error:
        raise DeviceError(
            f"--mixed-precision {options.mixed_precision} can't be used on this device: {error}"
        ) from error


def choose_device(name: str) -> torch.device:
    """Choose the device to train on: `auto` is a GPU where there is one, else the CPU.

    Raises:
        UsageError: `name` is neither `auto` nor `cpu` nor a GPU.
        DeviceError: PyTorch can't use the GPU.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise UsageError(f"--device {name!r} is not supported: use auto, cpu, cuda, or cuda:N for one of several GPUs.")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise DeviceError(f"--device {name} can't be used, as PyTorch finds no GPU: run `sentimm doctor` to see why.")
    device = torch.device(name)
    if device.index is not None and device.index >= torch.cuda.device_count():
        raise DeviceError(
            f"--device {name} does not exist: this machine has {torch.cuda.device_count()} GPUs, from cuda:0."
        )
    return device


def share_result(accelerator: Accelerator, compute: Callable[[], T]) -> T:
    """Call `compute` in the main process, and return its result, or raise its error, in all processes."""
    outcome: list[object] = [None, None]
    if accelerator.is_main_process:
        try:
            outcome = [compute(), None]
        except Exception as error:
            outcome = [None, error]
    broadcast_object_list(outcome)
    if isinstance(outcome[1], Exception):
        raise outcome[1]
    return outcome[0]  # type: ignore[return-value]
