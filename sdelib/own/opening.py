"""What lies at a path, read by what reads it: pictures, arrays, tables, IDX files."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..checks import require
from . import arrays, csv_files, garments, idx, pictures
from .prepared import Prepared, of_array, of_table

FASHION_MNIST = "fashion-mnist"
FILES = "a folder of pictures or IDX files, .npy, .npz, .csv"


def opened(
    path: str | Path,
    *,
    size: int | Sequence[int] | None = None,
    grey: bool = False,
    kind: str | None = None,
    label_column: str | None = None,
    categorical: Sequence[str] = (),
    skip_unreadable: bool = False,
    seed: int = 0,
    hold: float = 0.1,
) -> Prepared:
    """The data at a path; see `Data.open`."""
    path = Path(path).expanduser()
    common: dict[str, Any] = {"seed": seed, "hold": hold}
    looks = {"size": size, "grey": grey, "skip_unreadable": skip_unreadable}
    named = {"label_column": label_column, "categorical": tuple(categorical)}
    given = {**looks, "kind": kind, **named}
    if str(path) == FASHION_MNIST and not path.exists():
        _only(given, (), "Fashion-MNIST")
        return _fashion(common)
    cure = f"there is no such file or folder; give {FILES}, or {FASHION_MNIST!r}"
    require(path.exists(), "path", str(path), cure)
    common |= {"where": str(path), "source": str(path)}
    suffix = "" if path.is_dir() else path.suffix.lower()
    if suffix == ".csv":
        _only(given, named, "a .csv file")
        parts = lambda text: csv_files.parts_of(path, text)
        return of_table(parts, None, classes=(), **named, **common)
    if suffix in (".npy", ".npz"):
        _only(given, ("kind",), f"an {suffix} file")
        array, labels, classes, found = arrays.read(path)
        return of_array(array, labels, kind=kind or found, classes=classes, **common)
    if files := idx.found_in(path):
        _only(given, (), "IDX files")
        return _idx(*files, common)
    require(path.is_dir(), "path", str(path), f"it is none of {FILES}")
    _only(given, looks, "a folder of pictures")
    found = pictures.read(path, size=size, grey=grey, skip_unreadable=skip_unreadable)
    common["source"] = found.said
    return of_array(found.images, found.labels, kind="images", classes=(), **common)


def _only(given: dict[str, Any], fits: Any, what: str) -> None:
    """Raise ValueError for an option that says nothing about this kind of data."""
    for name, value in given.items():
        require(name in fits or not value, name, value, f"{what} does not take it: leave it out")


def _fashion(common: dict[str, Any]) -> Prepared:
    """Fashion-MNIST, or the images that stand in for it, and a notice."""
    folder, why = garments.searched()
    images, labels = garments.stand_in() if folder is None else garments.read(folder)
    source = "Fashion-MNIST"
    if folder is None:
        source = "drawn from this book's own model, not Fashion-MNIST"
        said = f"Fashion-MNIST cannot be had: {why}. In its place: {len(images):,} images {source}."
        warnings.warn(said, stacklevel=4)
    common = common | {"where": "fashion-mnist", "source": source, "classes": garments.CLASSES}
    return of_array(images, labels, kind="images", **common)


def _idx(images: Path, labels: Path | None, common: dict[str, Any]) -> Prepared:
    """IDX files; the names of the garments where they are Fashion-MNIST's."""
    classes = garments.CLASSES if labels is not None and garments.is_real(images) else ()
    source = f"{images}{'' if labels is None else f' and {labels.name}'}"
    places = None if labels is None else idx.read(labels, (1,))
    common = common | {"source": f"Fashion-MNIST, {source}" if classes else source}
    return of_array(idx.read(images, (3, 4)), places, kind="images", classes=classes, **common)
