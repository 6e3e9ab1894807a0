"""Meta's real code on the CPU, with tiny random weights: `make test-upstream`, in an environment with torch."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent

# Triton reads it at its import, which is torch's: its kernels run in its interpreter, for there is no GPU.
os.environ["TRITON_INTERPRET"] = "1"


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.upstream)


@pytest.fixture(scope="session")
def upstream():
    """Upstream, imported; from here on this process cannot reach another host."""
    from sam3d_bento.engines.sam3d import upstream
    from tests.support.no_network import forbid_other_hosts

    forbid_other_hosts()
    return upstream.prepare("cpu")


@pytest.fixture(scope="session")
def checkpoints(upstream, tmp_path_factory):
    """A folder with tiny checkpoints in float32, on a mesh grid of 64³ instead of 256³."""
    from tests.support import tiny

    folder = tmp_path_factory.mktemp("checkpoints") / "float32"
    tiny.build(folder, mesh_resolution=16)
    return folder


@pytest.fixture(scope="session")
def half_checkpoints(upstream, tmp_path_factory):
    """The same with `use_fp16`, as Meta's files have it."""
    from tests.support import tiny

    folder = tmp_path_factory.mktemp("checkpoints") / "float16"
    tiny.build(folder, mesh_resolution=16, half=True)
    return folder


@pytest.fixture(scope="module")
def engine(checkpoints):
    """The engine with tiny checkpoints on the CPU; its quality `draft` takes two steps."""
    from sam3d_bento.engines.sam3d import engine as engine_module
    from sam3d_bento.engines.sam3d.engine import Sam3dEngine
    from sam3d_bento.engines.sam3d.inference import Steps
    from tests.support.reference import in_the_corner

    made = Sam3dEngine(checkpoints, device="cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made, "_warm_up", lambda: None)  # its voxels would lie outside the small mesh grid
        made.load()
    in_the_corner(made._inference.pipeline)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(engine_module.STEPS, "draft", Steps(2, 2))  # the same way in less time
        yield made


@pytest.fixture(scope="session")
def photo():
    """(96, 96, 3) uint8 noise and a disc as its mask."""
    rgb = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    row, column = np.ogrid[-48:48, -48:48]
    return rgb, row**2 + column**2 < 30**2
