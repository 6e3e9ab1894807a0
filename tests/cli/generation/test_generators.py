import io

import numpy as np
import pytest
import trimesh
from PIL import Image, ImageDraw

from sam3d_bento.cli.generation.generators import LocalGenerator, RemoteGenerator
from sam3d_bento.errors import NoObject, NotFound, NotReady
from sam3d_bento.options import Options
from sam3d_bento.reconstruction import Reconstruction
from sam3d_bento.settings import Settings
from sam3d_bento.submission import Submission

SMALL = Options(seed=3, target_faces=1000, texture_size=512, shape="puff")


def cut_out(colour=(200, 60, 20, 255)):
    image = Image.new("RGBA", (80, 80))
    ImageDraw.Draw(image).ellipse((15, 15, 65, 65), fill=colour)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def unheard(moment):
    pass


GLB = ("glb",)


@pytest.fixture
def local(mask_model):
    """A factory of generators on this machine. (mask_model: its file is there.)"""

    def local(save_reconstruction=None):
        return LocalGenerator(Settings.from_environ({"SAM3D_ENGINE": "preview"}), save_reconstruction)

    return local


@pytest.mark.slow
@pytest.mark.parametrize("compress", [False, True, "quantize"])
def test_a_model_comes_with_its_picture_packed_or_not(local, compress):
    made = local().generate(
        Submission(cut_out(), options=SMALL.model_copy(update={"compress": compress})), GLB, unheard
    )
    assert made.files["glb"].startswith(b"glTF")
    assert made.report["options"]["compress"] == compress
    pixels = np.asarray(Image.open(io.BytesIO(made.picture)).convert("RGBA"))
    assert pixels.shape == (512, 512, 4)
    red, green, blue = pixels[pixels[..., 3] == 255][:, :3].mean(axis=0)
    assert red > green > blue, "in the photo's colour"


@pytest.mark.slow
def test_the_dense_mesh_is_kept_where_it_is_wanted_and_is_that_of_the_last_photo(local, tmp_path):
    scan = tmp_path / "scan.npz"
    generator = local(scan)
    for colour in ((200, 60, 20, 255), (20, 60, 200, 255)):
        made = generator.generate(Submission(cut_out(colour), options=SMALL), GLB, unheard)
    dense = Reconstruction.load(scan)
    assert len(dense.faces) > made.report["faces"]
    red, _, blue = dense.colours.mean(axis=0)
    assert blue > red


@pytest.mark.slow
def test_a_model_comes_in_every_format_that_is_asked_for_and_its_progress_is_that_of_the_whole_job(local):
    moments = []
    generator = local()
    made = generator.generate(Submission(cut_out(), options=SMALL), ("stl", "obj", "glb"), moments.append)
    assert list(made.files) == ["stl", "obj", "glb"]
    assert made.files["obj"].startswith(b"PK")
    assert len(trimesh.load_mesh(io.BytesIO(made.files["stl"]), file_type="stl").faces) == made.report["faces"]
    fractions = [moment.fraction for moment in moments]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0, 1)
    assert {moment.seconds_left for moment in moments} == {None}, "no run has ended yet"
    moments.clear()
    generator.generate(Submission(cut_out(), options=SMALL), GLB, moments.append)
    assert moments[0].seconds_left > moments[-1].seconds_left == 0


@pytest.mark.slow
def test_gaussians_are_refused_where_the_engine_gives_none(local):
    with pytest.raises(NotFound, match="no gaussians"):
        local().generate(Submission(cut_out(), options=SMALL), ("ply-splats",), unheard)


@pytest.mark.slow
def test_failing_photo_is_reported_and_the_next_one_is_made(local):
    generator = local()
    blank = io.BytesIO()
    Image.new("RGB", (64, 64), "white").save(blank, "PNG")
    with pytest.raises(NoObject):
        generator.generate(Submission(blank.getvalue(), options=SMALL), GLB, unheard)
    assert generator.generate(Submission(cut_out(), options=SMALL), GLB, unheard).files


def test_missing_requirement_is_reported_before_the_first_photo(tmp_path):
    with pytest.raises(NotReady, match="weights fetch"):
        LocalGenerator(Settings.from_environ({"SAM3D_ENGINE": "preview", "SAM3D_MASK_DIR": str(tmp_path)}))


def test_a_service_is_not_asked_before_there_is_a_photo():
    RemoteGenerator(
        "http://127.0.0.1:1"
    )  # nobody is there; what is said then, test_remote.py and the command's tests ask
