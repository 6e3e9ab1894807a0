import pytest

from sam3d_bento import weights
from sam3d_bento.masks import MaskModel
from sam3d_bento.settings import Settings


@pytest.fixture(scope="session")
def mask_model():
    """The real model, fetched once to where the program itself looks for it."""
    directory = Settings.from_environ().mask_dir
    weights.fetch("mask", directory, print)
    return MaskModel("u2netp", directory)
