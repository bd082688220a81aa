"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from stance.schema import StanceError


@contextmanager
def whole_folder(folder: str | os.PathLike[str], *, marker: str) -> Iterator[Path]:
    """Give an empty temporary folder that becomes `folder` when the block ends without an error.

    Args:
        folder: where the result is to be. A folder that is there already is replaced, provided that it holds
            `marker` or is empty: nothing else is ever deleted.
        marker: the file by which an earlier result of the same kind is known.

    Raises:
        StanceError: if `folder` exists and is something else.
    """
    target = Path(folder).resolve()
    check_replaceable(target, marker=marker)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise StanceError(f"{folder} cannot be written: {error.strerror}") from None
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        check_replaceable(target, marker=marker)
        if target.exists():
            old = temporary.with_name(temporary.name + "-old")
            target.rename(old)
            try:
                temporary.rename(target)
            except OSError:
                old.rename(target)
                raise
            shutil.rmtree(old)
        else:
            temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def whole_file(file: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Open a temporary UTF-8 file that becomes `file` when the block ends without an error."""
    with whole_path(file) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        yield stream


@contextmanager
def whole_path(file: str | os.PathLike[str]) -> Iterator[Path]:
    """Give an empty temporary file, to be written, that becomes `file` when the block ends without an error."""
    target = Path(file).resolve()
    if not target.parent.is_dir():
        raise StanceError(f"{file} cannot be written: there is no folder {target.parent}")
    if target.exists() and not target.is_file():
        raise StanceError(f"{file} is a folder or a device; name a file")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    except OSError as error:
        raise StanceError(f"{file} cannot be written: {error.strerror}") from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def check_replaceable(folder: str | os.PathLike[str], *, marker: str) -> None:
    """Make sure that `whole_folder` may write `folder`, before work is spent on its contents.

    Raises:
        StanceError: if `folder` exists, is not empty and holds no `marker`.
    """
    target = Path(folder).resolve()
    if not target.exists():
        return
    if not target.is_dir():
        raise StanceError(f"{target} is a file; name another folder")
    if not (target / marker).is_file() and any(target.iterdir()):
        raise StanceError(f"{target} exists and is not replaced, as it holds no {marker}; name another folder")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
