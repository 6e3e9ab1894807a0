import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import skimage.data

from sam3d_bento import weights
from sam3d_bento.errors import NotReady
from sam3d_bento.photo.mask_model import MODELS, MaskModel
from sam3d_bento.settings import Settings


@pytest.mark.slow
def test_the_object_is_surer_than_what_is_around_it_and_equal_photos_give_equal_answers(mask_model):
    cup = skimage.data.coffee()
    soft = mask_model.soft_mask(cup)
    assert soft.shape == (400, 600)
    assert soft.dtype == np.uint8
    assert (soft.min(), soft.max()) == (0, 255), "stretched"
    assert soft[140, 280] > 230, "the coffee"
    assert soft[[20, 20, 380, 380], [20, 580, 20, 580]].max() < 20, "the table"
    assert np.array_equal(soft, mask_model.soft_mask(cup))


def test_an_unknown_model_is_refused_with_those_that_work(tmp_path):
    for name in ("u2net-typo", "bria-rmbg", "withoutbg"):
        with pytest.raises(NotReady, match=rf"{name}.*u2netp"):
            MaskModel(name, tmp_path)


def test_every_model_that_is_offered_is_known_to_rembg_and_runs_here(mask_model):
    from rembg import sessions  # not above: imported before a MaskModel was made, it compiles for 90 s

    assert set(MODELS) <= set(sessions.sessions_names_downloadable)


def test_a_missing_model_is_refused_with_the_command_that_helps(tmp_path):
    with pytest.raises(NotReady, match="sam3d-bento weights fetch --set mask"):
        MaskModel("u2netp", tmp_path)
    with pytest.raises(NotReady, match=r"isnet-general-use\.onnx is missing.*fetch --set mask-isnet-general-use"):
        MaskModel("isnet-general-use", tmp_path)
    with pytest.raises(NotReady, match=r"silueta\.onnx.*SAM3D_MASK_DIR"):
        MaskModel("silueta", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_model_is_refused(mask_model, tmp_path):
    good = (Settings.from_environ().mask_dir / "u2netp.onnx").read_bytes()
    (tmp_path / "u2netp.onnx").write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(NotReady, match="wrong content"):
        MaskModel("u2netp", tmp_path)
    (tmp_path / "silueta.onnx").write_bytes(b"no network at all")
    with pytest.raises(NotReady, match="damaged"):
        MaskModel("silueta", tmp_path)


@pytest.mark.slow
def test_only_the_checked_file_is_loaded(mask_model, tmp_path, monkeypatch):
    """rembg would prefer a file in `models/`, and look where U2NET_HOME points."""
    shutil.copy(Settings.from_environ().mask_dir / "u2netp.onnx", tmp_path)
    (tmp_path / "models" / "u2netp").mkdir(parents=True)
    (tmp_path / "models" / "u2netp" / "u2netp.onnx").write_bytes(b"another file")
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    rgb = skimage.data.coffee()
    assert np.array_equal(MaskModel("u2netp", tmp_path).soft_mask(rgb), mask_model.soft_mask(rgb))


@pytest.mark.slow
def test_loading_compiles_nothing_and_imports_no_more_than_it_needs(mask_model, tmp_path):
    """With an empty numba cache, as in every fresh container, importing rembg the plain way takes 90 s."""
    code = """if True:
        import sys
        from sam3d_bento.photo.mask_model import LEFT_OUT, MaskModel
        from sam3d_bento.settings import Settings
        MaskModel("u2netp", Settings.from_environ().mask_dir)
        left_out = {module.partition(".")[0] for module in LEFT_OUT}
        loaded = {module.partition(".")[0] for module in sys.modules}
        assert not left_out & loaded, "others may import the real ones"
        assert not {"numba", "paramiko"} & loaded, "which these would bring along"
    """
    environ = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "numba")}
    subprocess.run([sys.executable, "-c", code], env=environ, check=True)
    assert list(tmp_path.rglob("*.nbi")) == []


def test_replaced_modules_of_rembg_refuse_to_be_called(mask_model):
    """In a process of its own: here, pytest's plugins and scikit-image may have brought the real ones before."""
    code = """if True:
        from sam3d_bento.photo.mask_model import MaskModel
        from sam3d_bento.settings import Settings
        directory = Settings.from_environ().mask_dir
        MaskModel("u2netp", directory)
        from rembg import bg, sessions
        for call in (bg.estimate_alpha_cf, sessions.sam.validate, lambda: sessions.sessions["u2net"].download_models()):
            try:
                call()
            except NotImplementedError as refusal:
                print(refusal)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["This was left out when rembg was imported."] * 3


def test_the_fetched_model_is_right(mask_model):
    assert weights.verify("mask", Settings.from_environ().mask_dir) == []


MASKS = """
import sys, numpy
from pathlib import Path
from sam3d_bento.photo.mask_model import MaskModel
MaskModel("u2netp", Path(sys.argv[1])).soft_mask(numpy.zeros((64, 64, 3), numpy.uint8))
"""


@pytest.mark.slow
def test_onnxruntime_tells_nobody_and_keeps_no_identifier(mask_model, tmp_path):
    """What it would write for its telemetry: `.ses` in the folder for temporary files, a database below the home."""
    quiet = ("ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "CI", "TF_BUILD", "GITHUB_ACTIONS", "XDG_CACHE_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in quiet}
    environment |= {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "PYTHONPATH": os.getcwd()}
    command = [sys.executable, "-c", MASKS, str(Settings.from_environ().mask_dir)]
    subprocess.run(command, env=environment, check=True)
    assert list(tmp_path.rglob("*")) == []
