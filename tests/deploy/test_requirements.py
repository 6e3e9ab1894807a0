"""The lists of packages: each file that is installed has its SHA-256, and comes from one index."""

import re

import pillow_heif
import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from pip_requirements_parser import RequirementsFile

from tests.support.places import PROJECT

FOLDER = PROJECT / "requirements"
# The names to leave out; and torch's builds for CUDA 12.1, whose hashes cannot be had here (SECURITY.md says so).
WITHOUT_HASHES = {"runpod-excludes.txt", "torch-cu121.txt"}
LISTS = sorted(path.name for path in FOLDER.glob("*.txt") if path.name not in WITHOUT_HASHES)
INSTALLING = ["Makefile", "Dockerfile.base", "deploy/runpod/Dockerfile", "deploy/image/bento.dockerfile.j2"]


def entries(text):
    """The requirements of a list, each with its hashes, as one line."""
    joined = re.sub(r"\\\n\s*", " ", text)
    return [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def installs(name):
    """The arguments of each run of an installer in a file, with what make's variables stand for."""
    text = re.sub(r"\\\n\s*", " ", (PROJECT / name).read_text())
    text = text.replace("$(LOCKED)", "--require-hashes --only-binary :all:")
    found = re.findall(r"(?:pip install|pip wheel|\$\(call INSTALL(?:_IN)?,)([^;&|\n]*)", text)
    return [arguments.split("# ")[0] for arguments in found if not re.search(r"\$\([12]\)", arguments)]


@pytest.mark.parametrize("name", LISTS)
def test_every_pin_has_the_hash_of_its_files_and_no_list_names_an_index(name):
    found = entries((FOLDER / name).read_text())
    assert found
    for entry in found:
        requirement, *hashes = entry.split(" --hash=")
        assert hashes, entry
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}\s*", each) for each in hashes), entry
        (pin,) = Requirement(requirement).specifier
        assert pin.operator == "==", entry
    assert not re.search(r"^--|://", (FOLDER / name).read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", INSTALLING)
def test_packages_installed_from_a_list_are_checked_against_its_hashes(name):
    """One name without a hash beside the list, and pip refuses the whole run."""
    found = installs(name)
    assert found
    for arguments in found:
        lists = re.findall(r"-r (\S+)", arguments)
        if not lists or lists == ["/build/torch-cu121.txt"]:
            continue
        assert "--require-hashes" in arguments, arguments
        rest = re.sub(r"-r \S+|--only-binary :all:|--\S+|-q|\$\([A-Z]+\),?|[)\\]", " ", arguments)
        assert not rest.split(), arguments


@pytest.mark.parametrize("name", INSTALLING)
def test_what_is_installed_without_a_list_is_this_project_what_was_built_here_or_says_why(name):
    allowed = (
        r"--no-deps --no-build-isolation -e \.",
        r"/wheels/\*\.whl",
        r"--no-build-isolation /code/",
        r"torch==2\.13\.0",
        r"triton==3\.6\.0",  # as torch: of this version for tests, whose interpreter runs the kernels
    )
    allowed += (r"\$\(UPSTREAM\)/wheels/\*\.whl",)
    for arguments in installs(name):
        if "-r " not in arguments:
            assert any(re.search(pattern, arguments) for pattern in allowed), arguments


def test_no_run_takes_packages_from_two_indexes():
    for name in INSTALLING:
        assert "--extra-index-url" not in (PROJECT / name).read_text()


def test_what_bentoml_makes_of_the_list_is_a_list_with_hashes_again():
    """It adds its own name once more at the end, without a hash; the template leaves that line out."""
    template = (PROJECT / "deploy" / "image" / "bento.dockerfile.j2").read_text()
    (left_out,) = re.findall(r"grep -vx '(\S+)'", template)
    listed = RequirementsFile.from_file(str(FOLDER / "core.txt")).dumps(preserve_one_empty_line=True)
    added = (listed + "bentoml==1.4.40\n").splitlines()
    kept = [line for line in added if not re.fullmatch(left_out, line)]
    assert len(kept) == len(added) - 1
    pinned = entries("\n".join(kept))
    assert len(pinned) == len(entries((FOLDER / "core.txt").read_text()))
    assert all("--hash=sha256:" in entry for entry in pinned)


def versions(name):
    """The versions of each package in a list; of numpy, say, one for each Python."""
    found = {}
    for entry in entries((FOLDER / name).read_text()):
        requirement = Requirement(entry.split(" --hash=")[0])
        found.setdefault(requirement.name, set()).add(str(requirement.specifier))
    return found


@pytest.mark.parametrize(
    ("one", "other"), [("core", "dev"), ("core", "upstream"), ("dev", "runpod"), ("core", "image-weights")]
)
def test_lists_that_are_installed_into_one_environment_agree(one, other):
    ours, theirs = versions(f"{one}.txt"), versions(f"{other}.txt")
    both = ours.keys() & theirs.keys()
    assert both
    assert {name: ours[name] for name in both} == {name: theirs[name] for name in both}


def test_the_image_below_is_named_by_its_digest():
    (image,) = re.findall(r"^ARG BASE_IMAGE=(.*)", (PROJECT / "Dockerfile.base").read_text(), re.MULTILINE)
    assert re.fullmatch(r"nvidia/cuda:[\w.-]+@sha256:[0-9a-f]{64}", image)


# Older ones have known faults in the reading of files, which here come from strangers.
OLDEST_LIBHEIF = Version("1.23.4")


def test_heic_is_read_by_default_with_a_libheif_without_known_faults():
    pinned = re.search(r"^pillow-heif==(\S+)", (FOLDER / "core.txt").read_text(), re.MULTILINE)[1]
    assert pillow_heif.__version__ == pinned, "what is tested here is what is installed elsewhere"
    assert Version(pillow_heif.libheif_version()) >= OLDEST_LIBHEIF
