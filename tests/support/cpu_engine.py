"""The service's pipeline with the SAM 3D engine on the CPU, for the engine process of the HTTP test."""

from sam3d_bento.engines.sam3d.engine import Sam3dEngine
from sam3d_bento.photo.mask_model import MaskModel
from sam3d_bento.pipeline import Pipeline
from tests.support.no_network import forbid_other_hosts


def load(settings):
    forbid_other_hosts()
    engine = Sam3dEngine(settings.checkpoint_dir, settings.memory_profile, device="cpu")
    mask_model = MaskModel(settings.mask_model, settings.mask_dir)
    engine.load()
    engine._inference.pipeline.models["ss_decoder"].register_forward_hook(a_ball)
    return Pipeline(engine, mask_model, settings)


def a_ball(module, inputs, occupancy):
    """Random weights switch on scattered voxels; the service should make something solid."""
    import torch

    steps = torch.arange(64) - 31.5
    squares = steps[:, None, None] ** 2 + steps[:, None] ** 2 + steps**2
    return (squares < 4**2).float()[None, None] * 2 - 1
