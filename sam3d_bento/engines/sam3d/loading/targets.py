"""What a configuration may call: the names in the released configurations, and nothing else. Knows no torch.

hydra imports whatever a `_target_` names and calls it, with arguments of the configuration's choice. So a list of
packages is no protection: torch alone has dozens of functions that run, load or fetch something.

The names are those of the public copies of Meta's files (wlfeng0509/Fast-SAM3D-3Dfy-Anything-in-Images-but-Faster at
8549520 and kpfeifer-work/sam-3d-objects at 5300050, checkpoints/hf), for the code at cf06676.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_BACKBONE = "sam3d_objects.model.backbone."
_TDFY = _BACKBONE + "tdfy_dit.models."
_DATA = "sam3d_objects.data.dataset.tdfy."

CLASSES = frozenset(
    {
        "sam3d_objects.pipeline.inference_pipeline_pointmap.InferencePipelinePointMap",
        "sam3d_objects.pipeline.depth_models.moge.MoGe",
        _DATA + "preprocessor.PreProcessor",
        _DATA + "img_and_mask_transforms.ObjectCentricSSI",
        "torchvision.transforms.Compose",
        "torchvision.transforms.Resize",
        _BACKBONE + "dit.embedder.dino.Dino",
        _BACKBONE + "dit.embedder.embedder_fuser.EmbedderFuser",
        _BACKBONE + "dit.embedder.pointmap.PointPatchEmbed",
        _BACKBONE + "generator.classifier_free_guidance.ClassifierFreeGuidance",
        _BACKBONE + "generator.classifier_free_guidance.ClassifierFreeGuidanceWithExternalUnconditionalProbability",
        _BACKBONE + "generator.flow_matching.model.FlowMatching",
        _BACKBONE + "generator.shortcut.model.ShortCut",
        _TDFY + "mm_latent.Latent",
        _TDFY + "mot_sparse_structure_flow.SparseStructureFlowTdfyWrapper",
        _TDFY + "sparse_structure_vae.SparseStructureDecoderTdfyWrapper",
        _TDFY + "structured_latent_flow.SLatFlowModelTdfyWrapper",
        _TDFY + "structured_latent_vae.decoder_gs.SLatGaussianDecoderTdfyWrapper",
        _TDFY + "structured_latent_vae.decoder_mesh.SLatMeshDecoderTdfyWrapper",
    }
)
# Functions that the released files call: a constructor that reads tensors only, one that returns its arguments, and
# two that make a table of positions, which upstream names like classes.
CALLED = frozenset(
    {
        "moge.model.v1.MoGeModel.from_pretrained",
        "sam3d_objects.config.utils.make_dict",
        _TDFY + "mm_latent.LearntPositionEmbedder",
        _TDFY + "mm_latent.ShapePositionEmbedder",
    }
)
# Functions that a configuration hands to a class, with some of their arguments; it never calls them itself.
HANDED_ON = frozenset(
    {
        _DATA + "img_and_mask_transforms.crop_around_mask_with_padding",
        _DATA + "img_and_mask_transforms.resize_all_to_same_size",
        _DATA + "img_processing.pad_to_square_centered",
        _BACKBONE + "generator.flow_matching.model.lognorm_sampler",
    }
)


def forbidden(config: Any) -> str | None:
    """Return the first target in a configuration that may not be called, or None. config: as `OmegaConf` reads it."""
    return next((target for target, is_partial in _targets(config) if not _allowed(target, is_partial)), None)


def _allowed(target: str, is_partial: bool) -> bool:
    return target in CLASSES or target in CALLED or (target in HANDED_ON and is_partial)


def _targets(node: Any) -> Iterator[tuple[str, bool]]:
    """List every target with whether it is `_partial_`, at any depth."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield str(node["_target_"]), node.get("_partial_", False) is True
        for key in node:
            yield from _targets(node[key])
    elif isinstance(node, Sequence) and not isinstance(node, str | bytes):
        for child in node:
            yield from _targets(child)
