"""Files that lie in object storage (s3://, gs://, az://) or on web servers (https://), through fsspec.

Their paths are those of universal_pathlib, which have the interface of pathlib's and pass for `Path` here. What is
asked of a server is asked again where it fails for a while, and every failure is an OSError in words for a person:
whoever reads a local file reads a remote one. Local files are left to the operating system.
"""

from __future__ import annotations

from sentimm.storage.files import (
    Entry,
    answers,
    copy,
    download,
    exists,
    find_matches,
    find_state,
    is_folder,
    list_folder,
    map_remote,
    open_file,
    read_bytes,
    remove,
    upload,
)
from sentimm.storage.paths import (
    CONNECTIONS,
    RemoteFile,
    hide_secrets,
    is_remote,
    is_web,
    join,
    require_writable,
    to_path,
)
from sentimm.storage.retrying import giving_up_on

__all__ = [
    "CONNECTIONS",
    "Entry",
    "RemoteFile",
    "answers",
    "copy",
    "download",
    "exists",
    "find_matches",
    "find_state",
    "giving_up_on",
    "hide_secrets",
    "is_folder",
    "is_remote",
    "is_web",
    "join",
    "list_folder",
    "map_remote",
    "open_file",
    "read_bytes",
    "remove",
    "require_writable",
    "to_path",
    "upload",
]
