"""Find the photos of a call of `generate`, and decide where the results of each go."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from sam3d_bento import names
from sam3d_bento.formats import FILE_TYPES, Format, by_suffix

# An argument that stands for standard input or standard output.
DASH = Path("-")
# Suffixes of the files that are photos, where a folder is given. A file that is named itself may have any suffix.
PHOTO_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
)


@dataclass(frozen=True)
class PhotoTask:
    """Photo, and the path of its results without their suffix. Both are DASH for standard input and output."""

    photo: Path
    base: Path

    @property
    def label(self) -> str:
        """Return what a message calls the photo."""
        return "standard input" if self.photo == DASH else printable(self.photo)

    def read(self) -> bytes:
        """Return the photo's file. Raises OSError."""
        return sys.stdin.buffer.read() if self.photo == DASH else self.photo.read_bytes()

    def file(self, wanted: Format) -> Path:
        """Return the path of the result in a format."""
        return self._path(FILE_TYPES[wanted].suffix)

    @property
    def picture(self) -> Path:
        """Return the path of the picture of the model."""
        return self._path("webp")

    def _path(self, suffix: str) -> Path:
        return self.base.with_name(f"{self.base.name}.{suffix}")


def printable(path: Path) -> str:
    """Return a path for a message. Bytes that are no text, and control characters, are replaced."""
    text = click.format_filename(path)
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def plan(
    photos: Sequence[Path], output: Path, formats: Sequence[Format], name: str | None, *, recursive: bool
) -> list[PhotoTask]:
    """Return the tasks of a call, in the order of its arguments.

    photos: files, folders and DASH. A folder stands for the photos in it, and with `recursive` for those in its
    subfolders; its results have the same subfolders. output: a folder, a file (for one photo, with the suffix of a
    format), or DASH. name: the option, for one photo.

    Raises click.UsageError if there is no photo, if two photos have one result, or if a result would overwrite a photo.
    """
    found = [pair for given in photos for pair in _found(given, output, recursive)]
    if name is not None and len(found) > 1:
        raise click.UsageError("--name needs a single photo. Each of several photos gives its own name.")
    if output == DASH or _format_of_file(output) is not None:
        return [_single(found, output, formats)]
    tasks = [PhotoTask(photo, output / stem.with_name(name or stem.name)) for photo, stem in found]
    _refuse_clashes(tasks)
    _refuse_overwriting(tasks, formats)
    return tasks


def default_formats(output: Path) -> tuple[Format, ...]:
    """Return the formats of a call that names none: that of the output's suffix, else GLB."""
    return (_format_of_file(output) or "glb",)


def _format_of_file(output: Path) -> Format | None:
    """Return the format of an output that is a file. None for a folder, also one whose name ends like a file's."""
    if output.is_dir():
        return None
    if output.suffix.lower() == ".obj":
        raise click.UsageError(
            f"An OBJ comes with its material and texture. Name the file {printable(output)}.zip, or use `export`."
        )
    return by_suffix(output.name)


def _found(given: Path, output: Path, recursive: bool) -> Iterator[tuple[Path, Path]]:
    """Yield each photo of an argument with the path of its results below the output, without suffix."""
    if given == DASH:
        yield DASH, Path(names.UNNAMED)
    elif not given.is_dir():
        yield given, Path(given.stem)
    else:
        inside = list(_photos_in(given, output, recursive))
        if not inside:
            below = "" if recursive else " Use --recursive for its subfolders."
            raise click.UsageError(f"The folder {printable(given)} has no photos.{below}")
        yield from ((photo, photo.relative_to(given).with_suffix("")) for photo in inside)


def _photos_in(folder: Path, output: Path, recursive: bool) -> Iterator[Path]:
    """Yield the photos of a folder in the order of their names, without hidden files and earlier results."""
    for place, folders, files in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(
            name
            for name in folders
            if recursive and not name.startswith(".") and (here / name).absolute() != output.absolute()
        )
        for name in sorted(files):
            path = here / name
            is_photo = not name.startswith(".") and path.suffix.lower() in PHOTO_SUFFIXES
            if is_photo and not _is_picture_of_a_model(path, files):
                yield path


def _is_picture_of_a_model(path: Path, files: Sequence[str]) -> bool:
    """Return whether the file is the picture that a run has left beside its result."""
    return path.suffix == ".webp" and any(f"{path.stem}.{kind.suffix}" in files for kind in FILE_TYPES.values())


def _single(found: list[tuple[Path, Path]], output: Path, formats: Sequence[Format]) -> PhotoTask:
    """Return the task of a call whose output is one file."""
    where = "standard output" if output == DASH else printable(output)
    if len(found) > 1:
        raise click.UsageError(f"{where} takes one result. For several photos, let --output be a folder.")
    if len(formats) > 1:
        raise click.UsageError(f"{where} takes one --format.")
    photo = found[0][0]
    if output == DASH:
        return PhotoTask(photo, DASH)
    if _format_of_file(output) != formats[0]:
        raise click.UsageError(f"The suffix of {where} is not that of --format {formats[0]}.")
    task = PhotoTask(photo, output.with_name(output.name[: -len(FILE_TYPES[formats[0]].suffix) - 1]))
    _refuse_overwriting([task], formats)
    return task


def _refuse_clashes(tasks: Sequence[PhotoTask]) -> None:
    first: dict[Path, PhotoTask] = {}
    for task in tasks:
        other = first.setdefault(task.base, task)
        if other is not task:
            raise click.UsageError(
                f"{other.label} and {task.label} have the same name, so their results would overwrite each other at "
                f"{printable(task.base)}. Rename one, or give each its own --output."
            )


def _refuse_overwriting(tasks: Sequence[PhotoTask], formats: Sequence[Format]) -> None:
    photos = {task.photo.absolute(): task for task in tasks}
    for task in tasks:
        for path in (task.picture, *(task.file(wanted) for wanted in formats)):
            if path.absolute() in photos:
                raise click.UsageError(f"A result would overwrite {printable(path)}. Choose another --output.")
