"""Files on web servers, which are read only: folders can't be listed, and some servers send files as a whole only."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from sentimm.storage.object_store import ObjectStore, split_url
from sentimm.storage.paths import RemoteFile, file_system_of, name_in_store
from sentimm.storage.retrying import retry


class WebStore(ObjectStore):
    """Servers of http:// and https://."""

    def read_bytes(self, path: Path | RemoteFile, most: int | None = None) -> bytes:
        if most is None:
            return super().read_bytes(path)
        folder, url = split_url(path)
        return retry(folder, lambda: _read_head(folder, url, most)[0])

    def request_info(self, path: Path) -> dict[str, Any]:
        try:
            return super().request_info(path)
        except FileNotFoundError as error:
            if isinstance(error.__cause__, Exception):  # fsspec raises this one whatever went wrong
                raise error.__cause__ from None
            raise

    def find_size(self, path: Path) -> int | None:
        size = super().find_size(path)
        has_ranges = not size or _read_head(path, name_in_store(path), 1)[1]
        return size if has_ranges else None


def _read_head(folder: Path, url: str, most: int) -> tuple[bytes, bool]:
    """Read the first bytes of a file; also return whether the server sent a range, and not the whole file."""
    from fsspec.asyn import sync

    file_system = file_system_of(folder)

    async def read() -> tuple[bytes, bool]:
        session = await file_system.set_session()
        headers = {"Range": f"bytes=0-{most - 1}"}
        async with session.get(file_system.encode_url(url), headers=headers) as answer:
            if answer.status == 416:  # no byte of an empty file is in the range
                return b"", True
            answer.raise_for_status()
            pieces, left = [], most
            while left and (piece := await answer.content.read(left)):
                pieces.append(piece)
                left -= len(piece)
            return b"".join(pieces), answer.status == 206

    return cast("tuple[bytes, bool]", sync(file_system.loop, read))
