"""How a command's options are declared."""

from __future__ import annotations

from typing import Any

import typer


def declare(panel: str, help_text: str, *names: str, **more: Any) -> Any:
    """Declare an option under a heading of the help."""
    return typer.Option(*names, help=help_text, rich_help_panel=panel, **more)
