import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import sam3d_bento
from sam3d_bento.cli import launch
from sam3d_bento.cli.main import main
from sam3d_bento.settings import ADDRESS_VARIABLE


def run(*arguments):
    return CliRunner().invoke(main, arguments)


def test_every_command_says_what_it_is_for():
    named = {"generate", "export", "mask", "weights", "memory-plan", "doctor", "validate", "serve"}
    assert set(main.commands) == named
    for name in named:
        said = run(name, "--help")
        assert said.exit_code == 0
        assert main.commands[name].get_short_help_str(200), name


def test_the_version_is_the_packages():
    assert sam3d_bento.__version__ in run("--version").output


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is here")
def test_a_plan_without_torch_is_a_sentence():
    said = run("memory-plan")
    assert said.exit_code == 1
    assert "PyTorch is not installed" in said.output


@pytest.fixture
def became(monkeypatch):
    """What `serve` would have become: (program, command, environment) of each call."""
    calls = []
    monkeypatch.setattr(os, "execve", lambda *arguments: calls.append(arguments))  # it would replace this process
    return calls


def test_serve_becomes_the_service_and_hands_its_arguments_on(became):
    run("serve", "--port", "8123", "--timeout-keep-alive", "5")
    ((program, command, environment),) = became
    assert program == sys.executable
    listening = ["--host", "127.0.0.1", "--port", "8123"]
    assert command == launch.command(Path.cwd(), [*listening, "--timeout-keep-alive", "5"])
    assert environment["BENTOML_DO_NOT_TRACK"] == "True"
    assert environment[ADDRESS_VARIABLE] == "http://127.0.0.1:8123"


def test_serve_is_open_to_others_only_when_told_and_then_warns(became, monkeypatch, tmp_path):
    assert run("serve").stderr == ""
    assert "WARNING" in run("serve", "--host", "0.0.0.0").stderr
    monkeypatch.setenv("BENTOML_HOST", "0.0.0.0")
    assert "WARNING" in run("serve").stderr
    monkeypatch.setenv("SAM3D_API_KEYS_FILE", str(tmp_path / "keys"))
    assert run("serve").stderr == ""
    hosts = [command[command.index("--host") + 1] for _, command, _ in became]
    assert hosts == ["127.0.0.1", "0.0.0.0", "0.0.0.0", "0.0.0.0"]


def test_serve_with_an_unusable_setting_is_a_sentence(became, monkeypatch):
    monkeypatch.setenv("SAM3D_QUEUE_LIMIT", "many")
    said = run("serve")
    assert said.exit_code == 1
    assert "SAM3D_QUEUE_LIMIT" in said.stderr
    assert became == []


def test_heavy_modules_are_imported_only_by_commands_that_compute():
    """`serve` replaces itself at once, and `--help` is read by a person: neither waits for numpy or an HTTP client."""
    heavy = "numpy scipy skimage trimesh PIL rembg onnxruntime httpx bentoml starlette"
    code = f"import sys, sam3d_bento.cli; print(*set({heavy!r}.split()) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
