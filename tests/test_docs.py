"""What the documentation says in tables is what the code does."""

import json
import re

import pytest
from pydantic_core import PydanticUndefined

from sam3d_bento import errors
from sam3d_bento.formats import FILE_TYPES, FormatOptions
from sam3d_bento.options import PRESETS, Options, listed_values
from sam3d_bento.settings import PREFIX, Settings
from sam3d_bento.warning_codes import WarningCode
from tests.support.places import PROJECT

PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]
LINKING = [*PAGES, PROJECT / "SECURITY.md", *sorted((PROJECT / "deploy").rglob("README.md"))]
DOCUMENTATION = "\n".join(page.read_text() for page in PAGES)


def rows(first_header):
    """The table whose first column has this header, as lists of cells without backticks."""
    lines = DOCUMENTATION.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(f"| {first_header} |"))
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return
        yield [cell.strip().replace("`", "") for cell in line.strip("|").split(" | ")]


def shown(default):
    """As one may write it into the environment."""
    if default in (None, ()):
        return "none"
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:_}" if isinstance(default, int) and default > 9999 else str(default)


def test_every_setting_is_described_with_its_default():
    described = {row[0]: row for row in rows("variable")}
    assert set(described) == {PREFIX + name.upper() for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        _, default, text = described[PREFIX + name.upper()]
        assert text == field.description.replace("`", "")
        if field.default is not PydanticUndefined:
            assert default == shown(field.default), name


def test_every_option_is_described_with_its_default():
    described = {row[0]: row for row in rows("field")}
    assert set(described) == {
        "image",
        "mask",
        "depth",
        "pointmap",
        "masks",
        "labels",
        "objects",
        "response",
        *Options.model_fields,
    }
    for name, field in Options.model_fields.items():
        if field.default is not None:
            shown = f"{field.default:,}" if name == "target_faces" else str(field.default)
            assert described[name][2] == (shown.lower() if isinstance(field.default, bool) else shown)


def test_every_preset_is_described_with_its_options():
    described = {name: dict(option.split("=") for option in options.split()) for name, options, _ in rows("preset")}
    assert described == {
        name: {option: str(value) for option, value in options.items()} for name, options in PRESETS.items()
    }


def test_every_format_is_described():
    described = dict(rows("format"))
    assert set(described) == set(FILE_TYPES)
    for name, kind in FILE_TYPES.items():
        assert described[name].startswith(kind.description)


def test_every_option_of_a_format_is_described_with_its_formats_and_its_default():
    described = {row[0]: row for row in rows("field of a format")}
    assert set(described) == set(FormatOptions.model_fields)
    for name, field in FormatOptions.model_fields.items():
        _, takers, values, default = described[name]
        assert takers.split(", ") == [other for other, kind in FILE_TYPES.items() if name in kind.options]
        assert field.default is None or default == str(field.default)
        words = listed_values(field.annotation)
        assert not words or values.split(": ")[0].split(", ") == list(words)


def test_every_link_of_a_result_is_described():
    (row,) = (row for row in rows("route") if ".usdz" in row[0])
    links = re.findall(r"\.([a-z0-9.]+)", row[0])
    assert sorted(links) == sorted(kind.suffix for name, kind in FILE_TYPES.items() if name != "glb")


def test_every_warning_is_described_in_its_own_words():
    assert [tuple(row) for row in rows("warning")] == [(str(code), code.sentence) for code in WarningCode]


def leaves(kind=errors.Sam3DError):
    for child in kind.__subclasses__():
        yield from leaves(child)
        if "status" in vars(child):
            yield child


@pytest.mark.parametrize("kind", list(leaves()), ids=lambda kind: kind.code)
def test_every_error_code_is_described_with_its_status(kind):
    lines = [line for line in DOCUMENTATION.splitlines() if f"`{kind.code}`" in line]
    assert any(str(kind.status) in line for line in lines), lines


def test_the_tables_of_floods_and_memory_are_what_was_measured():
    measured = json.loads((PROJECT / "benchmarks" / "results" / "load.json").read_text())
    floods = {name: one["livez"]["milliseconds"] for name, one in measured["floods"]["floods"].items()}
    described = {name: [int(cell) for cell in cells] for name, *cells in rows("flood")}
    assert described == {name: [round(taken[key]) for key in ("p50", "p99", "max")] for name, taken in floods.items()}
    loads = measured["memory"]["loads"]
    described = {name: [int(cell) for cell in cells] for name, *cells in rows("load")}
    assert described == {
        name: [
            round(one["idle_bytes"] / 1e6),
            round(one["most_bytes"] / 1e6),
            round(one["livez"]["milliseconds"]["p99"]),
        ]
        for name, one in loads.items()
    }


def test_the_table_of_masks_is_what_was_measured():
    measured = json.loads((PROJECT / "benchmarks" / "results" / "masks.json").read_text())["models"]
    described = {name: cells for name, *cells in rows("prompt model")}
    assert set(described) <= set(measured)
    for name, cells in described.items():
        figures = []
        for kind in ("photos", "composites"):
            box = measured[name][kind]["box"]
            figures += [f"{box['mean']:.3f} ({box['worst']:.3f})"]
            figures += [f"{measured[name][kind][asked]['mean']:.3f}" for asked in ("click", "click_best")]
        assert cells == [*figures, f"{measured[name]['speed']['next_median_cpu_seconds']:.2f}"]
    assert all(one["speed"]["encodes"] == 1 for one in measured.values())


def test_every_metric_is_described():
    described = {name.strip() for row in rows("metric") for name in row[0].split(",")} - {"process_*"}
    telling = ("telemetry/counts.py", "routes/metrics.py")
    source = "".join((PROJECT / "sam3d_bento" / "serving" / name).read_text() for name in telling)
    counters = {"requests", "runs", "engine_loads", "engine_losses", "gpu_out_of_memory", "run_retries"}
    counters.add("prompt_encodes")
    names = {name.removeprefix("sam3d_") for name in re.findall(r'"(sam3d_[a-z_]+)"', source)}
    assert described == {f"sam3d_{name}_total" if name in counters else f"sam3d_{name}" for name in names}


def test_the_tests_that_security_md_names_exist():
    text = (PROJECT / "SECURITY.md").read_text()
    named = re.findall(r"`(tests/[\w/.]+)`", text)
    assert len(named) > 10
    for path in named:
        assert (PROJECT / path).exists(), path


def test_the_map_of_the_code_names_files_that_exist():
    text = (PROJECT / "docs" / "architecture.md").read_text()
    rows = [
        line for line in text.partition("## I want to")[2].partition("\n## ")[0].splitlines() if line.startswith("| ")
    ]
    assert len(rows) > 20
    for row in rows[1:]:
        for path in re.findall(r"`([\w./]+\.(?:py|js|json))`", row):
            assert (PROJECT / path).exists(), row


def anchors(page):
    """What links may name after `#`: the headings, as GitHub spells them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", LINKING, ids=lambda page: str(page.relative_to(PROJECT)))
def test_links_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", page.read_text()):
        if target.startswith("http"):
            continue
        there = page.parent / target if target else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), (target, anchor)


def test_the_readme_is_short_and_the_pages_are_listed_in_it():
    readme = (PROJECT / "README.md").read_text()
    assert len(readme.encode()) <= 8192
    for page in (PROJECT / "docs").glob("*.md"):
        assert f"(docs/{page.name})" in readme, page.name
