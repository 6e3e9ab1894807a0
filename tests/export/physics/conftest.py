import io
import zipfile

import pytest

from sam3d_bento.export.physics import robot_files
from sam3d_bento.formats import FormatOptions
from tests.support.mugs import SCALE, model, mug


@pytest.fixture(scope="session")
def in_parts(tmp_path_factory):
    """The URDF of a hollow mug in convex parts, 2500 kilograms per cubic metre, beside its other files."""
    options = FormatOptions(collision="parts", density=2500)
    content = robot_files.convert(model(mug(), SCALE), "urdf", options, sized=True)
    folder = tmp_path_factory.mktemp("mug")
    zipfile.ZipFile(io.BytesIO(content)).extractall(folder)
    return folder / "mug.urdf"
