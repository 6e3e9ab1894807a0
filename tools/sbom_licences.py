"""Name in a list of parts (CycloneDX JSON) what is inside pillow-heif's wheel, and under which licences.

    python tools/sbom_licences.py build/sbom-preview.json

cyclonedx-py reads lists of requirements, in which no licence stands. The other wheels have their package's own licence;
this one is GPL because of a library in it. The wheel says so itself, in a file beside its licence.
"""

from __future__ import annotations

import json
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGE = "pillow-heif"
BUNDLED = "LICENSES_bundled.txt"


def bundled(text: str) -> tuple[str, dict[str, str]]:
    """The licence of the wheel, and that of each library in it by name, as the wheel's own file has them."""
    (wheel,) = re.findall(r"binary wheels: (\w[\w.-]*)", text)
    libraries = dict(re.findall(r"^Name: (.*)\nLicense: (.*)$", text, re.MULTILINE))
    return wheel, {name: licence for name, licence in libraries.items() if "Windows" not in name}


def add(document: dict[str, Any], text: str) -> None:
    """Write the licences into the list's component, with the libraries as its parts. text: the wheel's own file."""
    (component,) = (part for part in document["components"] if part["name"] == PACKAGE)
    wheel, libraries = bundled(text)
    component["licenses"] = [{"license": {"name": wheel}}]
    component["components"] = [
        {"type": "library", "name": name, "licenses": [{"license": {"name": licence}}]}
        for name, licence in libraries.items()
    ]


def own_text() -> str:
    """The file of the installed wheel."""
    (path,) = (path for path in metadata.files(PACKAGE) or [] if path.name == BUNDLED)
    return path.read_text()


if __name__ == "__main__":
    for name in sys.argv[1:]:
        parts = json.loads(Path(name).read_text())
        add(parts, own_text())
        Path(name).write_text(json.dumps(parts, indent=2) + "\n")
