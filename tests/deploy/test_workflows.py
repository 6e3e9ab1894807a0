"""The workflows for GitHub: valid, and calling what is here."""

import re
import subprocess
import sys

import pytest
import yaml

from tests.support.places import PROJECT

FOLDER = PROJECT / ".github" / "workflows"
WORKFLOWS = sorted(path.name for path in FOLDER.iterdir())


def read(name):
    return yaml.safe_load((FOLDER / name).read_text())


def commands(name):
    return [step["run"] for job in read(name)["jobs"].values() for step in job.get("steps", []) if "run" in step]


def test_workflows_are_valid_for_github():
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    run = subprocess.run([*command, *map(str, FOLDER.iterdir())], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_the_tests_are_those_of_ci():
    targets = read("tests.yml")["jobs"]["test"]["strategy"]["matrix"]["target"]
    assert targets == re.findall(r"^make (\S+)", (PROJECT / ".ci" / "run").read_text(), re.MULTILINE)
    makefile = (PROJECT / "Makefile").read_text()
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_the_update_bots_configuration_is_what_github_takes_and_covers_what_is_pinned():
    path = PROJECT / ".github" / "dependabot.yml"
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.dependabot", str(path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
    kinds = {update["package-ecosystem"] for update in yaml.safe_load(path.read_text())["updates"]}
    assert kinds == {"pip", "github-actions", "docker"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_actions_are_taken_by_commit_with_their_version_beside(name):
    """A tag can be moved to another commit."""
    for line in re.findall(r"uses: (.*)", (FOLDER / name).read_text()):
        assert re.fullmatch(r"\./\S+|[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_job_that_may_write_runs_none_of_what_it_passes_on(name):
    """It takes what another job has built: no checkout, no package, no build."""
    workflow = read(name)
    assert set(workflow["permissions"].values()) == {"read"}
    for job in workflow["jobs"].values():
        if "write" in job.get("permissions", {}).values() and "uses" not in job:
            assert not any("checkout" in step.get("uses", "") for step in job["steps"])
            said = " ".join(step.get("run", "") for step in job["steps"])
            assert not re.search(r"\b(make|pip|uv|python3?|bentoml|buildx|docker (build|run)|npm)\b", said), said


def test_only_the_build_of_the_image_has_the_token_of_hugging_face():
    jobs = {name: str(job) for name, job in read("container.yml")["jobs"].items()}
    assert [name for name, text in jobs.items() if "HF_TOKEN" in text] == ["build"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_do_no_more_than_it_says_and_keeps_no_credentials(name):
    workflow = read(name)
    assert workflow["permissions"]["contents"] == "read"
    for job in workflow["jobs"].values():
        for step in job.get("steps", []):
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("name", WORKFLOWS)
def test_no_secret_and_nothing_a_stranger_may_write_is_put_into_a_command(name):
    """They come by the environment: in a command's text they would be in its log, or be run."""
    for command in commands(name):
        assert "secrets." not in command
        assert not re.search(r"\$\{\{\s*(github\.(event|head_ref|ref_name)|inputs)", command), command


def test_the_token_of_hugging_face_is_given_as_a_secret_of_the_builder():
    (build,) = [command for command in commands("container.yml") if "Dockerfile.base" in command]
    assert "--secret id=hf_token,env=HF_TOKEN" in build
    assert "--build-arg HF_TOKEN" not in build
