import logging
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from sam3d_bento.engines import ENGINES, FALLBACK, choose
from sam3d_bento.engines.sam3d import engine
from sam3d_bento.errors import NotReady
from sam3d_bento.settings import EngineName, Settings


def test_preview_is_given_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    chosen = choose(Settings(engine="preview"))
    assert (chosen.name, chosen.device) == ("preview", "cpu")
    assert chosen.version.startswith("preview-")
    assert not caplog.records


def test_auto_without_sam_3d_says_once_why_and_that_shapes_will_be_guessed(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(engine, "available", lambda directory: f"There is nothing in {directory.name}.")
    chosen = choose(Settings(engine="auto", checkpoint_dir=tmp_path / "hf"))
    assert chosen.name == "preview"
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("sam3d_bento", logging.WARNING)
    assert "preview" in record.getMessage().lower()
    assert "thickness and back are guessed" in record.getMessage()
    assert "There is nothing in hf." in record.getMessage()


def test_auto_is_sam_3d_where_it_can_be_used(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "available", lambda directory: None)
    assert choose(Settings(engine="auto")).name == "sam3d"
    assert not caplog.records


def test_sam3d_never_falls_back(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    chosen = choose(Settings(engine="sam3d", checkpoint_dir=tmp_path))
    assert chosen.name == "sam3d", "chosen unseen: its load says what is missing"
    with pytest.raises(NotReady):
        chosen.load()
    assert not caplog.records


def test_engines_are_imported_only_when_chosen() -> None:
    program = "import sys, sam3d_bento.engines; sys.exit('skimage' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_table_has_every_engine_that_the_settings_can_name() -> None:
    assert set(ENGINES) == set(get_args(EngineName))
    assert ENGINES[FALLBACK].why_not(Settings()) is None, "what `auto` ends with can be used everywhere"
