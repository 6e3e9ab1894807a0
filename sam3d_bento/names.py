"""Clean the name of a result, so that it can be a file's name everywhere, and the name of a mesh in a file."""

from __future__ import annotations

import re
import unicodedata

# Name of a result whose photo came without one.
UNNAMED = "object"
# Longest name, in characters: what a file manager shows without cutting it.
MAX_CHARACTERS = 64
# Longest text that is cleaned into a name, in characters. No file system has longer names.
MAX_INPUT_CHARACTERS = 1024
# Longest name in bytes of UTF-8. File systems allow 255 for a file name, which also has a suffix such as `.splats.ply`.
MAX_BYTES = 200

# Characters that Windows refuses in a file name, without those that separate folders.
_FORBIDDEN = re.compile(r'[<>:"|?*]')
_FOLDER_SEPARATOR = re.compile(r"[/\\]")
_WHITE_SPACE = re.compile(r"\s+")
# What a name neither begins nor ends with: a leading dot hides a file, a leading hyphen makes it an option of a
# command, and Windows drops dots and spaces at the end. The last two join letters, and do nothing without a neighbour.
_LEADING = " .-\u200c\u200d"
_TRAILING = " .\u200c\u200d"
# What a file's name does not consist of alone. A library that cannot write a letter writes a question mark.
_SAYS_NOTHING = f"{_LEADING}_?*"
# Format characters that are part of the spelling: the zero width (non-)joiner, in Persian, Indic scripts and emoji. All
# other format characters are dropped. The bidirectional controls among them could disguise a suffix.
_JOINERS = "\u200c\u200d"
# Unicode categories of characters that are dropped: control, format, surrogate and private use.
_DROPPED = frozenset({"Cc", "Cf", "Cs", "Co"})
# Devices of Windows, whatever suffix follows ("Naming Files, Paths, and Namespaces", learn.microsoft.com).
_RESERVED = re.compile(r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³])\s*(\..*)?", re.IGNORECASE | re.DOTALL)


def cleaned(text: str) -> str:
    """Return a name made of the text, of any script: 1 to MAX_CHARACTERS characters, at most MAX_BYTES bytes of UTF-8.

    It is the last part of a path, in Unicode's normal form C, without control and bidirectional characters, without
    what Windows refuses, and not a name that Windows reserves. UNNAMED if nothing is left. A clean name stays as it is.
    """
    parts = [part for part in _FOLDER_SEPARATOR.split(text) if part.strip(" .")]
    name = _WHITE_SPACE.sub(" ", parts[-1] if parts else "")
    name = "".join(letter for letter in name if letter in _JOINERS or unicodedata.category(letter) not in _DROPPED)
    # Again after the normal form, which turns a few characters into a forbidden one or a space.
    name = _WHITE_SPACE.sub(" ", _FORBIDDEN.sub("_", unicodedata.normalize("NFC", name)))
    name = _shortened(name.lstrip(_LEADING))
    return _shortened(f"_{name}") if _RESERVED.fullmatch(name) else name or UNNAMED


def _shortened(name: str) -> str:
    return name[:MAX_CHARACTERS].encode()[:MAX_BYTES].decode(errors="ignore").rstrip(_TRAILING)


def of_file(file_name: str) -> str | None:
    """Return the clean name of a file's result: its name without folders and suffix. None if that says nothing."""
    last = _FOLDER_SEPARATOR.split(file_name)[-1]
    stem = last.rpartition(".")[0] if "." in last else last
    return cleaned(stem) if stem.strip(_SAYS_NOTHING) else None
