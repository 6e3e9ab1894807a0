import hashlib
import io
from dataclasses import replace

import pytest
from PIL import Image

from sam3d_bento.errors import NotReady
from sam3d_bento.options import Options
from sam3d_bento.photo.prompts import models
from sam3d_bento.pipeline import MaskPreview
from sam3d_bento.settings import Settings
from sam3d_bento.submission import Submission
from sam3d_bento.weights.sets import SETS
from tests.support.prompt_networks import DISC_RADIUS, write_mobile_sam


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The folder of MobileSAM's files, here small graphs, which the list of weights expects."""
    write_mobile_sam(tmp_path)
    files = []
    for file in SETS["prompts"].files:
        content = (tmp_path / file.name).read_bytes()
        files.append(replace(file, size=len(content), sha256=hashlib.sha256(content).hexdigest()))
    monkeypatch.setitem(SETS, "prompts", replace(SETS["prompts"], files=tuple(files)))
    return tmp_path


def settings(folder, model="auto"):
    return Settings(prompt_dir=folder, prompt_model=model)


def test_mobile_sam_is_used_where_its_weights_are(installed, tmp_path_factory):
    assert models.choose(settings(installed)) == "mobile_sam"
    assert models.choose(settings(installed, "mobile_sam")) == "mobile_sam"
    assert models.choose(settings(installed, "crop")) == "crop"
    assert models.choose(settings(tmp_path_factory.mktemp("empty"))) == "crop"
    assert models.load("mobile_sam", None, settings(installed)).name == "mobile_sam"
    assert models.load("crop", None, settings(installed)).name == "crop"


def test_the_mask_process_uses_mobile_sam_where_it_is(installed):
    """The graphs that stand in for its files answer a click with a disc around it."""
    file = io.BytesIO()
    Image.new("RGB", (300, 200), (90, 90, 90)).save(file, "PNG")
    preview = MaskPreview(None, settings(installed))
    submission = Submission(file.getvalue(), options=Options(points="100,120"))
    first, second = (preview.run(submission, lambda stage, fraction: None) for _ in range(2))
    assert first.report["mask"]["model"] == "mobile_sam"
    assert [answer.report["prompt_encodes"] for answer in (first, second)] == [1, 0]
    assert first.png == second.png
    candidate = first.report["mask"]["candidates"][first.report["mask"]["candidate"]]
    radius = DISC_RADIUS * 200 / 684
    assert candidate["box"] == pytest.approx([100 - radius, 120 - radius, 100 + radius, 120 + radius], abs=1)


@pytest.mark.parametrize("model", ["auto", "mobile_sam"])
def test_damaged_or_incomplete_weights_are_refused_with_the_command_that_helps(installed, model):
    name = SETS["prompts"].files[0].name
    content = (installed / name).read_bytes()
    (installed / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(NotReady, match=r"wrong content.*weights fetch --set prompts"):
        models.choose(settings(installed, model))
    (installed / name).unlink()
    with pytest.raises(NotReady, match=r"is missing.*weights fetch --set prompts"):
        models.choose(settings(installed, model))


def test_mobile_sam_that_was_asked_for_must_be_there(tmp_path):
    with pytest.raises(NotReady, match="weights fetch --set prompts"):
        models.choose(settings(tmp_path, "mobile_sam"))
    assert models.choose(settings(tmp_path, "crop")) == "crop"
