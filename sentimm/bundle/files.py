"""The files of a bundle: fetched where they are remote, and checked against the manifest."""

from __future__ import annotations

import atexit
import hashlib
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path, PurePosixPath

from sentimm.bundle.manifest import MANIFEST, MOST_BYTES, REMEDY, Fields, locate_file, parse_manifest
from sentimm.errors import BundleError, BundleNotFoundError
from sentimm.storage import download, read_bytes


def fetch_bundle(folder: Path) -> Path:
    """Copy a remote bundle to a temporary folder, which is removed when the process ends, and return that.

    Raises:
        BundleNotFoundError: there is no bundle at `folder`.
        BundleError: a file can't be fetched, or the manifest is damaged.
    """
    copied = Path(tempfile.mkdtemp(prefix="sentimm-"))
    atexit.register(shutil.rmtree, copied, ignore_errors=True)
    own = copied / (folder.name or "bundle")
    own.mkdir()
    path = folder / MANIFEST
    try:
        content = read_bytes(path, MOST_BYTES + 1)
        (own / MANIFEST).write_bytes(content)
        for name in parse_manifest(folder, content).fields("files").value:
            if PurePosixPath(name).name == name:  # others are refused when the copy is checked
                path = folder / name
                with suppress(FileNotFoundError):
                    download(path, own / name)
    except FileNotFoundError:
        raise BundleNotFoundError(
            f"{folder} has no {MANIFEST}, so it is not a model bundle: name a folder that `sentimm export` wrote."
        ) from None
    except OSError as error:
        raise BundleError(f"{path} can't be read: {error.strerror or error}.") from error
    return own


def check_files(folder: Path, files: Fields, *, may_be_linked: bool) -> None:
    """Check that the bundle's files are plain ones, of the sizes and SHA-256 that the manifest names.

    Raises:
        BundleError: one is not, or can't be read.
    """
    for name in files.value:
        entry = files.fields(name)
        path = locate_file(folder, name, entry.value.get("bundle"))
        expected, size = entry.string("sha256"), entry.integer("bytes", 0)
        try:
            found = measure_plain_file(path, may_be_linked=may_be_linked)
            if found != size:
                raise BundleError(f"{path} is damaged: it has {found:,} bytes instead of {size:,}; {REMEDY}")
            if hash_file(path) != expected:
                raise BundleError(f"{path} is damaged: its SHA-256 is not the one that {MANIFEST} names; {REMEDY}")
        except FileNotFoundError:
            raise BundleError(f"{path} is missing from the bundle: {REMEDY}") from None
        except OSError as error:
            raise BundleError(f"{path} can't be read: {error.strerror or error}.") from error


def measure_plain_file(path: Path, *, may_be_linked: bool) -> int:
    """Return a file's size in bytes, without opening it: what is no plain file might block, or lead elsewhere.

    Raises:
        BundleError: it is a link, or no plain file.
        OSError: it is not there.
    """
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_nlink > 1 and not may_be_linked):
        raise BundleError(f"{path} is a link: replace it with a copy of the file.")
    if not stat.S_ISREG(found.st_mode):
        raise BundleError(f"{path} is not a plain file: {REMEDY}")
    return found.st_size


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
