"""Configurations of the released networks, from which upstream's classes are built. Does not import torch.

Meta distributes its files only under a licence. These values come from public copies: all seven files in
wlfeng0509/Fast-SAM3D-3Dfy-Anything-in-Images-but-Faster@8549520, checkpoints/hf, whose `pipeline.yaml` differs from
Meta's only by a local path. Networks built from them have as many parameters as Meta's checkpoints have numbers.
Values that only training or sampling reads are omitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sam3d_bento.engines.sam3d.memory.profiles import Part

Config = Mapping[str, Any]
Architecture = Mapping[Part, Config]

_BACKBONE = "sam3d_objects.model.backbone."
_TDFY = _BACKBONE + "tdfy_dit.models."

# Location of each part's configuration in a checkpoint folder: the file, and the keys inside it, as in the methods
# `init_*` of pipeline/inference_pipeline.py. The depth model has none there, because MoGe's `model.pt` contains it.
FILES: dict[Part, tuple[str, ...]] = {
    "ss_condition_embedder": ("ss_generator.yaml", "module", "condition_embedder", "backbone"),
    "ss_generator": ("ss_generator.yaml", "module", "generator", "backbone"),
    "ss_decoder": ("ss_decoder.yaml",),
    "slat_condition_embedder": ("slat_generator.yaml", "module", "condition_embedder", "backbone"),
    "slat_generator": ("slat_generator.yaml", "module", "generator", "backbone"),
    "slat_decoder_mesh": ("slat_decoder_mesh.yaml",),
    "slat_decoder_gs": ("slat_decoder_gs.yaml",),
}


def from_checkpoints(directory: Path) -> Architecture:
    """Read the configurations beside `pipeline.yaml` in `directory`. A missing file gives the released values."""
    from omegaconf import OmegaConf

    found: dict[Part, Config] = dict(RELEASED)
    for part, (name, *keys) in FILES.items():
        if (directory / name).is_file():
            node: Any = OmegaConf.load(directory / name)
            for key in keys:
                node = node[key]
            found[part] = OmegaConf.to_container(node, resolve=True)
    return found


def _dino(**more: Any) -> dict[str, Any]:
    node = {"_target_": _BACKBONE + "dit.embedder.dino.Dino", "dino_model": "dinov2_vitl14_reg", "input_size": 518}
    return node | {"normalize_images": True} | more


def _embedder(*nodes: tuple[Config, list[list[str]]]) -> Config:
    """Return the configuration of a condition embedder.

    nodes: each an embedding network, and the names and groups of the inputs that it embeds one after the other.
    """
    return {
        "_target_": _BACKBONE + "dit.embedder.embedder_fuser.EmbedderFuser",
        "projection_net_hidden_dim_multiplier": 4.0,
        "use_pos_embedding": "learned",
        "embedder_list": [list(node) for node in nodes],
    }


def _latent(channels: int, embedder: str, **more: Any) -> Config:
    return {
        "_target_": _TDFY + "mm_latent.Latent",
        "in_channels": channels,
        "model_channels": 1024,
        "pos_embedder": {"_target_": _TDFY + f"mm_latent.{embedder}", "model_channels": 1024, **more},
    }


_IMAGES = [["image", "cropped"], ["rgb_image", "full"]]
_MASKS = [["mask", "cropped"], ["rgb_image_mask", "full"]]
_POINTMAPS = [["pointmap", "cropped"], ["rgb_pointmap", "full"]]
_GUIDANCE = _BACKBONE + "generator.classifier_free_guidance.ClassifierFreeGuidance"

# Both generators are transformers of 24 blocks.
_TRANSFORMER: dict[str, Any] = {
    "cond_channels": 1024,
    "condition_embedder": None,
    "force_zeros_cond": True,
    "in_channels": 8,
    "mlp_ratio": 4,
    "model_channels": 1024,
    "num_blocks": 24,
    "num_heads": 16,
    "out_channels": 8,
    "pe_mode": "ape",
    "qk_rms_norm": True,
}
_SS_GENERATOR: dict[str, Any] = _TRANSFORMER | {
    "_target_": _TDFY + "mot_sparse_structure_flow.SparseStructureFlowTdfyWrapper",
    "freeze_d_time_embedder": True,
    "freeze_shared_parameters": True,
    "is_shortcut_model": True,
    "latent_mapping": {
        "6drotation_normalized": _latent(6, "LearntPositionEmbedder", token_len=1),
        "scale": _latent(3, "LearntPositionEmbedder", token_len=1),
        "shape": _latent(8, "ShapePositionEmbedder", patch_size=1, resolution=16),
        "translation": _latent(3, "LearntPositionEmbedder", token_len=1),
        "translation_scale": _latent(1, "LearntPositionEmbedder", token_len=1),
    },
    "latent_share_transformer": {
        "6drotation_normalized": ["6drotation_normalized", "translation", "scale", "translation_scale"]
    },
    "patch_size": 1,
    "resolution": 16,
    "use_checkpoint": False,
    "use_fp16": False,
}
_SLAT_GENERATOR: dict[str, Any] = _TRANSFORMER | {
    "_target_": _TDFY + "structured_latent_flow.SLatFlowModelTdfyWrapper",
    "io_block_channels": [128],
    "num_io_res_blocks": 2,
    "patch_size": 2,
    "resolution": 64,
    "use_fp16": True,
}
# Both decoders of the second stage are transformers of 12 blocks with windows of 8 x 8 x 8 voxels.
_DECODER: dict[str, Any] = {
    "resolution": 64,
    "model_channels": 768,
    "latent_channels": 8,
    "num_blocks": 12,
    "num_heads": 12,
    "mlp_ratio": 4,
    "attn_mode": "swin",
    "window_size": 8,
    "use_fp16": True,
}

# Configurations of the released networks, without the depth model.
RELEASED: Architecture = {
    "ss_condition_embedder": _embedder(
        (_dino(), _IMAGES),
        (_dino(), _MASKS),
        (
            {
                "_target_": _BACKBONE + "dit.embedder.pointmap.PointPatchEmbed",
                "embed_dim": 512,
                "input_size": 256,
                "patch_size": 8,
                "remap_output": "linear",
            },
            _POINTMAPS,
        ),
    ),
    "ss_generator": {
        "_target_": _BACKBONE + "generator.shortcut.model.ShortCut",
        "batch_mode": True,
        "cfg_modalities": ["shape"],
        "inference_steps": 2,
        "reverse_fn": {
            "_target_": _GUIDANCE + "WithExternalUnconditionalProbability",
            "unconditional_handling": "add_flag",
            "backbone": _SS_GENERATOR,
        },
    },
    "ss_decoder": {
        "_target_": _TDFY + "sparse_structure_vae.SparseStructureDecoderTdfyWrapper",
        "out_channels": 1,
        "latent_channels": 8,
        "num_res_blocks": 2,
        "num_res_blocks_middle": 2,
        "channels": [512, 128, 32],
        "reshape_input_to_cube": False,
    },
    "slat_condition_embedder": _embedder(
        (_dino(prenorm_features=True), _IMAGES), (_dino(prenorm_features=True), _MASKS)
    ),
    "slat_generator": {
        "_target_": _BACKBONE + "generator.flow_matching.model.FlowMatching",
        "inference_steps": 12,
        "reverse_fn": {"_target_": _GUIDANCE, "unconditional_handling": "add_flag", "backbone": _SLAT_GENERATOR},
    },
    "slat_decoder_mesh": _DECODER
    | {
        "_target_": _TDFY + "structured_latent_vae.decoder_mesh.SLatMeshDecoderTdfyWrapper",
        "representation_config": {"use_color": True},
    },
    "slat_decoder_gs": _DECODER
    | {
        "_target_": _TDFY + "structured_latent_vae.decoder_gs.SLatGaussianDecoderTdfyWrapper",
        "representation_config": {
            "lr": {"_xyz": 1.0, "_features_dc": 1.0, "_opacity": 1.0, "_scaling": 1.0, "_rotation": 0.1},
            "perturb_offset": True,
            "voxel_size": 1.5,
            "num_gaussians": 32,
            "2d_filter_kernel_size": 0.1,
            "3d_filter_kernel_size": 0.0009,
            "scaling_bias": 0.004,
            "opacity_bias": 0.1,
            "scaling_activation": "softplus",
        },
    },
}

# Arguments of MoGeModel (moge/model/v1.py) in Ruicheng/moge-vitl's model.pt. They are from memory, but give as many
# parameters (314,174,020) as that file has room for (1,256,823,446 bytes of float32 and 127 kB of names).
DEPTH_MODEL: Config = {
    "encoder": "dinov2_vitl14",
    "intermediate_layers": 4,
    "dim_proj": 512,
    "dim_upsample": [256, 128, 64],
    "dim_times_res_block_hidden": 2,
    "num_res_blocks": 2,
    "num_tokens_range": [1200, 2500],
    "last_conv_channels": 32,
    "last_conv_size": 1,
}
