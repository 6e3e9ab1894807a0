"""What the pipeline itself adds to its steps; the steps have tests of their own."""

import io
import json
import struct
import tempfile

import numpy as np
import pytest
from PIL import Image

from sam3d_bento import export
from sam3d_bento.engines.preview.engine import PreviewEngine
from sam3d_bento.errors import BadRequest, NoScale
from sam3d_bento.options import Options
from sam3d_bento.photo import images
from sam3d_bento.pipeline import Exporter, MaskPreview, Pipeline, export_asset
from sam3d_bento.reconstruction import Pose, Reconstruction, Splats
from sam3d_bento.settings import Settings
from sam3d_bento.submission import STAGES, Submission
from tests.support.cutouts import small_cut_out
from tests.support.depth_scenes import HEIGHT_METRES, RADIUS_METRES, can, npy, npz
from tests.support.onnx_files import install_size_model, size_network

TETRAHEDRON = (
    np.float32([[0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]]),
    np.int32([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]),
)


class FakeEngine:
    """The interface of an engine with a GPU; gives a tetrahedron with a pose."""

    name, version, device, hands_over = "fake", "fake/1", "cuda:0", True

    def __init__(self):
        self.facts = {"attention": "none"}
        self.gpu_peak_bytes = None
        self.retries = 0
        self.splats_asked_for = []

    def load(self):
        """Nothing to load."""

    def reconstruct(self, photo, mask, options, seed, on_progress, *, splats=False, view=None):
        self.gpu_peak_bytes = 1000 + seed
        self.splats_asked_for.append(splats)
        on_progress(1.0)
        three = np.ones((1, 3), np.float32)
        gaussians = Splats(three, np.zeros((1, 3), np.uint8), three[:, 0], three, np.float32([[1, 0, 0, 0]]))
        pose = Pose(np.float32([1, 0, 0, 0]), np.float32([0.1, 0, 2]), np.float32([3, 3, 3]), "camera")
        return Reconstruction(*TETRAHEDRON, splats=gaussians if splats else None, pose=pose)


@pytest.fixture
def engine():
    return FakeEngine()


@pytest.fixture
def pipeline(engine, mask_model):
    return Pipeline(engine, mask_model, Settings())


def submitted(**options):
    pixels = np.full((40, 40, 4), (200, 60, 20, 0), np.uint8)
    pixels[10:30, 10:30, 3] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return Submission(file.getvalue(), options=Options(seed=7, texture_size=512, **options))


@pytest.fixture
def submission():
    return submitted()


def silent(stage, fraction):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("source", ["auto", "mesh", "splats", "fused"])
def test_splats_are_decoded_for_who_paints_with_them_or_keeps_them(pipeline, engine, source):
    submission, kept = submitted(colour_source=source), []
    assert pipeline.run(submission, silent, kept.append).glb == pipeline.run(submission, silent).glb
    assert engine.splats_asked_for == [True, source != "mesh"]
    (reconstruction,) = kept
    assert reconstruction.splats is not None


def test_a_run_in_two_parts_equals_a_run_in_one(pipeline, submission):
    """So that another process can export: equal bytes and an equal report, times apart."""
    whole, kept, stages = pipeline.run(submission, silent), [], []
    made = pipeline.reconstruct(submission, lambda stage, _: stages.append(stage), with_splats=True)
    assert set(stages) == {"decode", "mask", "reconstruct"}
    assert made.reconstruction.splats is not None
    parts = export_asset(made, silent, kept.append)
    assert kept == [made.reconstruction]
    assert parts.glb == whole.glb
    assert set(parts.report.pop("seconds")) == set(whole.report.pop("seconds")) == set(STAGES)
    assert parts.report == whole.report


def test_a_run_in_two_processes_equals_a_run_in_one(pipeline, submission):
    whole = pipeline.run(submission, silent)
    with tempfile.TemporaryFile() as memory:
        assert pipeline.hand_over(submission, silent, memory) is None
        parts = Exporter.load(Settings()).run(memory, silent)
    assert parts.glb == whole.glb
    for report in (parts.report, whole.report):
        del report["seconds"]
    assert parts.report == whole.report


def test_info_has_the_facts_of_the_engine(pipeline):
    assert (pipeline.info.name, pipeline.info.device) == ("fake", "cuda:0")
    assert pipeline.info.facts == {"attention": "none", "estimates_size": False}


def test_the_report_has_the_peak_of_this_run_and_the_file_what_does_not_change(pipeline, submission):
    asset = pipeline.run(submission, silent)
    assert asset.report["gpu_peak_bytes"] == 1007
    assert asset.report["pose"] == {
        "rotation": [1, 0, 0, 0],
        "translation": [0.1, 0, 2],
        "scale": [3, 3, 3],
        "frame": "camera",
    }
    length = struct.unpack_from("<I", asset.glb, 12)[0]
    extras = json.loads(asset.glb[20 : 20 + length])["asset"]["extras"]
    assert extras["pose"] == asset.report["pose"]
    figures = {"engine_facts", "seconds", "gpu_peak_bytes", "retries", "prompt_encodes", "bytes"}
    assert set(asset.report) - set(extras) == figures


@pytest.mark.parametrize("seed", range(12))
def test_no_colour_hidden_under_alpha_0_is_in_the_model(seed):
    """Not a byte of the file depends on them."""
    rng = np.random.default_rng(seed)
    picture = small_cut_out(rng, most_pixels=300)
    pipeline = Pipeline(PreviewEngine(), None, Settings())
    options = Options(seed=1, texture_size=512, target_faces=1000)
    glbs = [
        pipeline.run(Submission(one.png(), options=options), silent).glb
        for one in (picture, picture.with_other_hidden_colours(rng))
    ]
    assert glbs[0] == glbs[1]


def test_a_mask_that_was_stretched_is_said_in_the_report():
    file = io.BytesIO()
    Image.fromarray(np.pad(np.ones((20, 20), np.uint8), 10)).save(file, "PNG")
    mask = MaskPreview(None, Settings()).run(Submission(submitted().photo, mask=file.getvalue()), silent)
    assert mask.report["warnings"] == ["mask_values_stretched"]
    assert (mask.report["mask"]["source"], mask.report["mask"]["coverage"]) == ("upload", 0.25)


@pytest.fixture(scope="module")
def scene():
    return can(240, 180)


def measured(scene, depth, **options):
    """Run the scene with its depth; return the asset, and the reconstruction that is kept."""
    chosen = Options(seed=1, texture_size=512, target_faces=1000, shape="lathe", intrinsics=scene.intrinsics, **options)
    kept = []
    submission = Submission(scene.photo_file, scene.mask_file, chosen, depth)
    return Pipeline(PreviewEngine(), None, Settings()).run(submission, silent, kept.append), kept[0]


def test_npy_npz_and_png_of_one_depth_give_equal_glbs(scene):
    """Whole millimetres are the same in all three."""
    metres = scene.depth / 1000
    files = [scene.png(scene.depth), npy(metres), npz(depth=metres.astype(np.float32))]
    glbs = [measured(scene, file, scale="metric")[0].glb for file in files]
    assert all(glb == glbs[0] for glb in glbs)


def test_the_kept_reconstruction_has_the_photos_camera_and_an_export_of_it_too(scene, tmp_path):
    asset, kept = measured(scene, npy(scene.depth))
    kept.save(tmp_path / "kept.npz")
    again = Reconstruction.load(tmp_path / "kept.npz")
    assert (again.camera.fx, again.camera.width, again.camera.source) == (scene.camera[0], 240, "given")
    exported = export.to_glb(again, Options(texture_size=512, target_faces=1000), {})
    assert exported.extras["camera"] == asset.report["camera"] == again.camera.to_json()


def test_the_camera_is_in_pixels_of_the_photo_as_it_was_sent(scene, monkeypatch):
    """The engine sees a reduced photo."""
    monkeypatch.setattr(images, "WORKING_SIZE", 120)
    asset, kept = measured(scene, npy(scene.depth))
    assert asset.report["camera"]["fx"] == pytest.approx(scene.camera[0])
    assert (kept.camera.width, kept.camera.height) == (240, 180)


def test_without_depth_and_size_model_metres_are_refused_before_the_run(pipeline, engine):
    with pytest.raises(NoScale, match="weights 'size'"):
        pipeline.run(submitted(scale="metric"), silent)
    assert engine.splats_asked_for == []


@pytest.fixture
def estimating(scene, tmp_path, monkeypatch):
    """A pipeline whose size model knows the scene, in a unit of 4 m, as seen by the camera that took the photo."""
    fx, fy, cx, cy = scene.camera
    height, width = scene.depth.shape
    z = scene.depth / 4000
    rays = ((np.arange(width) + 0.5 - cx) / fx, ((np.arange(height) + 0.5 - cy) / fy)[:, None])
    points = np.stack((rays[0] * z, rays[1] * z, z), -1)
    install_size_model(tmp_path, size_network(points, 4.0, shift=0.05), monkeypatch)
    return Pipeline(PreviewEngine(), None, Settings(size_dir=tmp_path))


@pytest.mark.parametrize("camera", ["known", "assumed"])
def test_the_size_model_gives_height_and_width_without_depth(estimating, scene, camera):
    """Also where the engine assumes another camera than the photo had."""
    known = {"intrinsics": scene.intrinsics} if camera == "known" else {}
    chosen = {"seed": 1, "texture_size": 512, "target_faces": 1000, "shape": "lathe", **known}
    runs = [
        estimating.run(Submission(scene.photo_file, scene.mask_file, Options(**chosen, scale=scale)), silent)
        for scale in ("metric", "unit")
    ]
    metric, unit = (asset.report for asset in runs)
    assert estimating.info.facts["estimates_size"]
    assert (metric["scale"]["source"], metric["scale"]["relative_error"]) == ("estimated", None)
    assert metric["scale"]["metres"][:2] == pytest.approx([2 * RADIUS_METRES, HEIGHT_METRES], rel=0.05)
    assert metric["details"]["size"] == {"estimated": ["height", "width"], "guessed": ["thickness"]}
    assert metric["pose"]["scale"][0] == pytest.approx(1, abs=1e-3), "the file's units are the pose's"
    assert unit["scale"]["measured"] is None, "the model runs where it is needed"
    proportions = np.array(metric["scale"]["metres"]) / metric["scale"]["metres"][1]
    assert proportions == pytest.approx(np.array(unit["scale"]["metres"]) / unit["scale"]["metres"][1], abs=1e-3)


def test_an_estimate_without_a_point_on_the_object_is_a_refusal(scene, tmp_path, monkeypatch):
    points = np.stack((*np.mgrid[0:180, 0:240] / 200, np.ones((180, 240))), -1)
    install_size_model(tmp_path, size_network(points, 1.0, ~scene.mask), monkeypatch)
    estimating = Pipeline(PreviewEngine(), None, Settings(size_dir=tmp_path))
    chosen = Options(seed=1, texture_size=512, target_faces=1000, shape="puff", scale="metric")
    with pytest.raises(NoScale):
        estimating.run(Submission(scene.photo_file, scene.mask_file, chosen), silent)


# --- prompts


@pytest.fixture(scope="module")
def two_discs():
    """A photo of a large and a small disc, as the bytes of a file."""
    y, x = np.mgrid[:240, :320] + 0.5
    picture = np.full((240, 320, 3), 205, np.uint8)
    picture[np.hypot(x - 100, y - 120) < 70] = (170, 40, 30)
    picture[np.hypot(x - 260, y - 120) < 35] = (30, 60, 170)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def test_several_objects_are_listed_with_boxes_and_a_box_chooses_one(pipeline, mask_model, two_discs):
    found = MaskPreview(mask_model, Settings()).run(Submission(two_discs), silent).report
    assert "several_objects" in found["warnings"]
    large, small = found["mask"]["objects"]
    assert large["box"] == pytest.approx([30, 50, 170, 190], abs=6)
    assert small["box"] == pytest.approx([225, 85, 295, 155], abs=6)
    chosen = Options(box=",".join(map(str, small["box"])))
    report = pipeline.run(Submission(two_discs, options=chosen), silent).report
    assert report["mask"]["source"] == "prompt"
    assert report["mask"]["model"] == "crop"
    assert report["mask"]["candidates"][report["mask"]["candidate"]]["box"] == pytest.approx(small["box"], abs=6)
    assert "several_objects" not in report["warnings"]
    assert report["options"]["box"] == chosen.box


def test_the_mask_process_remembers_a_photo_and_the_engine_process_does_not(pipeline, mask_model, two_discs):
    boxed = Submission(two_discs, options=Options(box="20,40,180,200"))
    preview = MaskPreview(mask_model, Settings())
    answers = [preview.run(boxed, silent) for _ in range(2)]
    assert [answer.report["prompt_encodes"] for answer in answers] == [1, 0]
    assert answers[0].png == answers[1].png
    forgetful = MaskPreview(mask_model, Settings(prompt_memory_seconds=0))
    assert [forgetful.run(boxed, silent).report["prompt_encodes"] for _ in range(2)] == [1, 1]
    assert [pipeline.run(boxed, silent).report["prompt_encodes"] for _ in range(2)] == [1, 1]
    assert pipeline.info.prompt_model == "crop"


def test_a_mask_and_a_prompt_contradict_each_other(pipeline, two_discs):
    with pytest.raises(BadRequest, match="'mask' says which object"):
        pipeline.run(Submission(two_discs, two_discs, Options(points="9,9")), silent)


def test_a_prompt_goes_before_the_photos_alpha(pipeline, two_discs):
    picture = Image.open(io.BytesIO(two_discs)).convert("RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, 320, 30))  # a cut-out by the rule of the alpha channel
    file = io.BytesIO()
    picture.save(file, "PNG")
    report = pipeline.run(Submission(file.getvalue(), options=Options(box="220,80,300,160")), silent).report
    assert (report["mask"]["source"], report["mask"]["coverage"]) == ("prompt", pytest.approx(0.05, abs=0.01))
