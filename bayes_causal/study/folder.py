"""A run folder is whole or absent: written beside its place under another name, and moved there when complete."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bayes_causal.errors import RunFolderError

MARKS = ("manifest.json", "estimates.json")
_unfinished: set[Path] = set()


def claim(target: Path, *, force: bool) -> None:
    """Refuse a place that cannot become a run folder, before anything is computed.

    Raises
    ------
    RunFolderError
        Something is there already (with `force`: something that is not a run folder), or nothing can be written there.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise RunFolderError(f"'{target}' exists and is not a folder. Choose another --out")
    if target.is_dir() and any(target.iterdir()):
        if not force:
            raise RunFolderError(f"'{target}' exists already. Choose another --out, or replace it with --force")
        if not all((target / name).is_file() for name in MARKS):
            raise RunFolderError(
                f"'{target}' holds other things than a run, and --force does not replace it. Choose another --out"
            )
    parent = _nearest(target.absolute().parent)
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise RunFolderError(f"nothing can be written into '{parent}'. Choose another --out")


@contextmanager
def whole(target: Path, *, force: bool) -> Iterator[Path]:
    """A folder to write a run into; it takes its place at the end, and vanishes if anything goes wrong before."""
    claim(target, force=force)
    target = target.absolute()
    made = [p for p in (target.parent, *target.parent.parents) if not p.exists()]
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    _unfinished.add(partial)
    try:
        partial.mkdir(parents=True)
        yield partial
        claim(target, force=force)
        _replace(target, partial)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        for parent in made:
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()
        raise
    finally:
        _unfinished.discard(partial)


def discard_unfinished() -> None:
    """Remove what is half written, where the process is about to be ended from outside."""
    for partial in list(_unfinished):
        shutil.rmtree(partial, ignore_errors=True)


def _replace(target: Path, partial: Path) -> None:
    old = partial.with_name(partial.name.replace(".partial-", ".old-"))
    if target.exists():
        target.rename(old)
    partial.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _nearest(path: Path) -> Path:
    """The path, or the nearest parent that exists."""
    return next(p for p in (path, *path.parents) if p.exists())
