import numpy as np

from sam3d_bento.export.mesh.sheets import front_sides
from tests.support.export_meshes import blob, joined, soup


def test_of_a_sheet_with_two_sides_one_is_returned() -> None:
    _, faces = soup(500, 0.1)
    both = np.concatenate([faces, faces[::-1, ::-1]])
    found = front_sides(both)
    assert found is not None
    np.testing.assert_array_equal(found, faces)


def test_other_meshes_have_no_front() -> None:
    assert front_sides(blob(40)[1]) is None
    vertices, faces = soup(500, 0.1)
    sheet = (vertices, np.concatenate([faces, faces[:, ::-1]]))
    assert front_sides(joined(sheet, blob(40))[1]) is None, "a part alone is a sheet"
