import sys
from pathlib import Path

from sam3d_bento.cli import launch


def test_bentoml_is_started_as_this_python_has_it_and_reports_nothing_home():
    assert launch.command(Path("/place"), ["--port", "1"])[:3] == [sys.executable, "-m", "bentoml"]
    assert launch.command(Path("/place"), ["--port", "1"])[-2:] == ["--port", "1"]
    assert launch.environment()["BENTOML_DO_NOT_TRACK"] == "True"
