"""Where the preview engine places the objects of a scene whose truth is known: three on one plane, from 8 to 35°."""

import numpy as np
import pytest

from sam3d_bento.engines.preview.engine import PreviewEngine
from sam3d_bento.options import Options
from sam3d_bento.pipeline import Pipeline
from sam3d_bento.settings import Settings
from sam3d_bento.submission import SceneInput, Submission
from tests.support.plane_scenes import Standing, photograph
from tests.support.scene_files import png

pytestmark = pytest.mark.properties

# Distance along the floor at which three objects fill the photo, by the pitch.
DISTANCES = {8: 5.0, 20: 2.6, 35: 1.4}


def reconstructed(standing, pitch):
    photo, masks, depths = photograph(standing, pitch)
    options = Options(seed=1, texture_size=512, target_faces=3000)
    given = Submission(png(photo), options=options, scene=SceneInput(tuple(map(png, masks))))
    report = Pipeline(PreviewEngine(), None, Settings()).run(given, lambda *told: None).report
    return report, np.array([-each["pose"]["translation"][2] for each in report["objects"]]), depths


@pytest.mark.parametrize("pitch", DISTANCES)
@pytest.mark.parametrize("names", [("vase", "crate", "bottle"), ("can", "carton", "jug"), ("bowl", "book", "goblet")])
def test_objects_stand_where_they_stood(names, pitch):
    away = DISTANCES[pitch]
    size = 0.5 * away / 2.6
    standing = [
        Standing(names[0], -1.1 * size, away, size),
        Standing(names[1], 0.1 * size, 1.25 * away, size, yaw=30),
        Standing(names[2], size, 0.9 * away, size),
    ]
    report, found, depths = reconstructed(standing, pitch)
    assert min(each["silhouette_iou"] for each in report["objects"]) > 0.95
    assert np.array_equal(np.argsort(found), np.argsort(depths)), "what was before what still is"
    assert np.abs(found / depths - 1).max() < 0.15
    assert "placement_guessed" in report["warnings"]


def test_an_object_whose_foot_is_covered_stands_where_the_one_before_it_does():
    standing = [Standing("carton", 0.05, 2.7, 0.7), Standing("crate", 0, 2.3, 0.4)]
    _, found, depths = reconstructed(standing, 20)
    assert found[1] / depths[1] == pytest.approx(1, abs=0.15)
    assert found[0] / depths[0] == pytest.approx(1, abs=0.3)
