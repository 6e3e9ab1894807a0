import io

import plyfile
import pytest
import trimesh

from sam3d_bento.errors import Cancelled, NotFound
from sam3d_bento.export.glb.read import describe
from sam3d_bento.options import Options
from sam3d_bento.postprocess import Postprocessor
from sam3d_bento.settings import Settings
from sam3d_bento.submission import ExportSubmission, ThumbnailSubmission
from tests.support import finished


def silent(stage, fraction):
    pass


@pytest.fixture
def stored(tmp_path):
    """The files of a result: its GLB, and the reconstruction that it was made from."""
    dense = finished.reconstruction()
    (tmp_path / "result.glb").write_bytes(finished.glb(dense))
    dense.save(tmp_path / "result.npz")
    return tmp_path / "result.glb", tmp_path / "result.npz"


def run(order, report=silent):
    return Postprocessor.load(Settings()).run(order, report)


def test_a_result_with_its_own_options_is_the_stored_file(stored):
    glb, _ = stored
    assert run(ExportSubmission(glb, None, "glb", {})) == glb.read_bytes()
    assert run(ExportSubmission(glb, None, "glb", {"target_faces": 1000})) == glb.read_bytes()


def test_other_options_are_exported_from_the_reconstruction_and_the_file_says_so(stored):
    glb, scan = stored
    content = run(ExportSubmission(glb, scan, "glb", {"target_faces": 3000}))
    assert 1000 < len(trimesh.load_mesh(io.BytesIO(content), file_type="glb").faces) <= 3000
    before, after = (describe(file)["asset"]["extras"] for file in (glb.read_bytes(), content))
    assert after["options"] == {**before["options"], "target_faces": 3000}
    assert (after["seed"], after["engine"]) == (before["seed"], before["engine"])


def test_an_export_is_what_a_run_with_these_options_would_have_given(stored):
    glb, scan = stored
    options = finished.OPTIONS.model_copy(update={"target_faces": 3000})
    assert run(ExportSubmission(glb, scan, "glb", {"target_faces": 3000})) == finished.glb(options=options)


@pytest.mark.parametrize(("wanted", "start"), [("obj", b"PK"), ("ply", b"ply"), ("usdz", b"PK"), ("stl", b"")])
def test_every_format_is_made_with_other_options_too(stored, wanted, start):
    content = run(ExportSubmission(*stored, wanted, {"target_faces": 2000}))
    assert content.startswith(start)
    assert content != run(ExportSubmission(*stored, wanted, {}))


def test_gaussians_come_from_the_reconstruction(stored, tmp_path):
    glb, scan = stored
    vertex = plyfile.PlyData.read(io.BytesIO(run(ExportSubmission(glb, scan, "ply-splats", {}))))["vertex"]
    assert len(vertex) == len(finished.reconstruction().splats.positions)
    finished.reconstruction(splats=False).save(tmp_path / "bare.npz")
    with pytest.raises(NotFound, match="no gaussians"):
        run(ExportSubmission(glb, tmp_path / "bare.npz", "ply-splats", {}))


def test_without_its_reconstruction_a_result_keeps_its_own_options(stored):
    glb, _ = stored
    assert run(ExportSubmission(glb, None, "stl", {}))
    for order in (
        ExportSubmission(glb, None, "stl", {"target_faces": 3000}),
        ExportSubmission(glb, None, "ply-splats", {}),
    ):
        with pytest.raises(NotFound, match="not kept"):
            run(order)


def test_a_result_of_another_version_is_exported_all_the_same(tmp_path):
    """It may have options that this version does not know, and lack some that it has."""
    dense = finished.reconstruction()
    from sam3d_bento.export import to_glb

    options = {"texture_size": 512, "target_faces": 1000, "from_the_future": 1}
    (tmp_path / "a.glb").write_bytes(to_glb(dense, finished.OPTIONS, {"options": options}).glb)
    dense.save(tmp_path / "a.npz")
    assert run(ExportSubmission(tmp_path / "a.glb", tmp_path / "a.npz", "stl", {"target_faces": 2000}))


def test_what_expires_meanwhile_is_not_found(stored, tmp_path):
    with pytest.raises(NotFound, match="expired"):
        run(ExportSubmission(tmp_path / "gone.glb", None, "stl", {}))
    with pytest.raises(NotFound, match="not kept"):
        run(ExportSubmission(stored[0], tmp_path / "gone.npz", "stl", {"target_faces": 3000}))


def test_a_thumbnail_is_drawn_of_the_glb(stored):
    assert run(ThumbnailSubmission(stored[0], None))[8:12] == b"WEBP"


def test_an_export_ends_when_nobody_wants_it(stored):
    def report(stage, fraction):
        if fraction > 0:
            raise Cancelled("The job was cancelled.")

    with pytest.raises(Cancelled):
        run(ExportSubmission(*stored, "glb", {"target_faces": 3000}), report)


COMPRESSED = "compress" in Options.model_fields


@pytest.mark.skipif(not COMPRESSED, reason="this version compresses nothing")
def test_a_compressed_result_is_drawn_and_converted_from_its_reconstruction(tmp_path):
    dense = finished.reconstruction()
    glb = finished.glb(dense, finished.OPTIONS.model_copy(update={"compress": True, "texture_format": "webp"}))
    (tmp_path / "a.glb").write_bytes(glb)
    dense.save(tmp_path / "a.npz")
    assert run(ExportSubmission(tmp_path / "a.glb", None, "glb", {})) == glb
    assert run(ExportSubmission(tmp_path / "a.glb", tmp_path / "a.npz", "obj", {}))[:2] == b"PK"
    assert run(ThumbnailSubmission(tmp_path / "a.glb", tmp_path / "a.npz"))[8:12] == b"WEBP"
