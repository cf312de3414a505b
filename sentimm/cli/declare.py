"""How a command's options are declared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from sentimm.errors import UsageError


def declare(panel: str, help_text: str, *names: str, **more: Any) -> Any:
    """Declare an option under a heading of the help."""
    return typer.Option(*names, help=help_text, rich_help_panel=panel, **more)


def parse_path(name: str) -> Path:
    """Read the name of a file or folder, which may be a URL.

    Raises:
        MissingExtraError, UsageError: see `storage.to_path`.
    """
    if not name.strip():
        raise UsageError("A file or folder is named by nothing, as by a shell variable that is not set.")
    if "://" not in name:
        return Path(name)
    from sentimm.storage import to_path

    return to_path(name)
