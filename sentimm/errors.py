"""The errors that sentimm raises on purpose, each with the exit code of the command that it ends.

    SentimmError                      1
    ├── UsageError                    2  the command can't be carried out as asked
    │   ├── InputError                2  an input is not there, or holds no posts
    │   ├── ColumnError               2  a column is not in the table
    │   ├── BundleNotFoundError       2  a model bundle is not there
    │   ├── RunNotFoundError          2  a training run is not there
    │   ├── JobConflictError          2  the output belongs to another job
    │   └── MissingExtraError         2  an optional dependency is not installed
    ├── TableError                    1  a table can't be read
    ├── BundleError                   1  a bundle is damaged, or from a newer sentimm
    ├── RunError                      1  a training run is damaged
    ├── DeviceError                   1  the device can't be used
    ├── ImageError                    1  an image can't be decoded (scoring turns it into a status)
    │   ├── ImageMissingError         1  an image is not on its server
    │   └── ImageUnreachableError     1  an image's server does not deliver it
    ├── StorageError                  1  files on a server can't be reached
    ├── DecoderError                  1  the processes that decode images can't work
    ├── FailuresError                 1  more images can't be decoded than --max-failed allows
    ├── OutOfMemoryError              1  the machine or the GPU ran out of memory
    ├── ClusterError                  1  the Ray cluster failed
    ├── OutputError                   1  an output, or what belongs to it, can't be read or written
    ├── TrainingError                 1  training can't continue
    └── ParityError                   1  an exported model answers differently from the trained one

A message is one sentence or two: what was found, what was expected, what to do.
"""

from __future__ import annotations

# What to do where a job fails for a reason that may pass.
HOW_TO_RESUME = "What was scored is kept: run the same command again to resume."


class SentimmError(Exception):
    """Base of all errors; `exit_code` is that of the command."""

    exit_code = 1


class UsageError(SentimmError):
    """The command can't be carried out as asked."""

    exit_code = 2


class InputError(UsageError):
    """An input is not there, or holds no posts."""


class ColumnError(UsageError):
    """A column is not in the table."""


class BundleNotFoundError(UsageError):
    """A model bundle is not there."""


class RunNotFoundError(UsageError):
    """A training run is not there."""


class JobConflictError(UsageError):
    """The output belongs to another job."""


class MissingExtraError(UsageError):
    """An optional dependency is not installed."""


class TableError(SentimmError):
    """A table can't be read."""


class BundleError(SentimmError):
    """A bundle is damaged, or from a newer sentimm."""


class RunError(SentimmError):
    """A training run is damaged."""


class DeviceError(SentimmError):
    """The device can't be used."""


class ImageError(SentimmError):
    """An image can't be decoded (scoring turns it into a status)."""


class ImageMissingError(ImageError):
    """An image is not on its server."""


class ImageUnreachableError(ImageError):
    """An image's server does not deliver it."""


class StorageError(SentimmError):
    """Files on a server can't be reached."""


class DecoderError(SentimmError):
    """The processes that decode images can't work."""


class FailuresError(SentimmError):
    """More images can't be decoded than --max-failed allows."""


class OutOfMemoryError(SentimmError):
    """The machine or the GPU ran out of memory."""


class ClusterError(SentimmError):
    """The Ray cluster failed."""


class OutputError(SentimmError):
    """An output, or what belongs to it, can't be read or written."""


class TrainingError(SentimmError):
    """Training can't continue."""


class ParityError(SentimmError):
    """An exported model answers differently from the trained one."""
