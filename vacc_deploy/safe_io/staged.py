"""Writing a folder so that a reader finds the old folder or the new one, never a mixture."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vacc_deploy.safe_io.atomic import sync_folder
from vacc_deploy.safe_io.source import PathLike, file_error, os_error

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@contextmanager
def staged_directory(target: PathLike, keep: Callable[[str], bool] | None = None) -> Iterator[Path]:
    """Yield an empty temporary sibling folder that becomes `target` when the block ends without an exception.

    An existing `target` is swapped out in one step and then removed, so at every moment `target` is the whole
    old folder or the whole new one.  Everything is flushed to the disk before the swap.  Where `target` is a
    symbolic link, the folder that it leads to is replaced and the link stays.

    Args:
        target: The folder to write.
        keep: Says, by file name, which files of an existing `target` stay (unless the block wrote its own).

    Raises:
        FileError: The folder cannot be written; the old one is untouched and nothing is left behind.
    """
    target = Path(os.path.realpath(target))
    if target.exists() and not target.is_dir():
        raise file_error(target, "cannot write this folder: a file of that name is in the way", "remove it")
    temporary = target.with_name(f".{target.name[:100]}.tmp-{os.getpid()}-{os.urandom(4).hex()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
    except OSError as error:
        raise os_error(target, error, "write") from error
    try:
        temporary.mkdir()
        yield temporary
        if keep is not None and target.is_dir():
            _carry_over(target, temporary, keep)
        _sync_tree(temporary)
        _put_in_place(temporary, target)
        sync_folder(target.parent)
    except OSError as error:
        raise os_error(target, error, "write") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _carry_over(old: Path, new: Path, keep: Callable[[str], bool]) -> None:
    for entry in sorted(old.iterdir()):
        if not keep(entry.name) or (new / entry.name).exists():
            continue
        if entry.is_dir():
            shutil.copytree(entry, new / entry.name, symlinks=True)
        else:
            shutil.copy2(entry, new / entry.name, follow_symlinks=False)


def _sync_tree(folder: Path) -> None:
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root, name)
            if path.is_symlink():
                continue
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_folder(Path(root))


def _put_in_place(temporary: Path, target: Path) -> None:
    """Rename `temporary` to `target`; afterwards `temporary` is gone or holds the old folder."""
    if not target.exists():
        try:
            temporary.rename(target)
            return
        except OSError:
            if not target.is_dir():  # another writer may have put its own folder there meanwhile
                raise
    if _exchange(temporary, target):
        return
    # Without an atomic exchange there is an instant without a folder; `_sweep` brings the old one back
    # should the process die in it.
    aside = target.with_name(f".{target.name[:100]}.old-{os.getpid()}")
    target.rename(aside)
    try:
        temporary.rename(target)
    except OSError:
        aside.rename(target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two folders in one step (Linux ``renameat2``); False where the system cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    done: int = renameat2(
        _AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), ctypes.c_uint(_RENAME_EXCHANGE)
    )
    return done == 0


def _sweep(target: Path) -> None:
    """Remove what writers of the same folder left behind when they were killed."""
    pattern = re.compile(re.escape(f".{target.name[:100]}.") + r"(tmp|old)-(\d+)(-[0-9a-f]{8})?")
    for entry in sorted(target.parent.iterdir()):
        match = pattern.fullmatch(entry.name)
        if match is None or not entry.is_dir() or _is_running(int(match[2])):
            continue
        if match[1] == "old" and not target.exists():
            with suppress(OSError):
                entry.rename(target)
                continue
        shutil.rmtree(entry, ignore_errors=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
