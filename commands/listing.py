"""A list of very many photos as a Parquet file, written as rows come in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHUNK = 1024  # rows that are kept until they are written together


class Listing:
    """Rows on their way to a file.

    Args:
        writer: of pyarrow, for the schema of `schema_of`.
    """

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self._rows: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        """Take a row; columns that it lacks are empty."""
        self._rows.append(row)
        if len(self._rows) == CHUNK:
            self.flush()

    def flush(self) -> None:
        """Write what was kept."""
        import pyarrow as pa

        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, self._writer.schema))
            self._rows = []


@contextmanager
def listing(path: Path, columns: Mapping[str, Any]) -> Iterator[Listing]:
    """A list being written.

    Args:
        path: of the Parquet file.
        columns: kinds of values beside path, output, seconds and error, as `Recipe.columns`.
    """
    from pyarrow import parquet

    with parquet.ParquetWriter(path, schema_of(columns)) as writer:
        rows = Listing(writer)
        yield rows
        rows.flush()


def schema_of(columns: Mapping[str, Any]) -> Any:
    """The pyarrow schema of a list."""
    import pyarrow as pa

    kinds = {float: pa.float64(), str: pa.string(), list: pa.list_(pa.string())}

    def kind(wanted: Any) -> Any:
        if isinstance(wanted, Mapping):
            return pa.struct([(name, kind(inner)) for name, inner in wanted.items()])
        return kinds[wanted]

    every = {"path": str, "output": str, **columns, "seconds": float, "error": str}
    return pa.schema([(name, kind(wanted)) for name, wanted in every.items()])
