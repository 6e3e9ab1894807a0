"""Scenes through the whole pipeline: with an engine that knows the truth, and with the preview engine."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from sam3d_bento.camera import Camera
from sam3d_bento.engines.preview.engine import PreviewEngine
from sam3d_bento.errors import BadRequest, BadResult, Cancelled, EngineLost, GpuOutOfMemory, NoObject, Sam3DError
from sam3d_bento.export.glb.read import read_extras, read_glb
from sam3d_bento.export.glb.scene import find_camera, read_scene, take_object
from sam3d_bento.export.render import joined, render_seen, shape_of
from sam3d_bento.options import Options
from sam3d_bento.pipeline import Pipeline
from sam3d_bento.reconstruction import NamedReconstruction
from sam3d_bento.settings import Settings
from sam3d_bento.submission import Submission
from tests.support import scene_truth
from tests.support.scene_files import masks_of, png, submission

SMALL = Options(seed=7, texture_size=512, target_faces=2000)
CAMERA = Camera(fx=330.0, fy=345.0, cx=160.0, cy=118.0, width=310, height=236, source="given")


class KnowingEngine:
    """Returns the objects of the truth, one after the other; `faults` are raised instead, by index."""

    name, version, device, facts, gpu_peak_bytes, retries = "knowing", "knowing/1", "cpu", {}, None, 0
    shares_scale = True
    hands_over = False

    def __init__(self, truth, faults=()):
        self.made, self.faults, self.looks, self.seeds = list(truth.objects.values()), dict(faults), 0, []

    def look(self, photo, view):
        self.looks += 1
        return view

    def reconstruct(self, photo, mask, options, seed, on_progress, *, splats=False, view=None):
        index = len(self.seeds)
        self.seeds.append(seed)
        on_progress(0.5)
        if index in self.faults:
            raise self.faults[index]
        return self.made[index]


@pytest.fixture(scope="module")
def truth():
    return scene_truth.build(CAMERA)


def run(truth, engine=None, options=SMALL, on_progress=lambda *told: None, **scene):
    engine = engine or KnowingEngine(truth)
    scene = scene or {"masks": masks_of(truth)}
    return Pipeline(engine, None, Settings()).run(submission(truth, options, **scene), on_progress)


@pytest.fixture(scope="module")
def made(truth):
    told = []
    return run(truth, on_progress=lambda *what: told.append(what)), told


@pytest.mark.slow
def test_what_the_engine_knows_is_in_the_file():
    """Photo to photo: the network's poses, our nodes, our camera, our renderer."""
    truth = scene_truth.build()
    options = Options(seed=1, target_faces=20_000, compress=True, frame="ground")
    glb = run(truth, options=options).glb
    camera, to_scene = find_camera(glb)
    picture = render_seen(joined([shape_of(each.in_scene()) for each in read_scene(glb)]), to_scene, camera, lit=False)
    assert scene_truth.iou(picture[..., 3] > 127, truth.silhouette) > 0.995
    inside = binary_erosion(truth.silhouette, iterations=2)
    assert scene_truth.psnr(picture[..., :3][inside], truth.photo[inside]) > 35


def test_the_report_describes_each_object(made):
    report = made[0].report
    assert [entry["name"] for entry in report["objects"]] == ["object-1", "object-2", "object-3"]
    for entry in report["objects"]:
        assert entry["problem"] is None
        assert entry["seed"] == 7
        assert entry["mask"]["source"] == "upload"
        assert entry["faces"] <= 2000
        assert entry["silhouette_iou"] > 0.7, "one covers a part of another"
        assert min(entry["size"]) > 0.1
    assert report["camera"] == CAMERA.to_json()
    assert (report["frame"], report["name"]) == ("camera", "object")
    assert report["faces"] == sum(entry["faces"] for entry in report["objects"])
    assert report["warnings"] == ["camera_off_centre"]
    written = read_extras(made[0].glb)
    assert "times" not in written["objects"][0], "equal inputs give equal files"
    assert written["objects"] == [
        {name: value for name, value in entry.items() if name != "times"} for entry in report["objects"]
    ]


@pytest.mark.slow
def test_the_report_has_each_objects_deviation_and_normal_map(truth, made):
    for entry in made[0].report["objects"]:
        assert (entry["deviation"], entry["normal_map"]) == (None, None), "neither was asked for"
    report = run(truth, options=Options(seed=7, texture_size=512, max_deviation=0.02, normal_map=True)).report
    assert "normal_map" not in report
    for entry in report["objects"]:
        assert 0 < entry["deviation"] <= 0.02
        assert (entry["normal_map"]["reason"] is None) == entry["normal_map"]["included"]


def test_progress_tells_the_state_of_each_object(made):
    states = [what[2] for what in made[1] if len(what) > 2]
    assert [state.state for state in states[0]] == ["running", "waiting", "waiting"]
    assert [state.state for state in states[-1]] == ["done"] * 3
    shares = [(stage, share) for stage, share, *_ in made[1] if stage in ("reconstruct", "export")]
    order = [("reconstruct", "export").index(stage) + share for stage, share in shares]
    assert order == sorted(order), "it never goes back"


def test_the_photo_is_looked_at_once_and_an_item_may_have_its_own_seed(truth):
    engine = KnowingEngine(truth)
    objects = '[{"mask": 0}, {"mask": 1, "seed": 99, "name": "lamp"}, {"mask": 2}]'
    report = run(truth, engine, masks=masks_of(truth), objects=objects).report
    assert engine.looks == 1
    assert engine.seeds == [7, 99, 7]
    assert [entry["name"] for entry in report["objects"]] == ["object-1", "lamp", "object-3"]


def test_an_object_of_a_scene_is_the_single_run_byte_for_byte(truth):
    """With the preview engine, by the same mask, seed, name and camera."""
    options = SMALL.model_copy(update={"intrinsics": "330,345,160,118", "texture_format": "jpeg"})
    pipeline = Pipeline(PreviewEngine(), None, Settings())
    scene = pipeline.run(submission(truth, options, masks=masks_of(truth)), lambda *told: None).glb
    for index, mask in enumerate(masks_of(truth)):
        own = options.model_copy(update={"name": f"object-{index + 1}"})
        single = pipeline.run(Submission(png(truth.photo), mask, own), lambda *told: None)
        assert take_object(scene, f"object-{index + 1}") == single.glb


def test_equal_input_gives_equal_bytes(truth, made):
    assert run(truth).glb == made[0].glb


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (NoObject("Nothing here."), "no_object"),
        (BadResult("Empty."), "bad_result"),
        (GpuOutOfMemory("Full."), "gpu_out_of_memory"),
        (MemoryError(), "internal"),
        (ValueError("a fault of ours: /etc/passwd"), "internal"),
    ],
)
def test_one_failing_object_does_not_lose_the_others(truth, fault, code):
    report = run(truth, KnowingEngine(truth, {1: fault})).report
    first, second, third = report["objects"]
    assert first["problem"] is third["problem"] is None
    assert second["problem"]["code"] == code
    assert "passwd" not in second["problem"]["detail"]
    assert (second["faces"], second["pose"]) == (None, None)
    assert "objects_failed" in report["warnings"]


def test_an_export_that_fails_is_the_problem_of_its_object(truth):
    engine = KnowingEngine(truth)
    engine.made[2] = replace(engine.made[2], vertices=np.full_like(engine.made[2].vertices, np.nan))
    report = run(truth, engine).report
    assert [entry["problem"] and entry["problem"]["code"] for entry in report["objects"]] == [None, None, "bad_result"]


def test_without_any_object_the_first_error_is_raised(truth):
    faults = {0: NoObject("First."), 1: BadResult("Second."), 2: BadResult("Third.")}
    with pytest.raises(NoObject, match="First"):
        run(truth, KnowingEngine(truth, faults))


def test_a_lost_engine_ends_the_run(truth):
    with pytest.raises(EngineLost):
        run(truth, KnowingEngine(truth, {1: EngineLost("Gone.")}))


@pytest.mark.parametrize("error", [Cancelled("Stop."), EOFError("the service is gone")])
def test_a_run_that_is_stopped_leaves_no_thread(truth, error):
    def stop(stage, share, objects=()):
        if objects and objects[1].state == "running":
            raise error

    with pytest.raises(type(error)):
        run(truth, on_progress=stop)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("export")]


def test_an_object_without_a_pose_is_placed_where_its_mask_is_and_that_is_said(truth):
    engine = KnowingEngine(truth)
    engine.made[1] = replace(engine.made[1], pose=None)
    report = run(truth, engine).report
    assert "placement_guessed" in report["warnings"]
    assert report["objects"][1]["silhouette_iou"] > 0.5
    assert report["objects"][1]["pose"]["translation"] != [0, 0, 0]


def test_reconstructions_are_handed_over_with_their_names(truth, tmp_path):
    kept = []
    Pipeline(KnowingEngine(truth), None, Settings()).run(
        submission(truth, SMALL, masks=masks_of(truth)), lambda *told: None, kept.append
    )
    assert [each.name for each in kept] == ["object-1", "object-2", "object-3"]
    for each in kept:
        each.save(tmp_path / "all.npz")
    found = NamedReconstruction.load(tmp_path / "all.npz", "object-2")
    assert np.array_equal(found.vertices, kept[1].reconstruction.vertices)
    with pytest.raises(BadRequest, match="no reconstruction of this object"):
        NamedReconstruction.load(tmp_path / "all.npz", "object-4")


@pytest.mark.parametrize(
    ("options", "scene", "mask", "message"),
    [
        ({"height": 1.0}, {"objects": "all"}, None, "'height' is that of a single object"),
        ({"longest_side": 1.0}, {"objects": "all"}, None, "'longest_side' is"),
        ({"origin": "bottom"}, {"objects": "all"}, None, "'origin' is"),
        ({}, {"objects": "all"}, b"mask", "'mask' is that of a single object"),
        ({"frame": "ground"}, None, None, "'frame' is that of a scene"),
        ({"scale": "metric"}, {"objects": "all"}, None, "not known"),
    ],
)
def test_what_does_not_go_with_a_scene_is_refused(truth, options, scene, mask, message):
    given = submission(truth, Options(**options), **(scene or {}))
    given = replace(given, mask=mask, scene=given.scene if scene else None)
    with pytest.raises(Sam3DError, match=message):
        Pipeline(KnowingEngine(truth), None, Settings()).run(given, lambda *told: None)


def test_parts_are_in_their_own_frame(made):
    part = read_glb(take_object(made[0].glb, "object-1"))
    assert np.abs(part.positions).max() < 0.51
    assert part.name == "object-1"


def test_a_refined_pose_is_used_where_it_fits_better_and_the_report_says_so(truth):
    """The network's poses are disturbed; the depth of the photo is the truth."""
    points = scene_truth.points_of(truth)
    engine = KnowingEngine(truth)
    engine.look = lambda photo, view: replace(view, points=points, in_metres=False)
    for index in (0, 1):
        pose = engine.made[index].pose
        moved = replace(pose, translation=pose.translation * np.float32(1.02) + np.float32([0.02, 0.02, 0.05]))
        engine.made[index] = replace(engine.made[index], pose=moved)
    options = SMALL.model_copy(update={"pose": "refined"})
    report = run(truth, engine, options).report
    first, second, third = report["objects"]
    for each in (first, second):
        assert each["pose_source"] == "refined"
        assert each["silhouette_iou"] > each["network_iou"]
    expected = truth.objects["lamp"].pose.translation * [-1, 1, -1]
    assert np.abs(second["pose"]["translation"] - expected).max() < 0.03
    assert third["pose_source"] in ("network", "refined")
    unrefined = run(truth, KnowingEngine(truth)).report["objects"][0]
    assert (unrefined["pose_source"], unrefined["network_iou"]) == ("network", None)


def test_a_single_run_has_no_pose_to_refine(truth):
    given = submission(truth, Options(pose="refined"), objects="all")
    with pytest.raises(BadRequest, match="'pose' is that of a scene"):
        Pipeline(KnowingEngine(truth), None, Settings()).run(replace(given, scene=None), lambda *told: None)
