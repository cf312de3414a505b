"""Files on this machine, in object storage (s3://, gs://, az://) and on web servers (https://), through fsspec.

Remote paths are those of universal_pathlib, which have the interface of pathlib's and pass for `Path` here. A request
that fails for a while is sent again, and every failure is an OSError in words for a person: whoever reads a local file
reads a remote one. `store_of` chooses the class that does the work.
"""

from __future__ import annotations

from sentimm.storage.files import (
    download,
    exists,
    find_matches,
    find_real_name,
    find_state,
    is_folder,
    is_reachable,
    is_regular,
    lexists,
    list_folder,
    load_source,
    map_files,
    map_remote,
    open_file,
    open_source,
    read_bytes,
    store_of,
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
from sentimm.storage.store import Entry, Store

__all__ = [
    "CONNECTIONS",
    "Entry",
    "RemoteFile",
    "Store",
    "download",
    "exists",
    "find_matches",
    "find_real_name",
    "find_state",
    "giving_up_on",
    "hide_secrets",
    "is_folder",
    "is_reachable",
    "is_regular",
    "is_remote",
    "is_web",
    "join",
    "lexists",
    "list_folder",
    "load_source",
    "map_files",
    "map_remote",
    "open_file",
    "open_source",
    "read_bytes",
    "require_writable",
    "store_of",
    "to_path",
]
