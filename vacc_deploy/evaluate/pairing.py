"""Which low-resolution picture belongs to which ground truth, by the names the vendor's scripts expect."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vacc_deploy.errors import DataError, VdeployError, raise_together
from vacc_deploy.safe_io import picture_files

_SHOWN = 5

# What a name says after its picture's own name: (pattern, group of the scale, who it is).
_MARKERS: tuple[tuple[re.Pattern[str], bool, Literal["lr", "hr"]], ...] = (
    (re.compile(r"(.+)_SRF_(\d+)_LR", re.IGNORECASE), True, "lr"),
    (re.compile(r"(.+)_SRF_(\d+)_HR", re.IGNORECASE), True, "hr"),
    (re.compile(r"(.+)_scale_(\d+)", re.IGNORECASE), True, "lr"),
    (re.compile(r"(.+?)x([2-9])"), True, "lr"),
    (re.compile(r"(.+)[_-]LR", re.IGNORECASE), False, "lr"),
    (re.compile(r"(.+)[_-](?:HR|GT)", re.IGNORECASE), False, "hr"),
)


@dataclass(frozen=True, slots=True)
class Pair:
    """One test picture; `lr` is None where the protocol makes the low-resolution picture itself."""

    name: str
    hr: Path
    lr: Path | None = None


@dataclass(frozen=True, slots=True)
class PictureName:
    """A file name taken apart: ``baby_GT_scale_4`` is picture ``baby``, low resolution, scale 4."""

    key: str
    role: Literal["lr", "hr"] | None = None
    scale: int | None = None

    @classmethod
    def parse(cls, stem: str) -> PictureName:
        """Strip the markers from the end of a file's stem; the outermost one says the role."""
        key, role, scale = stem, None, None
        while match := next(((m, s, r) for p, s, r in _MARKERS if (m := p.fullmatch(key))), None):
            found, has_scale, who = match
            key = found[1]
            role = role or who
            scale = scale or (int(found[2]) if has_scale else None)
        return cls(key, role, scale)


def pair_files(lr_dir: Path, hr_dir: Path, scale: int | None = None) -> list[Pair]:
    """Pair the pictures of two folders (or of one that holds both), sorted by name.

    Names match when they are equal, or when they are once ``_scale_4``, ``x2``, ``_SRF_2_LR``, ``_LR``,
    ``_HR``, ``_GT`` are taken off.

    Args:
        lr_dir: Low-resolution pictures.
        hr_dir: Ground truth.
        scale: Where given, low-resolution files marked with another scale are left out.

    Raises:
        DataError: A folder is missing or empty, a file has no partner (named), or more than one, or the
            folders are exchanged.
    """
    lr_files, hr_files = pictures(lr_dir, "--lr"), pictures(hr_dir, "--hr")
    if lr_dir.resolve() == hr_dir.resolve():
        lr_files = [path for path in lr_files if PictureName.parse(path.stem).role == "lr"]
        hr_files = [path for path in hr_files if PictureName.parse(path.stem).role != "lr"]
        if not lr_files:
            raise DataError(
                f"'{lr_dir}' is both --lr and --hr, and no file in it is marked as low resolution",
                hint="give two folders, or mark files: x_scale_4, 0801x2, img_SRF_2_LR, x_LR",
            )
    lr_files = _of_scale(lr_files, scale, lr_dir)
    partners = _matches(lr_files, hr_files)
    _require_partners(lr_files, hr_files, partners, lr_dir, hr_dir)
    _require_roles(partners)
    return sorted((Pair(hr.stem, hr, lr) for lr, hr in partners.items()), key=lambda pair: pair.name)


def list_ground_truth(hr_dir: Path) -> list[Pair]:
    """The ground-truth pictures of a folder alone; files marked as low resolution are not among them.

    Raises:
        DataError: The folder is missing or holds none.
    """
    files = pictures(hr_dir, "--hr")
    marked = [path for path in files if PictureName.parse(path.stem).role == "lr"]
    own = [path for path in files if path not in marked] or files
    return [Pair(path.stem, path) for path in own]


def pictures(folder: Path, flag: str) -> list[Path]:
    """The picture files of a folder, sorted by name.

    Raises:
        DataError: The folder is missing or has none.
    """
    if not folder.is_dir():
        raise DataError(
            f"'{folder}' is a file" if folder.exists() else f"the folder '{folder}' does not exist",
            hint=f"give a folder of pictures with {flag}",
        )
    files = picture_files(folder)
    if not files:
        raise DataError(
            f"the folder '{folder}' holds no pictures", hint=f"give a folder of pictures with {flag}"
        )
    return files


def _of_scale(files: list[Path], scale: int | None, folder: Path) -> list[Path]:
    if scale is None:
        return files
    kept = [path for path in files if PictureName.parse(path.stem).scale in (None, scale)]
    if not kept:
        scales = sorted({str(PictureName.parse(path.stem).scale) for path in files})
        raise DataError(
            f"'{folder}' has no picture for scale {scale}, only for scale {', '.join(scales)}",
            hint="choose the protocol of that scale, or another folder",
        )
    return kept


def _matches(lr_files: list[Path], hr_files: list[Path]) -> dict[Path, Path]:
    by_stem = _index((path.stem, path) for path in hr_files)
    by_key = _index((PictureName.parse(path.stem).key, path) for path in hr_files)
    partners: dict[Path, Path] = {}
    for lr in lr_files:
        key = PictureName.parse(lr.stem).key
        found = by_stem.get(lr.stem) or by_stem.get(key) or by_key.get(key) or []
        if len(found) > 1:
            raise DataError(f"several ground-truth pictures fit '{lr.name}': {_names(found)}")
        if found:
            partners[lr] = found[0]
    takers = _index((hr.name, lr) for lr, hr in partners.items())
    for name, rivals in takers.items():
        if len(rivals) > 1:
            raise DataError(
                f"several low-resolution pictures fit '{name}': {_names(rivals)}",
                hint="keep one scale per folder, or choose a protocol that fixes the scale",
            )
    return partners


def _index(items: Iterable[tuple[str, Path]]) -> dict[str, list[Path]]:
    index: dict[str, list[Path]] = defaultdict(list)
    for key, path in items:
        index[key].append(path)
    return index


def _require_partners(
    lr_files: list[Path], hr_files: list[Path], partners: dict[Path, Path], lr_dir: Path, hr_dir: Path
) -> None:
    lonely_lr = [path for path in lr_files if path not in partners]
    taken = set(partners.values())
    lonely_hr = [path for path in hr_files if path not in taken]
    hint = "names match when equal, or as x_scale_4 / x, 0801x2 / 0801, img_SRF_2_LR / img_SRF_2_HR"
    errors: list[VdeployError] = []
    if lonely_lr:
        errors.append(DataError(f"no ground truth in '{hr_dir}' for {_names(lonely_lr)}", hint=hint))
    if lonely_hr:
        errors.append(
            DataError(f"no low-resolution picture in '{lr_dir}' for {_names(lonely_hr)}", hint=hint)
        )
    raise_together(errors)


def _require_roles(partners: dict[Path, Path]) -> None:
    """Refuse pairs whose names say that the folders were exchanged; their scores would mean nothing."""
    for lr, hr in partners.items():
        roles = PictureName.parse(lr.stem).role, PictureName.parse(hr.stem).role
        if lr.stem != hr.stem and roles in (("hr", None), (None, "lr"), ("hr", "lr")):
            raise DataError(
                f"--lr and --hr look exchanged: '{lr}' would be the low-resolution picture of '{hr}'",
                hint="give the degraded pictures with --lr and the originals with --hr",
            )


def _names(paths: list[Path]) -> str:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(f"'{path.name}'" for path in paths[:_SHOWN]) + more
