"""Files in object storage and on web servers, which fail now and then."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from sentimm import storage
from sentimm.errors import MissingExtraError, UsageError
from sentimm.storage import Entry, RemoteFile, files, retrying, to_path
from tests.support.servers import Faults, S3Server, WebServer, find_free_port, forget_file_systems

RATE = 0.25
AWKWARD = [
    "a b.txt",
    "ü€😀.txt",
    "100%.txt",
    "%41.txt",
    "a#b.txt",
    "a?b.txt",
    "a+b.txt",
    "a&b=c.txt",
    "a;b,c@d'e!.txt",
    "a[1].txt",
]
SEEDS = [1, 2]


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "_FIRST_WAIT", 0.005)
    monkeypatch.setattr(retrying, "_LONGEST_WAIT", 0.02)


def make_bytes(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def read_in_steps(path: Path, step: int) -> bytes:
    content = b""
    with storage.open_file(path) as file:
        while data := file.read(step):
            content += data
    return content


def measure_fault(question: Callable[[], object]) -> tuple[OSError, float]:
    start = time.monotonic()
    with pytest.raises(OSError) as caught:
        question()
    return caught.value, time.monotonic() - start


@pytest.mark.slow
class TestObjectStorage:
    @pytest.fixture(autouse=True)
    def quick_retries_of_requests(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("botocore.retryhandler.delay_exponential", lambda *_, **__: 0.01)

    @pytest.mark.parametrize("size", [0, 1, 100_000, (4 << 20) - 1, 4 << 20, 9_000_000])
    def test_reads_what_was_written(self, s3: S3Server, size: int, tmp_path: Path) -> None:
        content = make_bytes(size)
        s3.put("s3://posts/sub/file.bin", content)
        path = to_path("s3://posts/sub/file.bin")
        assert storage.read_bytes(path) == content
        assert storage.read_bytes(RemoteFile("s3://posts/sub/file.bin")) == content
        assert storage.read_bytes(path, 10) == content[:10]
        assert storage.read_bytes(path, size + 10) == content
        assert read_in_steps(path, 1_000_003) == content
        storage.download(path, tmp_path / "copied")
        assert (tmp_path / "copied").read_bytes() == content
        with storage.open_file(path) as file:
            assert file.seek(-min(size, 7), os.SEEK_END) == max(0, size - 7)
            assert file.read() == content[-7:]
            assert file.seek(size // 2) == file.tell() == size // 2
            assert file.read(5) == content[size // 2 :][:5]

    @pytest.mark.parametrize("seed", SEEDS)
    def test_reads_in_spite_of_faults(self, s3: S3Server, seed: int, tmp_path: Path) -> None:
        content = make_bytes(9_000_000, seed)
        s3.put("s3://posts/file.bin", content)
        for number in range(10):
            s3.put(f"s3://posts/small/{number}", make_bytes(5_000, number))
        s3.put("s3://posts/empty", b"")
        with s3.failing(Faults.evenly(RATE, seed)):
            path = to_path("s3://posts/file.bin")
            assert storage.read_bytes(path) == content
            assert read_in_steps(path, 700_000) == content
            storage.download(path, tmp_path / "copied")
            small = [RemoteFile(f"s3://posts/small/{number}") for number in range(10)]
            assert storage.map_remote(storage.read_bytes, small) == [make_bytes(5_000, number) for number in range(10)]
            assert storage.read_bytes(to_path("s3://posts/empty")) == b""
        assert (tmp_path / "copied").read_bytes() == content
        assert s3.faults.total() > 1

    @pytest.mark.parametrize("name", AWKWARD)
    def test_takes_awkward_names(self, s3: S3Server, name: str, tmp_path: Path) -> None:
        s3.put(f"s3://posts/in/{name}", b"in")
        folder = to_path("s3://posts/in")
        assert storage.list_folder(folder) == [Entry(name, False, 2)]
        for path in to_path(storage.join(folder, name)), folder / name:
            assert storage.read_bytes(path) == b"in"
            assert storage.exists(path)
            assert storage.find_state(path) is not None
        (tmp_path / "file").write_bytes(b"out")
        storage.upload(tmp_path / "file", to_path(f"s3://posts/out/{name}"))
        storage.copy(to_path(f"s3://posts/out/{name}"), to_path(f"s3://posts/copy/{name}"))
        assert s3.list_keys("s3://posts/out") == [f"s3://posts/out/{name}"]
        assert s3.read(f"s3://posts/copy/{name}") == b"out"
        storage.remove(to_path(f"s3://posts/copy/{name}"))
        assert s3.list_keys("s3://posts/copy") == []

    @pytest.mark.parametrize("seed", [0, *SEEDS])
    @pytest.mark.parametrize("size", [0, 3_000_000])
    def test_uploads_whole_files(self, s3: S3Server, seed: int, size: int, tmp_path: Path) -> None:
        with s3.failing(Faults.evenly(RATE if seed else 0, seed)):
            for number in range(5):
                (tmp_path / "file").write_bytes(make_bytes(size, number))
                storage.upload(tmp_path / "file", to_path(f"s3://posts/out/{number}"))
                storage.copy(to_path(f"s3://posts/out/{number}"), to_path(f"s3://posts/out/{number}-copy"))
        for number in range(5):
            assert s3.read(f"s3://posts/out/{number}") == make_bytes(size, number)
            assert s3.read(f"s3://posts/out/{number}-copy") == make_bytes(size, number)

    def test_replaces_a_file_at_once_or_not_at_all(self, s3: S3Server, tmp_path: Path) -> None:
        s3.put("s3://posts/file", b"old")
        (tmp_path / "file").write_bytes(make_bytes(1_000_000))
        with s3.failing(Faults(refused=0.5, closed=0.5, seed=5)), pytest.raises(OSError):
            storage.upload(tmp_path / "file", to_path("s3://posts/file"))
        assert s3.read("s3://posts/file") in (b"old", make_bytes(1_000_000))

    @pytest.mark.parametrize("seed", [0, *SEEDS])
    def test_uploads_in_several_pieces(
        self, s3: S3Server, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("s3fs.core.calculate_chunksize", lambda size, chunksize=None: 5 << 20)
        content = make_bytes(17 << 20, seed)
        (tmp_path / "file").write_bytes(content)
        with s3.failing(Faults.evenly(RATE if seed else 0, seed)):
            storage.upload(tmp_path / "file", to_path("s3://posts/file"))
        assert s3.requests["PUT"] >= 4
        assert s3.read("s3://posts/file") == content

    def test_uploads_in_several_pieces_though_the_last_answer_is_lost(
        self, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("s3fs.core.calculate_chunksize", lambda size, chunksize=None: 5 << 20)
        (tmp_path / "file").write_bytes(make_bytes(11 << 20))
        for seed in range(3):
            with s3.failing(Faults(closed=0.5, seed=seed, methods=("POST",))):
                storage.upload(tmp_path / "file", to_path(f"s3://posts/{seed}"))
            assert s3.read(f"s3://posts/{seed}") == make_bytes(11 << 20)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_tells_what_is_there_in_spite_of_faults(self, s3: S3Server, seed: int) -> None:
        s3.put("s3://posts/sub/file", b"123")
        file, folder, nothing = (to_path(f"s3://posts/{name}") for name in ("sub/file", "sub", "none"))
        state = storage.find_state(file)
        assert state is not None and state[0] == 3
        with s3.failing(Faults.evenly(0.3, seed)):
            for _ in range(5):
                assert storage.exists(file) and storage.exists(folder) and not storage.exists(nothing)
                assert storage.is_folder(folder) and not storage.is_folder(file) and not storage.is_folder(nothing)
                assert storage.find_state(file) == state
                assert storage.find_state(nothing) is None
                assert storage.list_folder(to_path("s3://posts/sub")) == [Entry("file", False, 3)]
                assert storage.list_folder(nothing) == []
        assert s3.faults.total() > 10
        s3.put("s3://posts/sub/file", b"124")
        assert storage.find_state(file) not in (None, state)

    @pytest.mark.parametrize("seed", [0, *SEEDS])
    def test_lists_and_matches(self, s3: S3Server, seed: int) -> None:
        for name in ("b/2.csv", "b/1.csv", "a.csv", "b/deeper/3.csv", "b.csv", "x[1].csv", "c.txt"):
            s3.put(f"s3://posts/{name}", b"12")
        with s3.failing(Faults.evenly(RATE if seed else 0, seed)):
            for _ in range(2):
                found = storage.list_folder(to_path("s3://posts/b"))
                assert found == [Entry("1.csv", False, 2), Entry("2.csv", False, 2), Entry("deeper", True, 0)]
                assert len(storage.list_folder(to_path("s3://posts"))) == 5
                assert [str(path) for path in storage.find_matches("s3://posts/b/*.csv")] == [
                    "s3://posts/b/1.csv",
                    "s3://posts/b/2.csv",
                ]
                assert [str(path) for path in storage.find_matches("s3://posts/*/*/*.csv")] == [
                    "s3://posts/b/deeper/3.csv"
                ]
                assert storage.find_matches("s3://posts/none/*.csv") == []

    def test_lists_more_than_one_answer_holds(self, s3: S3Server) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: s3.put(f"s3://posts/many/{number:04}", b""), range(1_001)))
        with s3.failing(Faults.evenly(RATE, 1)):
            assert len(storage.list_folder(to_path("s3://posts/many"))) == 1_001

    def test_does_not_keep_what_it_listed(self, s3: S3Server) -> None:
        folder = to_path("s3://posts/sub")
        for number in range(3):
            assert len(storage.list_folder(folder)) == number
            assert not storage.exists(folder / str(number))
            s3.put(f"s3://posts/sub/{number}", b"")
            assert storage.exists(folder / str(number))
        s3.remove("s3://posts/sub/0")
        assert not storage.exists(folder / "0")

    def test_removes(self, s3: S3Server) -> None:
        for number in range(10):
            s3.put(f"s3://posts/{number}", b"1")
        with s3.failing(Faults.evenly(RATE, 1)):
            for number in range(10):
                storage.remove(to_path(f"s3://posts/{number}"))
            storage.remove(to_path("s3://posts/none"))
        assert s3.list_keys() == []

    def test_says_at_once_that_a_file_is_not_there(self, s3: S3Server) -> None:
        with s3.failing(Faults()):
            for url in "s3://posts/none", "s3://none/file":
                for question in storage.read_bytes, storage.open_file:
                    with pytest.raises(FileNotFoundError) as caught:
                        question(to_path(url))
                    assert caught.value.strerror == "it is not there"
                assert not storage.exists(to_path(url))
        assert s3.requests.total() <= 12

    def test_says_at_once_that_a_bucket_is_not_there(self, s3: S3Server, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"1")
        with s3.failing(Faults()), pytest.raises(FileNotFoundError):
            storage.upload(tmp_path / "file", to_path("s3://none/file"))
        assert s3.requests.total() <= 2
        assert storage.list_folder(to_path("s3://none")) == []
        assert not storage.exists(to_path("s3://none"))

    def test_refuses_an_impossible_bucket(self, s3: S3Server) -> None:
        error, _ = measure_fault(lambda: storage.read_bytes(to_path("s3://a bucket/file")))
        assert "ucket" in error.strerror and "\n" not in error.strerror

    @pytest.mark.parametrize("faults", [Faults(closed=1), Faults(refused=1)])
    def test_gives_up_where_a_server_is_down(
        self, s3: S3Server, faults: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(retrying, "_ATTEMPTS", 2)
        (tmp_path / "file").write_bytes(b"1")
        path = to_path("s3://posts/file")
        questions: list[Callable[[], object]] = [
            lambda: storage.read_bytes(path),
            lambda: storage.open_file(path),
            lambda: storage.exists(path),
            lambda: storage.is_folder(path),
            lambda: storage.find_state(path),
            lambda: storage.list_folder(path),
            lambda: storage.find_matches("s3://posts/*.csv"),
            lambda: storage.upload(tmp_path / "file", path),
            lambda: storage.copy(path, to_path("s3://posts/copy")),
            lambda: storage.remove(path),
        ]
        with s3.failing(faults):
            for question in questions:
                error, _ = measure_fault(question)
                assert not isinstance(error, FileNotFoundError | PermissionError)
                assert error.strerror and "\n" not in error.strerror and not error.strerror.endswith(".")
        assert s3.requests.total() <= len(questions) * 2 * 6  # aiohttp asks a second time

    def test_gives_up_where_nobody_listens(self, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{find_free_port()}")
        error, _ = measure_fault(lambda: storage.read_bytes(to_path("s3://posts/file")))
        assert "connect" in error.strerror

    def test_says_that_there_are_no_credentials(self, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        for question in storage.read_bytes, storage.exists, storage.list_folder:
            with pytest.raises(OSError, match="there are no credentials for it") as caught:
                question(to_path("s3://posts/file"))
            assert not isinstance(caught.value, FileNotFoundError | PermissionError)  # it says nothing of the file

    def test_reads_in_many_threads_at_once(self, s3: S3Server) -> None:
        images = [RemoteFile(f"s3://posts/{number}") for number in range(100)]
        for number, image in enumerate(images):
            s3.put(image.url, make_bytes(20_000, number))
        before = threading.active_count()
        with s3.failing(Faults.evenly(0.1, 1)):
            for _ in range(2):
                found = storage.map_remote(lambda image: storage.read_bytes(image, 1 << 20), images)
                assert found == [make_bytes(20_000, number) for number in range(100)]
        assert threading.active_count() <= before + 1  # fsspec's own

    def test_a_process_ends_cleanly(self, s3: S3Server) -> None:
        s3.put("s3://posts/file", b"1")
        assert ask_in_a_process("s3://posts/file") == b"1"

    def test_a_forked_process_reads_too(self, s3: S3Server) -> None:
        s3.put("s3://posts/file", b"1")
        assert ask_in_a_process("s3://posts/file", is_forked=True) == b"1"


def ask_in_a_process(url: str, *, is_forked: bool = False) -> bytes:
    """Read a file many times in a process of its own, which must end quickly and in silence."""
    script = f"""
import multiprocessing, sys
from sentimm import storage
from sentimm.storage import retrying
images = [storage.RemoteFile({url!r})] * 64
assert len(set(storage.map_remote(storage.read_bytes, images))) == 1
path = storage.to_path({url!r})
storage.open_file(path).read()
if {is_forked}:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        print(pool.apply(storage.read_bytes, (images[0],)).decode(), end="")
        assert pool.apply(storage.exists, (path,))
        pool.close()
        pool.join()
else:
    print(storage.read_bytes(path).decode(), end="")
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:::multiprocessing", "-c", script],
        capture_output=True,
        timeout=20,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


class TestWeb:
    @pytest.mark.parametrize("has_ranges", [True, False])
    @pytest.mark.parametrize("size", [0, 1, 100_000, 4 << 20, 9_000_000])
    def test_reads_what_is_there(self, web: WebServer, size: int, has_ranges: bool, tmp_path: Path) -> None:
        web.has_ranges = has_ranges
        content = make_bytes(size)
        (web.folder / "file.bin").write_bytes(content)
        for url in f"{web.url}/file.bin", f"{web.url}/moved/file.bin":
            path = to_path(url)
            assert storage.read_bytes(path) == content
            assert storage.read_bytes(RemoteFile(url)) == content
            assert storage.read_bytes(path, 10) == content[:10]
            assert storage.read_bytes(path, size + 10) == content
            assert read_in_steps(path, 1_000_003) == content
            storage.download(path, tmp_path / "copied")
            assert (tmp_path / "copied").read_bytes() == content
            with storage.open_file(path) as file:
                assert file.seek(size // 2) == file.tell() == size // 2
                assert file.read(5) == content[size // 2 :][:5]
                assert file.seek(-min(size, 7), os.SEEK_END) == max(0, size - 7)
                assert file.read() == content[-7:]

    @pytest.mark.parametrize("seed", SEEDS)
    @pytest.mark.parametrize("has_ranges", [True, False])
    def test_reads_in_spite_of_faults(self, web: WebServer, seed: int, has_ranges: bool, tmp_path: Path) -> None:
        web.has_ranges = has_ranges
        content = make_bytes(9_000_000, seed)
        (web.folder / "file.bin").write_bytes(content)
        (web.folder / "empty").write_bytes(b"")
        for number in range(10):
            (web.folder / str(number)).write_bytes(make_bytes(5_000, number))
        with web.failing(Faults.evenly(RATE, seed)):
            path = to_path(f"{web.url}/file.bin")
            for _ in range(3):
                assert storage.read_bytes(path) == content
                assert read_in_steps(path, 700_000) == content
                storage.download(path, tmp_path / "copied")
                assert (tmp_path / "copied").read_bytes() == content
                assert storage.read_bytes(to_path(f"{web.url}/empty"), 5) == b""
            small = [RemoteFile(f"{web.url}/{number}") for number in range(10)]
            assert storage.map_remote(storage.read_bytes, small) == [make_bytes(5_000, number) for number in range(10)]
        assert web.faults.total() > 3

    @pytest.mark.parametrize("has_heads", [True, False])
    @pytest.mark.parametrize("seed", SEEDS)
    def test_tells_what_is_there_in_spite_of_faults(self, web: WebServer, seed: int, has_heads: bool) -> None:
        web.has_heads = has_heads
        (web.folder / "file").write_bytes(b"123")
        file, nothing = to_path(f"{web.url}/file"), to_path(f"{web.url}/none")
        state = storage.find_state(file)
        assert state is not None and state[0] == 3
        with web.failing(Faults.evenly(0.3, seed)):
            for _ in range(5):
                assert storage.exists(file) and not storage.exists(nothing)
                assert storage.find_state(file) == state
                assert storage.find_state(nothing) is None
                assert not storage.is_folder(file)
        assert web.faults.total() > 3

    @pytest.mark.parametrize("name", AWKWARD)
    def test_takes_awkward_names(self, web: WebServer, name: str) -> None:
        (web.folder / "sub").mkdir()
        (web.folder / "sub" / name).write_bytes(b"in")
        path = to_path(storage.join(to_path(f"{web.url}/sub"), name))
        assert storage.read_bytes(path) == b"in"
        assert storage.read_bytes(RemoteFile(str(path))) == b"in"
        assert storage.exists(path)
        assert read_in_steps(path, 10) == b"in"

    def test_keeps_what_a_url_asks_for(self, web: WebServer) -> None:
        (web.folder / "file").write_bytes(b"in")
        assert storage.read_bytes(to_path(f"{web.url}/file?token=a%2Fb&x=1")) == b"in"

    @pytest.mark.parametrize("has_ranges", [True, False])
    def test_reads_what_comes_without_its_size(self, web: WebServer, has_ranges: bool) -> None:
        web.has_sizes, web.has_ranges = False, has_ranges
        content = make_bytes(500_000)
        (web.folder / "file").write_bytes(content)
        path = to_path(f"{web.url}/file")
        assert storage.read_bytes(path) == read_in_steps(path, 10_000) == content
        assert storage.exists(path) and storage.find_state(path) is not None

    @pytest.mark.parametrize("always", [True, False])
    @pytest.mark.parametrize("has_ranges", [True, False])
    def test_reads_what_is_compressed_on_the_way(self, web: WebServer, always: bool, has_ranges: bool) -> None:
        web.compresses, web.compresses_always, web.has_ranges = True, always, has_ranges
        content = make_bytes(100_000)
        (web.folder / "file").write_bytes(content)
        path = to_path(f"{web.url}/file")
        assert storage.read_bytes(path) == content
        assert read_in_steps(path, 10_000) == content
        begin = storage.read_bytes(path, 1_000)
        assert content.startswith(begin)
        if not (always and has_ranges):  # such a server gives ranges of what is compressed
            assert len(begin) == 1_000

    def test_reads_no_more_than_it_was_asked_for(self, web: WebServer) -> None:
        web.has_ranges = web.has_sizes = web.has_ends = False
        (web.folder / "file").write_bytes(b"123")
        assert storage.read_bytes(to_path(f"{web.url}/file"), 5) == b"123\0\0"
        assert storage.read_bytes(RemoteFile(f"{web.url}/file"), 1_000_000) == b"123" + bytes(999_997)

    def test_says_at_once_that_a_file_is_not_there(self, web: WebServer) -> None:
        path = to_path(f"{web.url}/none")
        with web.failing(Faults()):
            for question in storage.read_bytes, storage.open_file:
                with pytest.raises(FileNotFoundError) as caught:
                    question(path)
                assert caught.value.strerror == "it is not there"
        assert web.requests.total() <= 3

    @pytest.mark.parametrize("faults", [Faults(closed=1), Faults(refused=1), Faults(cut=1)])
    def test_gives_up_where_a_server_is_down(self, web: WebServer, faults: Faults) -> None:
        (web.folder / "file").write_bytes(b"123")
        path = to_path(f"{web.url}/file")
        questions: list[Callable[[], object]] = [lambda: storage.read_bytes(path), lambda: storage.open_file(path)]
        if not faults.cut:  # what is asked then comes with the first bytes
            questions += [lambda: storage.exists(path), lambda: storage.find_state(path)]
        with web.failing(faults):
            for question in questions:
                error, _ = measure_fault(question)
                assert not isinstance(error, FileNotFoundError | PermissionError)
                assert error.strerror and "\n" not in error.strerror and not error.strerror.endswith(".")
        assert web.requests.total() <= len(questions) * 8 * 4  # aiohttp asks a second time

    def test_gives_up_where_nobody_listens(self) -> None:
        path = to_path(f"http://127.0.0.1:{find_free_port()}/file")
        for question in storage.read_bytes, storage.exists:
            error, _ = measure_fault(lambda question=question: question(path))  # type: ignore[misc]
            assert not isinstance(error, FileNotFoundError)
            assert "connect" in error.strerror.lower()

    def test_says_that_a_host_is_not_known(self) -> None:
        error, _ = measure_fault(lambda: storage.read_bytes(to_path("http://sentimm.invalid/file")))
        assert not isinstance(error, FileNotFoundError)
        assert error.strerror

    def test_a_process_ends_cleanly(self, web: WebServer) -> None:
        (web.folder / "file").write_bytes(b"1")
        assert ask_in_a_process(f"{web.url}/file") == b"1"

    def test_a_forked_process_reads_too(self, web: WebServer) -> None:
        (web.folder / "file").write_bytes(b"1")
        assert ask_in_a_process(f"{web.url}/file", is_forked=True) == b"1"


def test_local_files_stay_local(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"123")
    path = to_path(str(tmp_path / "file"))
    assert isinstance(path, Path) and not storage.is_remote(path)
    assert storage.read_bytes(path) == b"123" and storage.read_bytes(path, 2) == b"12"
    assert storage.exists(path) and storage.is_folder(tmp_path) and not storage.is_folder(path)
    assert storage.find_state(path) is not None and storage.find_state(tmp_path / "none") is None
    with pytest.raises(FileNotFoundError):
        storage.open_file(tmp_path / "none")


def test_only_object_storage_is_written_to() -> None:
    storage.require_writable(Path("out"))
    with pytest.raises(UsageError):
        storage.require_writable(to_path("http://127.0.0.1/out"))


def test_says_what_can_be_reached() -> None:
    with pytest.raises(UsageError):
        to_path("nonsense://a/b")


def test_says_what_a_store_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ValueError("an account is needed.\nOr a key.")

    monkeypatch.setattr("upath.UPath", refuse)
    with pytest.raises(UsageError, match=r"^az://posts/posts\.csv can't be reached: an account is needed\.$"):
        to_path("az://posts/posts.csv")


def test_says_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_file_systems()
    monkeypatch.setitem(sys.modules, "upath", None)
    with pytest.raises(MissingExtraError, match="pip install"):
        to_path("s3://posts/file")


def answer_in_turn(answers: list[object]) -> object:
    answer = answers.pop(0)
    if isinstance(answer, Exception):
        raise answer
    return answer


def test_asks_again_only_what_may_pass() -> None:
    answers: list[object] = [TimeoutError(), OSError(errno.EIO, "no"), 3]
    ask = partial(answer_in_turn, answers)
    path = Path("x")
    assert retrying.ask(path, ask) == 3
    for code in "NoSuchUpload", "RequestTimeout":  # of a request whose first answer was lost, and of one that came late
        failure = FileNotFoundError("no")
        failure.__cause__ = make_refusal(code, 404)
        answers[:] = [failure, 3]
        assert retrying.ask(path, ask) == 3
    failure = OSError(errno.EINVAL, "no")
    failure.__cause__ = make_refusal("InvalidRequest", 400)
    answers[:] = [failure, 3]
    with pytest.raises(OSError):
        retrying.ask(path, ask)
    assert answers == [3]
    answers[:] = [PermissionError(), 3]
    with pytest.raises(PermissionError):
        retrying.ask(path, ask)
    assert answers == [3]


def test_asks_nothing_again_once_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "_FIRST_WAIT", 600)
    monkeypatch.setattr(retrying, "_LONGEST_WAIT", 600)
    given_up, asked, calls = threading.Event(), threading.Event(), []

    def fail() -> None:
        calls.append(None)
        asked.set()
        raise TimeoutError

    def ask() -> None:
        with storage.giving_up_on(given_up):
            retrying.ask(Path("x"), fail)

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask)
        assert asked.wait(timeout=20)
        given_up.set()
        with pytest.raises(OSError):
            answer.result(timeout=20)
    assert len(calls) == 1
    with storage.giving_up_on(given_up):
        pass
    answers: list[object] = [TimeoutError(), 3]
    monkeypatch.setattr(retrying, "_FIRST_WAIT", 0.001)
    assert retrying.ask(Path("x"), partial(answer_in_turn, answers)) == 3  # that was for the block alone


def test_a_server_answers_that_fails_for_the_folder_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def exists(path: Path) -> bool:
        if str(path).rstrip("/").endswith("folder"):
            raise OSError(errno.EIO, "the server answers 500")
        return False

    monkeypatch.setattr(files, "exists", exists)
    assert storage.answers(RemoteFile("http://127.0.0.1/folder/0.png"))
    assert not storage.answers(RemoteFile("http://folder/0.png"))


def make_refusal(code: str, status: int) -> Exception:
    """Make what botocore raises; s3fs's own errors have it as their cause."""
    refusal = Exception(code)
    refusal.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}  # type: ignore[attr-defined]
    return refusal


def test_what_google_refuses_is_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from gcsfs.retry import HttpError

    path, calls = to_path("memory://posts/posts.csv"), []

    def fail(error: Exception) -> None:
        calls.append(error)
        raise error

    for error in (OSError("Forbidden: posts\nno"), HttpError({"code": 401, "message": "no"})):
        calls.clear()
        with pytest.raises(PermissionError, match="refuses"):
            retrying.ask(path, partial(fail, error))
        assert len(calls) == 1
    monkeypatch.setattr(retrying, "_FIRST_WAIT", 0.001)
    calls.clear()
    with pytest.raises(OSError, match="busy"):
        retrying.ask(path, partial(fail, HttpError({"code": 503, "message": "busy"})))
    assert len(calls) == retrying._ATTEMPTS
