from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = (ROOT / "sentimm", ROOT / "export" / "sentimm_export")
MOST_LINES, MOST_MODULES = 60, 12
SOURCES = [path for package in PACKAGES for path in sorted(package.rglob("*.py"))]


def list_functions(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the name and the lines of every function in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_fit_on_a_screen(path: Path) -> None:
    # How many parameters they have at most is checked by ruff (PLR0913).
    assert [name for name, lines in list_functions(path) if lines > MOST_LINES] == []


def test_folders_can_be_taken_in_at_a_glance() -> None:
    folders = {path.parent for path in SOURCES}
    crowded = [
        str(folder.relative_to(ROOT))
        for folder in folders
        if len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) > MOST_MODULES
    ]
    assert crowded == []
