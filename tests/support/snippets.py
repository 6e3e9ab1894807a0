"""The code blocks of the documentation, as a reader sees them."""

import re
import textwrap
from dataclasses import dataclass

from tests.support.places import PROJECT

PAGES = (
    *("README.md", "CONTRIBUTING.md", "SECURITY.md"),
    *sorted(str(page.relative_to(PROJECT)) for page in (PROJECT / "docs").glob("*.md")),
    *sorted(str(page.relative_to(PROJECT)) for page in (PROJECT / "deploy").rglob("README.md")),
)
SHELL, PYTHON = "console", "python"


@dataclass(frozen=True)
class Snippet:
    """A code block. page: its file; heading: the one above it; number: among those below that heading, from 1."""

    page: str
    heading: str
    number: int
    language: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.page} / {self.heading} / {self.number}"

    @property
    def commands(self) -> str:
        """The lines of a shell's block that a reader types, without what the commands answer."""
        lines, going_on = [], False
        for line in self.text.splitlines():
            if line.startswith("$ ") or going_on:
                lines.append(line.removeprefix("$ "))
                going_on = line.endswith("\\")
        return "\n".join(lines)


def snippets() -> dict[str, Snippet]:
    """Every block of every page that names a language, by its name."""
    found = {}
    for page in PAGES:
        heading, number = "", 0
        text = (PROJECT / page).read_text()
        for match in re.finditer(
            r"^#+ (?P<heading>[^\n]*)$|^ *```(?P<language>\w+)\n(?P<text>.*?)^ *```$", text, re.M | re.S
        ):
            if match["heading"] is not None:
                heading, number = match["heading"], 0
                continue
            number += 1
            snippet = Snippet(page, heading, number, match["language"], textwrap.dedent(match["text"]))
            found[snippet.name] = snippet
    return found
