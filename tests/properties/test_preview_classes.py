"""No object of another kind is taken for a lathe or a box, and the vessels and boxes of the benchmark are found."""

import preview
import preview_cases
import preview_kinds
import pytest

from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import cut_out
from sam3d_bento.engines.preview.shapes import fit_shape
from sam3d_bento.progress import silent

pytestmark = pytest.mark.properties

CASES = {case.name: case for case in [*preview_cases.named(), *preview_kinds.tuned()]}
# A tray is a flat box, a chest one with a lid; these three vessels have a rim that shows from most sides.
EXPECTED = {"tray": "box", "chest": "box", "kettle": "lathe with a handle", "lantern": "lathe with a handle"}
BY_KIND = {"lathe": "lathe", "handle": "lathe", "box": "box"}


def classify(name: str, view: preview.View) -> str:
    """Return the class that is chosen for a photo of an object."""
    shot = preview.photograph(CASES[name], view)
    canvas = cut_out(shot.photo, shot.mask)
    return str(fit_shape(canvas, Camera.from_photo(shot.photo), "auto", silent, calibrated=False)[1]["shape"])


@pytest.mark.parametrize("view", preview.VIEWS[:2], ids=["from 20 degrees", "from 8 degrees"])
@pytest.mark.parametrize("name", CASES)
def test_the_class_is_that_of_the_object(name: str, view: preview.View) -> None:
    kind = CASES[name].kind
    if kind == "handle or spout" and name not in EXPECTED:
        pytest.skip("A teapot is found only from some sides.")
    found = classify(name, view)
    expected = EXPECTED.get(name, BY_KIND.get(kind, "puff"))
    assert found == expected or (kind == "handle" and found.startswith("lathe"))
