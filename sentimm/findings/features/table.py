"""The table of features: a row for each content, with its vectors as lists of float16, null where there is none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sentimm.errors import ColumnError, InputError, TableError

METADATA = b"sentimm.features"

_FORMAT = 1
_COLUMNS = {"content": pa.string(), "id": pa.string(), "source": pa.string(), "row": pa.int64()}

Vectors = npt.NDArray[np.float16]


class FeaturesWriter:
    """Writes features to a Parquet file; a context.

    Args:
        path: the file.
        widths: of the vectors, by modality.
        facts: what its metadata say of the model.
    """

    def __init__(self, path: Path, widths: Mapping[str, int], facts: Mapping[str, Any]) -> None:
        vectors = [(f"{name}_features", pa.list_(pa.float16(), width)) for name, width in widths.items()]
        self._schema = pa.schema(
            [*_COLUMNS.items(), *vectors], metadata={METADATA: json.dumps({"format": _FORMAT, **facts})}
        )
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd", write_page_checksum=True)

    def __enter__(self) -> FeaturesWriter:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def write(
        self,
        columns: Mapping[str, Sequence[Any]],
        vectors: Mapping[str, Vectors],
        present: Mapping[str, npt.NDArray[np.bool_]],
    ) -> None:
        """Write rows.

        Args:
            columns: `content`, `id`, `source` and `row`.
            vectors: by modality, float16 (rows, width).
            present: by modality, which rows have a vector, bool (rows,).
        """
        arrays: list[pa.Array] = [pa.array(columns[name], kind) for name, kind in _COLUMNS.items()]
        for name, values in vectors.items():
            flat = pa.array(np.ascontiguousarray(values).reshape(-1))
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, values.shape[1], mask=pa.array(~present[name])))
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))


def read_features(path: Path, contents: Sequence[str]) -> tuple[dict[str, Vectors], npt.NDArray[np.bool_], str | None]:
    """Read the vectors of some contents.

    Args:
        path: what `sentimm features` wrote.
        contents: their digests, each once.

    Returns:
        by modality float16 (contents, width), NaN where there is no vector; which contents are there, bool (contents,);
        and the digest of the model.

    Raises:
        InputError: the file is not there.
        TableError, ColumnError: it can't be read, or is another table.
    """
    try:
        with pq.ParquetFile(path) as file:
            facts, widths = _read_schema(path, file.schema_arrow)
            wanted = pa.array(contents, pa.string())
            found = np.zeros(len(contents), dtype=bool)
            vectors = {name: np.full((len(contents), width), np.nan, np.float16) for name, width in widths.items()}
            for group in range(file.num_row_groups):
                _take(file, group, wanted, found, vectors)
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}: make it with `sentimm features`.") from error
    except (OSError, pa.ArrowException, ValueError) as error:
        raise TableError(f"{path} can't be read as Parquet: {error}.") from error
    return vectors, found, facts.get("digest")


def _read_schema(path: Path, schema: pa.Schema) -> tuple[dict[str, Any], dict[str, int]]:
    """Return what a file says of the model, and the widths of its vectors by modality."""
    facts = json.loads((schema.metadata or {}).get(METADATA, b"null"))
    widths = {
        field.name.removesuffix("_features"): field.type.list_size
        for field in schema
        if field.name.endswith("_features") and pa.types.is_fixed_size_list(field.type)
    }
    if not isinstance(facts, dict) or not widths or "content" not in schema.names:
        raise ColumnError(f"{path} has no features: give the file that `sentimm features` wrote.")
    return facts, widths


def _take(
    file: pq.ParquetFile,
    group: int,
    wanted: pa.Array,
    found: npt.NDArray[np.bool_],
    vectors: Mapping[str, Vectors],
) -> None:
    """Take the wanted contents of one row group, whose vectors are read only if it has any."""
    places = pc.index_in(file.read_row_group(group, ["content"])["content"], value_set=wanted)
    rows = np.flatnonzero(places.is_valid().to_numpy())
    if not len(rows):
        return
    to = places.take(rows).to_numpy()
    found[to] = True
    table = file.read_row_group(group, [f"{name}_features" for name in vectors]).take(rows)
    for name, values in vectors.items():
        for place, vector in zip(to, table[f"{name}_features"].to_pylist(), strict=True):
            if vector is not None:
                values[place] = vector
