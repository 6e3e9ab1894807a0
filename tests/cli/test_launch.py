import sys
from pathlib import Path

from sam3d_bento.cli import launch
from tests.support.places import PROJECT


def test_the_service_is_found_here_or_beside_the_package(monkeypatch, tmp_path):
    beside = PROJECT
    monkeypatch.chdir(tmp_path)
    assert launch.folder() == beside
    (tmp_path / "service.py").touch()
    assert launch.folder() == tmp_path


def test_bentoml_is_started_as_this_python_has_it_and_reports_nothing_home():
    assert launch.command(Path("/place"), ["--port", "1"])[:3] == [sys.executable, "-m", "bentoml"]
    assert launch.command(Path("/place"), ["--port", "1"])[-2:] == ["--port", "1"]
    assert launch.environment()["BENTOML_DO_NOT_TRACK"] == "True"
