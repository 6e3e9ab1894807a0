import numpy as np
import pytest

from sam3d_bento.arrays import Indices
from sam3d_bento.export.uv import pack as packing_module
from sam3d_bento.export.uv.adjacency import build_adjacency
from sam3d_bento.export.uv.charts import group_into_charts
from sam3d_bento.export.uv.flatten import FlatCharts, flatten
from sam3d_bento.export.uv.outline import Outline, Windows, find_sampled_cells
from sam3d_bento.export.uv.pack import Packing, pack
from tests.support.export_meshes import Floats, Mesh, blob, soup

CELLS = 128


def laid(mesh: Mesh) -> tuple[FlatCharts, Indices]:
    edges = build_adjacency(*mesh)
    labels = group_into_charts(*mesh, edges)
    return flatten(*mesh, labels, edges), labels


def packed(flat: FlatCharts) -> Packing:
    packing = pack(flat, CELLS)
    assert packing is not None
    return packing


def readers(corners: Floats, labels: Indices, flat: FlatCharts) -> Indices:
    """Count for each cell of the page (CELLS, CELLS) the charts that read it."""
    chart = np.repeat(labels, 3)
    outline = Outline(chart, corners.reshape(-1, 2), np.roll(corners, -1, axis=1).reshape(-1, 2))
    count = len(flat.extents)
    windows = Windows(np.full(count, CELLS + 1), np.full(count, CELLS))
    return find_sampled_cells(outline, windows).reshape(count, CELLS, CELLS + 1)[:, :, :CELLS].sum(axis=0)


def signed_areas(corners: Floats) -> Floats:
    one, other = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return (one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]) / 2


@pytest.fixture(params=["blob", "soup"])
def case(request: pytest.FixtureRequest) -> tuple[FlatCharts, Indices]:
    return laid(blob(50) if request.param == "blob" else soup(60, 0.1))


def test_no_cell_is_read_for_two_charts(case: tuple[FlatCharts, Indices]) -> None:
    flat, labels = case
    page = packed(flat).place(flat, labels)
    assert page.min() >= 0
    assert page.max() <= CELLS
    assert readers(page, labels, flat).max() == 1


def test_charts_are_turned_but_neither_mirrored_nor_stretched(case: tuple[FlatCharts, Indices]) -> None:
    flat, labels = case
    packing = packed(flat)
    page = packing.place(flat, labels)
    assert set(packing.turns.tolist()) > {0, 1}, "no chart was placed upside down"
    np.testing.assert_allclose(signed_areas(page), packing.scale**2 * signed_areas(flat.corners), atol=1e-9)
    np.testing.assert_allclose(
        np.linalg.norm(page[:, 1] - page[:, 0], axis=1),
        packing.scale * np.linalg.norm(flat.corners[:, 1] - flat.corners[:, 0], axis=1),
    )


def test_most_of_the_page_is_read_for_some_chart() -> None:
    flat, labels = laid(blob(50))
    assert readers(packed(flat).place(flat, labels), labels, flat).mean() > 0.7


def test_a_known_scale_is_kept_when_it_fits() -> None:
    flat, _ = laid(blob(50))
    known = packed(flat).scale * 0.9
    again = pack(flat, CELLS, known)
    assert again is not None
    assert again.scale == known


def test_a_sample_of_hundreds_of_charts_predicts_their_scale() -> None:
    flat, labels = laid(soup(3 * packing_module.SAMPLE_ABOVE, 0.1))
    packing = packed(flat)
    assert readers(packing.place(flat, labels), labels, flat).max() == 1
    larger = packing.scale * 1.04
    again = pack(flat, CELLS, larger)
    assert again is not None
    assert again.scale < larger, "there was room for more"


def test_the_smallest_of_many_charts_go_on_shelves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing_module, "SHELF_PACK_AFTER", 20)
    flat, labels = laid(soup(60, 0.1))
    assert readers(packed(flat).place(flat, labels), labels, flat).max() == 1


def test_pack_returns_none_when_charts_do_not_fit() -> None:
    flat, _ = laid(soup(100, 0.1))
    assert pack(flat, 8) is None
