import logging
import subprocess
import sys

import pytest

from sam3d_bento.engines import choose
from sam3d_bento.errors import NotReady
from sam3d_bento.settings import Settings


def test_preview_is_given_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    engine = choose(Settings(engine="preview"))
    assert (engine.name, engine.device) == ("preview", "cpu")
    assert engine.version.startswith("preview-")
    assert not caplog.records


def test_auto_says_once_that_shapes_will_be_guessed(caplog: pytest.LogCaptureFixture) -> None:
    assert choose(Settings(engine="auto")).name == "preview"
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("sam3d_bento", logging.WARNING)
    assert "preview" in record.message.lower()
    assert "thickness and back are guessed" in record.message


def test_sam3d_never_falls_back() -> None:
    with pytest.raises(NotReady, match="only the preview engine"):
        choose(Settings(engine="sam3d"))


def test_engines_are_imported_only_when_chosen() -> None:
    program = "import sys, sam3d_bento.engines; sys.exit('skimage' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
