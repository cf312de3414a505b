"""The errors that sentimm raises.

    SentimmError                exit code 1: the job failed
    ├── UsageError              exit code 2: what was asked for can't be done as asked
    │   ├── InputError          a file or folder that was named is not there, or holds no posts
    │   ├── ColumnError         a column that was named or is needed is not in the table
    │   ├── BundleNotFoundError the model bundle that was named is not there
    │   ├── RunNotFoundError    the training run that was named is not there
    │   ├── JobConflictError    the output belongs to another job
    │   └── MissingExtraError   the command needs an optional dependency
    ├── TableError              a table that can't be read
    ├── BundleError             a bundle that is damaged, or made by a newer sentimm
    ├── RunError                a run that is damaged
    ├── DeviceError             the device that was asked for can't be used
    ├── ImageError              an image that can't be decoded (scoring turns it into a status)
    │   ├── ImageMissingError   an image that is not where its name says
    │   └── ImageUnreachableError  an image that its server does not give
    ├── StorageError            what lies on another machine can't be reached
    ├── DecoderError            images can't be decoded at all
    ├── FailuresError           more images can't be decoded than was allowed
    ├── OutOfMemoryError        the memory of the machine or of the device ran out
    ├── ClusterError            the cluster fails that was to score
    ├── OutputError             an output that can't be written
    ├── TrainingError           training that can't go on
    └── ParityError             an exported model that does not answer as the trained one

Messages are one sentence or two for a person: what was found, what was expected, what to do.
"""

from __future__ import annotations


class SentimmError(Exception):
    """Base of all errors that sentimm raises on purpose; `exit_code` is the command's exit code."""

    exit_code = 1


class UsageError(SentimmError):
    """What was asked for can't be done as asked."""

    exit_code = 2


class InputError(UsageError):
    """A file or folder that was named is not there, or holds no posts."""


class ColumnError(UsageError):
    """A column that was named or is needed is not in the table."""


class BundleNotFoundError(UsageError):
    """The model bundle that was named is not there."""


class RunNotFoundError(UsageError):
    """The training run that was named is not there."""


class JobConflictError(UsageError):
    """The output belongs to another job."""


class MissingExtraError(UsageError):
    """The command needs an optional dependency that is not installed."""


class TableError(SentimmError):
    """A table that can't be read."""


class BundleError(SentimmError):
    """A bundle that is damaged, or made by a newer sentimm."""


class RunError(SentimmError):
    """A training run that is damaged."""


class DeviceError(SentimmError):
    """The device that was asked for can't be used."""


class ImageError(SentimmError):
    """An image that can't be decoded."""


class ImageMissingError(ImageError):
    """An image that is not where its name says, which only its server knows."""


class ImageUnreachableError(ImageError):
    """An image that its server does not give, however often it is asked."""


class StorageError(SentimmError):
    """What lies on another machine can't be reached."""


class DecoderError(SentimmError):
    """Images can't be decoded at all."""


class FailuresError(SentimmError):
    """More images can't be decoded than was allowed."""


class OutOfMemoryError(SentimmError):
    """The memory of the machine or of the device ran out."""


class ClusterError(SentimmError):
    """The cluster fails that was to score."""


class OutputError(SentimmError):
    """An output that can't be written."""


class TrainingError(SentimmError):
    """Training that can't go on."""


class ParityError(SentimmError):
    """An exported model that does not answer as the trained one does."""
