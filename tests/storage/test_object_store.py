"""Files in object storage, which fails now and then."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sentimm import storage
from sentimm.storage import Entry, RemoteFile, retrying, to_path
from sentimm.storage.object_store import ObjectStore
from tests.support.failures.faults import Faults, find_free_port
from tests.support.stores.s3_server import S3Server
from tests.support.stores.storage import (
    AWKWARD,
    RATE,
    SEEDS,
    ask_in_a_process,
    make_bytes,
    measure_fault,
    read_in_steps,
)

STORE = ObjectStore()


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
        STORE.upload(tmp_path / "file", to_path(f"s3://posts/out/{name}"))
        STORE.copy(to_path(f"s3://posts/out/{name}"), to_path(f"s3://posts/copy/{name}"))
        assert s3.list_keys("s3://posts/out") == [f"s3://posts/out/{name}"]
        assert s3.read(f"s3://posts/copy/{name}") == b"out"
        STORE.remove(to_path(f"s3://posts/copy/{name}"))
        assert s3.list_keys("s3://posts/copy") == []

    @pytest.mark.parametrize("seed", [0, *SEEDS])
    @pytest.mark.parametrize("size", [0, 3_000_000])
    def test_uploads_whole_files(self, s3: S3Server, seed: int, size: int, tmp_path: Path) -> None:
        with s3.failing(Faults.evenly(RATE if seed else 0, seed)):
            for number in range(5):
                (tmp_path / "file").write_bytes(make_bytes(size, number))
                STORE.upload(tmp_path / "file", to_path(f"s3://posts/out/{number}"))
                STORE.copy(to_path(f"s3://posts/out/{number}"), to_path(f"s3://posts/out/{number}-copy"))
        for number in range(5):
            assert s3.read(f"s3://posts/out/{number}") == make_bytes(size, number)
            assert s3.read(f"s3://posts/out/{number}-copy") == make_bytes(size, number)

    def test_replaces_a_file_at_once_or_not_at_all(self, s3: S3Server, tmp_path: Path) -> None:
        s3.put("s3://posts/file", b"old")
        (tmp_path / "file").write_bytes(make_bytes(1_000_000))
        with s3.failing(Faults(refused=0.5, closed=0.5, seed=5)), pytest.raises(OSError):
            STORE.upload(tmp_path / "file", to_path("s3://posts/file"))
        assert s3.read("s3://posts/file") in (b"old", make_bytes(1_000_000))

    @pytest.mark.parametrize("seed", [0, *SEEDS])
    def test_uploads_in_several_pieces(
        self, s3: S3Server, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("s3fs.core.calculate_chunksize", lambda size, chunksize=None: 5 << 20)
        content = make_bytes(17 << 20, seed)
        (tmp_path / "file").write_bytes(content)
        with s3.failing(Faults.evenly(RATE if seed else 0, seed)):
            STORE.upload(tmp_path / "file", to_path("s3://posts/file"))
        assert s3.requests["PUT"] >= 4
        assert s3.read("s3://posts/file") == content

    def test_uploads_in_several_pieces_though_the_last_answer_is_lost(
        self, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("s3fs.core.calculate_chunksize", lambda size, chunksize=None: 5 << 20)
        (tmp_path / "file").write_bytes(make_bytes(11 << 20))
        for seed in range(3):
            with s3.failing(Faults(closed=0.5, seed=seed, methods=("POST",))):
                STORE.upload(tmp_path / "file", to_path(f"s3://posts/{seed}"))
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
                STORE.remove(to_path(f"s3://posts/{number}"))
            STORE.remove(to_path("s3://posts/none"))
        assert s3.list_keys() == []

    def test_says_at_once_that_a_file_is_not_there(self, s3: S3Server) -> None:
        with s3.failing(Faults()):
            for url in "s3://posts/none", "s3://none/file":
                for question in storage.read_bytes, storage.open_file:
                    with pytest.raises(FileNotFoundError) as caught:
                        question(to_path(url))
                    assert caught.value.strerror == "not found"
                assert not storage.exists(to_path(url))
        assert s3.requests.total() <= 12

    def test_says_at_once_that_a_bucket_is_not_there(self, s3: S3Server, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"1")
        with s3.failing(Faults()), pytest.raises(FileNotFoundError):
            STORE.upload(tmp_path / "file", to_path("s3://none/file"))
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
        monkeypatch.setattr(retrying, "ATTEMPTS", 2)
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
            lambda: STORE.upload(tmp_path / "file", path),
            lambda: STORE.copy(path, to_path("s3://posts/copy")),
            lambda: STORE.remove(path),
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
            with pytest.raises(OSError, match="no credentials were found") as caught:
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
