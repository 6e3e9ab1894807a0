import dataclasses

import numpy as np
import pytest
import trimesh

from sam3d_bento.export.physics.body import make_body
from tests.support.mugs import model, mug


@pytest.mark.parametrize("scale", [0.001, 0.1, 10.0])
def test_a_box_weighs_and_turns_as_the_textbook_says(scale):
    sides = np.float64([1, 2, 3])
    box = trimesh.creation.box(sides)
    box.apply_translation([5, -4, 2])
    body = make_body(model(box, scale), "hull", density=500)
    mass = 500 * np.prod(sides * scale)
    squares = (sides * scale) ** 2
    assert body.is_solid
    assert body.mass == pytest.approx(mass, rel=1e-3)
    assert np.allclose(body.centre, np.float64([5, -4, 2]) * scale, rtol=1e-4)
    assert np.allclose(np.diag(body.inertia), mass / 12 * (squares.sum() - squares), rtol=5e-3)
    assert np.abs(body.inertia - np.diag(np.diag(body.inertia))).max() < 1e-3 * body.inertia.max()


def test_a_hollow_mug_weighs_as_much_as_its_walls():
    body = make_body(model(mug()), "hull", density=1000)
    assert body.is_solid
    assert body.mass == pytest.approx(1000 * mug().volume, rel=1e-4)
    assert body.mass < 0.6 * make_body(model(mug(hollow=False)), "hull", density=1000).mass


def opened(whole):
    """A model without its first faces."""
    return dataclasses.replace(whole, faces=whole.faces[5:])


@pytest.mark.parametrize(
    "spoil",
    [
        opened,
        lambda whole: dataclasses.replace(whole, faces=whole.faces[:, ::-1]),
        lambda whole: dataclasses.replace(whole, faces=whole.faces[:0]),
        lambda whole: dataclasses.replace(whole, positions=whole.positions * np.float32([1, 0, 1])),
    ],
    ids=["open", "inside out", "without faces", "flat"],
)
def test_a_model_without_a_volume_of_its_own_has_the_mass_of_its_hull(spoil):
    body = make_body(spoil(model(mug(hollow=False), 0.1)), "hull", density=1000)
    assert not body.is_solid
    (around,) = body.shapes
    volume = trimesh.Trimesh(around.vertices, around.faces, process=False, validate=False).volume
    assert body.mass == pytest.approx(1000 * volume, rel=1e-3)
    assert (np.linalg.eigvalsh(body.inertia) > 0).all()
