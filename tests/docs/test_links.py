"""Links, paths and line lengths of every page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ("docs", "samples", "export", "tests", "benchmarks", "sentimm")
PAGES = sorted([*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))])

MAX_LINE = 200
# The card is written by `export`, the reference by a script, and each entry of the changelog is one line.
CARDS = {f"sentimm/bundles/{name}/MODEL_CARD.md" for name in ("default", "world")}
LONG_LINES = {*CARDS, "docs/reference/commands.md", "CHANGELOG.md"}

FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
REPOSITORY_PATH = re.compile(rf"(?:{'|'.join(FOLDERS)}|\.ci)(?:/[\w.*-]+)+/?")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def read_prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def make_anchor(heading: str) -> str:
    """Return the anchor that GitHub makes of a heading."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")


def list_anchors(page: Path) -> list[str]:
    return [make_anchor(heading) for heading in re.findall(r"^#+ (.+)$", read_prose(page), re.MULTILINE)]


def find_broken_links(page: Path, prose: str) -> Iterator[str]:
    """Yield every relative link of a page whose file or heading does not exist."""
    for link in LINK.findall(prose):
        if "://" in link:
            continue
        name, _, fragment = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (fragment and fragment not in list_anchors(target)):
            yield link


def find_absent_paths(text: str) -> Iterator[str]:
    """Yield every word in backticks, or in a block, that looks like a file of the repository and is none."""
    words = [word for code in (*CODE.findall(text), *FENCE.findall(text)) for word in code.split()]
    for word in words:
        if REPOSITORY_PATH.fullmatch(word) and not any(ROOT.glob(word.rstrip("/"))):
            yield word


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    assert list(find_broken_links(page, read_prose(page))) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_paths_exist(page: Path) -> None:
    assert list(find_absent_paths(page.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("page", [page for page in PAGES if name_of(page) not in LONG_LINES], ids=name_of)
def test_lines_are_short(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [number for number, line in enumerate(lines, 1) if len(line) > MAX_LINE] == []


def test_pages_that_the_code_names_exist() -> None:
    named = {
        (name_of(source), page)
        for folder in ("sentimm", "export", "benchmarks", "docs")
        for source in (ROOT / folder).rglob("*.py")
        for page in re.findall(r"\bdocs/[\w./-]+\.md", source.read_text(encoding="utf-8"))
    }
    assert named
    assert sorted((source, page) for source, page in named if not (ROOT / page).exists()) == []


def test_every_page_is_linked_from_another() -> None:
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in PAGES
        for link in LINK.findall(read_prose(page))
        if "://" not in link and not link.startswith("#")
    }
    assert [name_of(page) for page in PAGES if page.resolve() not in linked] == ["README.md"]


def test_the_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("[start](no-such-page.md)", ["no-such-page.md"]),
        ("[start](README.md#no-such-heading)", ["README.md#no-such-heading"]),
        ("[start](README.md#install), [web](https://example.org/none)", []),
    ],
)
def test_a_broken_link_is_found(text: str, broken: list[str]) -> None:
    assert list(find_broken_links(ROOT / "README.md", text)) == broken


def test_an_absent_path_is_found() -> None:
    assert list(find_absent_paths("`sentimm/no_such_room.py`, `sentimm/errors.py`")) == ["sentimm/no_such_room.py"]
