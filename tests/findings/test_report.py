from __future__ import annotations

import functools
import http.server
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from sentimm.corpus.text_repairs import TextRepairs, repair_texts
from sentimm.errors import UsageError
from sentimm.findings.designs import write_design
from sentimm.findings.options import ReportOptions, SampleOptions, SheetOptions
from sentimm.findings.question import Question
from sentimm.findings.report.html import escape, mask
from sentimm.findings.report.report import write_report
from sentimm.findings.sampling import draw_sheet
from sentimm.findings.scored import open_scored
from sentimm.findings.sheets.spreadsheets import write_csv
from tests.findings.corpora import make_scored

HOSTILE = (
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "</title></style><svg onload=document.title='owned'>",
    "javascript:alert(1) http://evil.example/track.gif @victim mail victim@example.org",
    "\u202eright to left \x1b[31m\x00",
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    """Scored posts of people who attack the page, in their texts, names of files and names of groups, and a sheet."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    Image.new("RGB", (300, 200), "teal").save(tmp_path / "images" / "a.jpg")
    scored = make_scored(600).with_columns(
        pl.Series("text", [f"{HOSTILE[number % len(HOSTILE)]} {number}" for number in range(600)]),
        pl.Series("<b>group</b>", [HOSTILE[number % 2] for number in range(600)]),
        image=pl.lit("a.jpg"),
        conflict=pl.Series([(number % 10) / 10 for number in range(600)]),
    )
    scored.write_parquet("scored.parquet")
    sheet = draw_sheet(open_scored(["scored.parquet"]), SampleOptions(("scored.parquet",), plan=True, labels=150))
    write_design(Path("sheet.design.parquet"), sheet.design)
    write_csv(Path("sheet.csv"), sheet.rows)
    texts = repair_texts(scored["text"], TextRepairs())  # a sheet shows them as they were scored
    truth = dict(zip(texts, scored["truth"], strict=True))
    rows = [f"{row.sheet_id},{truth[row.text or '']}" for row in sheet.rows]
    Path("sheet.csv").write_text("\n".join(["sheet_id,label", *rows]), encoding="utf-8")
    return scored


def make_page(**changes: Any) -> str:
    """Return the page; `labels`, `by`, `time` and `every` may be among the changes."""
    labels = changes.pop("labels", ("sheet.csv",))
    asked = {"by": "<b>group</b>"} | {name: changes.pop(name) for name in ("by", "time", "every") if name in changes}
    write_report(
        ReportOptions(
            ("scored.parquet",),
            Path("report.html"),
            SheetOptions(labels),
            Question(**asked),
            images=Path("images"),
            **changes,
        )
    )
    return Path("report.html").read_text(encoding="utf-8")


class Elements(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_nothing_that_people_wrote_becomes_a_part_of_the_page(corpus: pl.DataFrame) -> None:
    page = make_page()
    elements = Elements(page).found
    assert {tag for tag, _ in elements} <= {
        *(
            "html",
            "head",
            "meta",
            "title",
            "style",
            "body",
            "input",
            "label",
            "main",
            "h1",
            "h2",
            "p",
            "strong",
            "code",
        ),
        *("div", "table", "caption", "thead", "tbody", "tr", "th", "td", "ul", "li", "img", "bdi"),
        *("svg", "desc", "text", "rect", "line", "path", "circle", "polygon", "polyline"),
    }
    for tag, attributes in elements:
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "href", "action")], tag
        assert all(
            value.startswith("data:image/jpeg;base64,") for name, value in attributes.items() if name == "src" and value
        )
    assert len(page.encode()) < 3_000_000
    assert "\u202e" not in page and "\x1b" not in page
    assert "default-src &#x27;none&#x27;" in page


def test_names_are_masked_and_ids_are_not_shown(corpus: pl.DataFrame) -> None:
    page = make_page()
    assert "victim" not in page and "evil.example" not in page
    assert "@user" in page and "[link]" in page
    assert "a.jpg" not in page


def test_a_public_page_holds_no_posts(corpus: pl.DataFrame) -> None:
    page = make_page(public=True)
    assert "<img" not in page and "<bdi" not in page and "stands for" not in page
    assert "Do not publish" not in page
    assert "Can I trust it?" in page


def test_small_groups_are_not_on_a_public_page(corpus: pl.DataFrame) -> None:
    corpus.with_columns(
        pl.when(pl.col("id") < 9).then(pl.lit("tiny club")).otherwise(pl.lit("rest")).alias("<b>group</b>")
    ).write_parquet("scored.parquet")
    assert "tiny club" not in make_page(labels=(), public=True)
    assert "tiny club" in make_page(labels=())


def test_each_chart_has_a_table_and_words(corpus: pl.DataFrame) -> None:
    page = make_page(time="created_at", by=None, every="quarter", figures=Path("figures"))
    assert page.count("<svg") == 3  # shares, time, reliability
    assert page.count("<title>") == 4  # and the page's own
    assert len(re.findall("<table", page)) >= 4
    names = sorted(path.name for path in Path("figures").iterdir())
    assert names == [f"{name}.{kind}" for name in ("reliability", "shares", "time") for kind in ("csv", "svg")]
    figure = Path("figures/time.svg").read_text(encoding="utf-8")
    assert figure.startswith("<svg ") and 'xmlns="http://www.w3.org/2000/svg"' in figure and "<style>" in figure


def test_the_page_names_the_command_that_makes_it_again(corpus: pl.DataFrame) -> None:
    assert "sentimm report scored.parquet --labels sheet.csv --seed 7<" in make_page(by=None, seed=7)
    assert "sentimm report SCORED --labels SHEET --public<" in make_page(by=None, public=True)


def test_without_labels_no_interval_is_claimed(corpus: pl.DataFrame) -> None:
    page = make_page(labels=())
    assert "nobody knows how far that is off" in page
    assert "Can I trust it?" not in page and "whisker" not in page.split("</style>")[1]


def test_an_odd_name_is_refused() -> None:
    with pytest.raises(UsageError, match=r"choose a name that ends in \.html"):
        ReportOptions(("scored.parquet",), Path("report.pdf"))


def test_escaping_and_masking() -> None:
    assert escape("a\u202eb\x00<c>\n'd'") == "ab&lt;c&gt; &#x27;d&#x27;"
    assert escape("\U0001f468\u200d\U0001f469") == "\U0001f468\u200d\U0001f469"  # joined emoji stay whole
    assert mask("hi @anna see https://x.y/z or www.a.b, a@b.cd") == "hi @user see [link] or [link] [link]"


class _Counting(http.server.SimpleHTTPRequestHandler):
    asked: list[str] = []  # noqa: RUF012 (of the test that serves)

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    _Counting.asked.clear()
    handler = functools.partial(_Counting, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")
def test_a_browser_asks_for_nothing_and_runs_nothing(corpus: pl.DataFrame, server: str, tmp_path: Path) -> None:
    make_page(title=HOSTILE[2])
    command = [
        str(CHROMIUM),
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    done = subprocess.run(
        [*command, "--dump-dom", f"{server}/report.html"], capture_output=True, text=True, check=True, timeout=120
    )
    assert [path for path in _Counting.asked if path != "/favicon.ico"] == ["/report.html"]
    title = re.search("<title>(.*?)</title>", done.stdout)
    assert title is not None and "owned" not in title[1].replace("&#x27;owned&#x27;", "").replace("'owned'", "")
    assert "<h1>" in done.stdout


def test_bins_of_few_labels_are_not_on_a_public_page(corpus: pl.DataFrame) -> None:
    rows = Path("sheet.csv").read_text(encoding="utf-8").splitlines()
    Path("sheet.csv").write_text("\n".join([*rows[:50], *(f"{row.split(',')[0]}," for row in rows[50:])]))
    assert "labelled posts</th>" in make_page()
    assert "labelled posts</th>" not in make_page(public=True)
