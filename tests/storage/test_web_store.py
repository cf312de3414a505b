"""Files on web servers, which fail now and then."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sentimm import storage
from sentimm.storage import RemoteFile, files, to_path
from tests.support.faults import Faults, find_free_port
from tests.support.storage import AWKWARD, RATE, SEEDS, ask_in_a_process, make_bytes, measure_fault, read_in_steps
from tests.support.web_server import WebServer


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
                assert caught.value.strerror == "not found"
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


def test_a_server_answers_that_fails_for_the_folder_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def exists(path: Path) -> bool:
        if str(path).rstrip("/").endswith("folder"):
            raise OSError(errno.EIO, "the server returned status 500")
        return False

    monkeypatch.setattr(files, "exists", exists)
    assert storage.is_reachable(RemoteFile("http://127.0.0.1/folder/0.png"))
    assert not storage.is_reachable(RemoteFile("http://folder/0.png"))
