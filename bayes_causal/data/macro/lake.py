"""Files on any fsspec path, each whole or not there, with the digests of all of them in one manifest that is written last."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayes_causal.errors import DataError, needs_extra

if TYPE_CHECKING:
    import pandas as pd

MANIFEST, KIND = "manifest.json", "bayes_causal macro lake"
LOCAL = ("file", "local")


@dataclass(frozen=True, eq=False)
class Lake:
    """A folder, local or remote.

    Parameters
    ----------
    path : str
        A local path or an fsspec URL, as ``s3://bucket/macro``; credentials and endpoints are those that s3fs finds in the
        environment (``AWS_ENDPOINT_URL`` for another server than Amazon's).
    """

    path: str

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises
        ------
        DataError
            It is not there, or cannot be read.
        """
        system, root = self._place
        with self._said(name):
            return bytes(system.cat_file(f"{root}/{name}"))

    def write(self, name: str, content: bytes) -> str:
        """Write a file, which is there completely or as before; one that is there already is left alone. Returns its sha256."""
        system, root = self._place
        digest, target = sha256(content), f"{root}/{name}"
        with self._said(name):
            if self.has(name) and sha256(self.read(name)) == digest:
                return digest
            if self._local:
                _replace(Path(target), content)
            else:
                system.pipe_file(target, content)  # one PUT: an object is there when it is complete
                system.invalidate_cache()
        return digest

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        system, root = self._place
        with self._said(name):
            system.invalidate_cache()
            return bool(system.exists(f"{root}/{name}"))

    def names(self, folder: str, suffix: str) -> list[str]:
        """Names of the files below a folder, sorted."""
        system, root = self._place
        with self._said(folder):
            system.invalidate_cache()
            found = system.find(f"{root}/{folder}") if system.exists(f"{root}/{folder}") else []
        start = len(root) + 1
        return sorted(path[start:] for path in found if path.endswith(suffix))

    def manifest(self) -> dict[str, Any] | None:
        """What the last complete build wrote; None where there was none.

        Raises
        ------
        DataError
            A manifest of something else.
        """
        if not self.has(MANIFEST):
            return None
        try:
            found = json.loads(self.read(MANIFEST))
        except ValueError as error:
            raise DataError(f"{MANIFEST} of '{self.path}' is no JSON ({error}): this is no lake") from error
        if not isinstance(found, dict) or found.get("kind") != KIND:
            raise DataError(f"'{self.path}' holds a {MANIFEST} of something else: choose another folder for the lake")
        return found

    def verified(self, name: str) -> bytes:
        """A file of the last complete build, proved to be what that build wrote.

        Raises
        ------
        DataError
            No build, or a file that was changed since.
        """
        manifest = self.manifest()
        if manifest is None:
            raise DataError(f"'{self.path}' holds no completely built lake: run `bayes-causal macro build --out {self.path}`")
        content = self.read(name)
        if sha256(content) != manifest["files"].get(name):
            raise DataError(
                f"{name} of '{self.path}' is not what the last complete build wrote: a later build was interrupted, or the file "
                f"was edited. Run `bayes-causal macro build --out {self.path}` again; nothing is fetched twice"
            )
        return content

    @cached_property
    def _place(self) -> tuple[Any, str]:
        import fsspec

        with self._said(""):
            system, root = fsspec.core.url_to_fs(self.path)
            return system, str(root).rstrip("/")

    @property
    def _local(self) -> bool:
        protocol = self._place[0].protocol
        return any(p in LOCAL for p in ((protocol,) if isinstance(protocol, str) else protocol))

    @contextmanager
    def _said(self, name: str) -> Iterator[None]:
        """What goes wrong with files, said as a `DataError`."""
        try:
            yield
        except DataError:
            raise
        except ImportError as error:
            raise needs_extra("macro", "s3fs") if "s3fs" in str(error) else DataError(f"'{self.path}': {error}") from error
        except FileNotFoundError as error:
            raise DataError(f"there is no {name} in '{self.path}'") from error
        except Exception as error:
            ours = isinstance(error, (OSError, ValueError)) or type(error).__module__.startswith(("botocore", "aiobotocore"))
            if not ours:
                raise
            raise DataError(
                f"{name or 'the lake'} at '{self.path}' cannot be read or written ({type(error).__name__}: {error}): check the "
                "address, the credentials and the rights"
            ) from error


def sha256(content: bytes) -> str:
    """Digest of a file's content."""
    return hashlib.sha256(content).hexdigest()


def parquet(frame: pd.DataFrame) -> bytes:
    """A table as Parquet: the same bytes for the same table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = BytesIO()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None), sink)
    return sink.getvalue()


def table(content: bytes) -> pd.DataFrame:
    """The table of a Parquet file."""
    import pyarrow.parquet as pq

    frame: pd.DataFrame = pq.read_table(BytesIO(content)).to_pandas()
    return frame


def _replace(target: Path, content: bytes) -> None:
    """Write beside the place, then rename: a rename in one folder is atomic."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
