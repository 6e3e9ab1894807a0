"""Checkpoints of upstream's real architecture, as small as it allows, with random weights.

The folder has the structure of Meta's: `pipeline.yaml` with the same keys, a configuration and a checkpoint per module
in the same layout, MoGe's file, the DINOv2 hub folder. Floors that upstream's code sets: the shape latent is 16³ x 8,
the decoder of the mesh has 256 channels (group norms of 32 at an eighth), PointPatchEmbed has 16 heads.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from sam3d_bento.engines.sam3d.memory.architecture import RELEASED

DIM = 32  # channels of both generators and of their conditions
IMAGE = 28  # pixels, instead of 518: two by two patches of DINOv2

BACKBONE = "sam3d_objects.model.backbone."
TDFY = BACKBONE + "tdfy_dit.models."
DATA = "sam3d_objects.data.dataset.tdfy."
GENERATORS = ("ss_generator", "slat_generator")
DECODERS = ("ss_decoder", "slat_decoder_gs", "slat_decoder_mesh")

HUBCONF = '''
"""A backbone with DINOv2's interface and a few thousand weights."""
import torch
from torch import nn

dependencies = ["torch"]


class Backbone(nn.Module):
    def __init__(self, embed_dim=32, patch=14):
        super().__init__()
        self.embed_dim = embed_dim
        self.patch_embed = nn.Conv2d(3, embed_dim, patch, patch)
        self.patch_embed.patch_size = (patch, patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.mix = nn.Linear(embed_dim, embed_dim)
        self.norm = nn.LayerNorm(embed_dim)

    def forward_features(self, x):
        tokens = self.patch_embed(x).flatten(2).transpose(1, 2)
        tokens = torch.cat((self.cls_token.expand(len(tokens), -1, -1), tokens), 1)
        tokens = tokens + self.mix(tokens)
        normed = self.norm(tokens)
        return {"x_norm_clstoken": normed[:, 0], "x_norm_patchtokens": normed[:, 1:], "x_prenorm": tokens}


def dinov2_vitl14_reg(pretrained=True):
    assert pretrained is False, "nothing is downloaded"
    return Backbone()
'''


def build(folder: Path, *, mesh_resolution: int = 64, voxels: int = 200, half: bool = False, seed: int = 0) -> None:
    """Write a folder. mesh_resolution: 64 as upstream; its dense grid has 4 times as many cells along an edge.

    voxels: about how many of 64³ a random latent switches on. half: `use_fp16` in generator and decoders, as Meta's.
    Upstream must be imported (`upstream.prepare`).
    """
    import torch
    import yaml
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    from sam3d_bento.engines.sam3d import mesh_extraction, upstream
    from sam3d_bento.engines.sam3d.loading.modules import local_backbones

    torch.manual_seed(seed)
    (folder / "dinov2").mkdir(parents=True)
    (folder / "dinov2" / "hubconf.py").write_text(HUBCONF)
    configs = {
        "ss_generator": ss_generator(),
        "slat_generator": slat_generator(half),
        "ss_decoder": ss_decoder(),
        "slat_decoder_gs": gaussian_decoder(half),
        "slat_decoder_mesh": mesh_decoder(mesh_resolution, half),
        "pipeline": pipeline(),
    }
    for name, config in configs.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(config, sort_keys=False))

    backbone = None
    with upstream.computing_on(torch.device("cpu")):
        for name in GENERATORS:
            config = OmegaConf.load(folder / f"{name}.yaml")
            local_backbones(config, folder)
            state = {}
            for part in ("generator", "condition_embedder"):
                module = instantiate(config.module[part].backbone)
                fill_zeros(module)
                if part == "condition_embedder":  # as released: all of them the same DINOv2
                    backbone = backbone or module.module_list[0].backbone
                    for dino in module.module_list[:2]:
                        dino.backbone.load_state_dict(backbone.state_dict())
                state |= {f"_base_models.{part}.{key}": value for key, value in module.state_dict().items()}
            torch.save({"state_dict": state}, folder / f"{name}.ckpt")
        for name in DECODERS:
            config = OmegaConf.load(folder / f"{name}.yaml")
            if name == "slat_decoder_mesh":
                config.device = "cpu"
            with mesh_extraction.without_dense_grid():
                module = instantiate(config)
            fill_zeros(module)
            if name == "ss_decoder":
                with torch.no_grad():
                    occupancy = torch.stack([module(torch.randn(1, 8, 16, 16, 16)) for _ in range(4)])
                    module.out_layer[-1].bias -= occupancy.flatten().sort().values[-4 * voxels]
            torch.save(module.state_dict(), folder / f"{name}.ckpt")
    write_depth_model(folder / "moge")
    write_manifest(folder)


def write_depth_model(folder: Path) -> None:
    """MoGe's own network with its smallest encoder, which says: a plane three metres away, everywhere valid."""
    import torch
    from moge.model.v1 import MoGeModel

    config = {
        "encoder": "dinov2_vits14",
        "intermediate_layers": 1,
        "dim_proj": 32,
        "dim_upsample": [32, 32, 32],
        "num_res_blocks": 0,
        "num_tokens_range": [9, 16],
        "last_conv_channels": 8,
    }
    model = MoGeModel(**config)
    with torch.no_grad():
        points, valid = model.head.output_block
        points[-1].bias.copy_(torch.tensor([0.0, 0.0, 3.0]))
        valid[-1].bias.fill_(5.0)
    folder.mkdir()
    torch.save({"model_config": config, "model": model.state_dict()}, folder / "model.pt")


def write_manifest(folder: Path) -> None:
    """`manifest.json`: these files are what belongs here."""
    files = {
        str(path.relative_to(folder)): {
            "size": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    (folder / "manifest.json").write_text(json.dumps({"files": files}, indent=1))


def fill_zeros(module: Any) -> None:
    """Small random numbers where upstream initialises with zeros, so that no layer is without effect."""
    import torch

    with torch.no_grad():
        for parameter in module.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.02)


def dino(prenorm: bool) -> dict[str, Any]:
    node = {
        "_target_": BACKBONE + "dit.embedder.dino.Dino",
        "dino_model": "dinov2_vitl14_reg",
        "input_size": IMAGE,
        "normalize_images": True,
    }
    return node | ({"prenorm_features": True} if prenorm else {})


def fuser(embedders: list[Any], **more: Any) -> dict[str, Any]:
    return {
        "_target_": BACKBONE + "dit.embedder.embedder_fuser.EmbedderFuser",
        "projection_net_hidden_dim_multiplier": 4.0,
        "use_pos_embedding": "learned",
        "embedder_list": embedders,
        **more,
    }


IMAGES = [["image", "cropped"], ["rgb_image", "full"]]
MASKS = [["mask", "cropped"], ["rgb_image_mask", "full"]]
POINTMAPS = [["pointmap", "cropped"], ["rgb_pointmap", "full"]]

TIMES = {
    "_partial_": True,
    "_target_": BACKBONE + "generator.flow_matching.model.lognorm_sampler",
    "mean": -1.0,
    "std": 1.0,
}


def latent(channels: int, embedder: dict[str, Any]) -> dict[str, Any]:
    return {
        "_target_": TDFY + "mm_latent.Latent",
        "in_channels": channels,
        "model_channels": DIM,
        "pos_embedder": embedder,
    }


def ss_generator() -> dict[str, Any]:
    learnt = {"_target_": TDFY + "mm_latent.LearntPositionEmbedder", "model_channels": DIM, "token_len": 1}
    grid = {
        "_target_": TDFY + "mm_latent.ShapePositionEmbedder",
        "model_channels": DIM,
        "patch_size": 1,
        "resolution": 16,
    }
    network = {
        "_target_": TDFY + "mot_sparse_structure_flow.SparseStructureFlowTdfyWrapper",
        "cond_channels": DIM,
        "condition_embedder": None,
        "force_zeros_cond": True,
        "freeze_d_time_embedder": True,
        "freeze_shared_parameters": True,
        "in_channels": 8,
        "is_shortcut_model": True,
        "latent_mapping": {
            "6drotation_normalized": latent(6, learnt),
            "scale": latent(3, learnt),
            "shape": latent(8, grid),
            "translation": latent(3, learnt),
            "translation_scale": latent(1, learnt),
        },
        "latent_share_transformer": {
            "6drotation_normalized": ["6drotation_normalized", "translation", "scale", "translation_scale"]
        },
        "mlp_ratio": 2,
        "model_channels": DIM,
        "num_blocks": 1,  # it attends to 4,096 tokens, however small it is
        "num_heads": 2,
        "out_channels": 8,
        "patch_size": 1,
        "pe_mode": "ape",
        "qk_rms_norm": True,
        "resolution": 16,
        "use_checkpoint": False,
        "use_fp16": False,
    }
    guidance = {
        "_target_": BACKBONE
        + "generator.classifier_free_guidance.ClassifierFreeGuidanceWithExternalUnconditionalProbability",
        "interval": [0, 500],
        "p_unconditional": 0.1,
        "strength": 2.0,
        "unconditional_handling": "add_flag",
        "backbone": network,
    }
    points = {
        "_target_": BACKBONE + "dit.embedder.pointmap.PointPatchEmbed",
        "embed_dim": 16,
        "input_size": 16,
        "patch_size": 8,
        "remap_output": "linear",
    }
    condition = fuser(
        [[dino(False), IMAGES], [dino(False), MASKS], [points, POINTMAPS]],
        dropout_prob=0.1,
        force_drop_modalities=None,
        freeze=True,
        drop_modalities_weight=[[["pointmap", "rgb_pointmap"], 1.0]],
    )
    generator = {
        "_target_": BACKBONE + "generator.shortcut.model.ShortCut",
        "batch_mode": True,
        "cfg_modalities": ["shape"],
        "inference_steps": 2,
        "rescale_t": 1,
        "sigma_min": 0.0,
        "time_scale": 1000.0,
        "training_time_sampler_fn": TIMES,
        "ratio_cfg_samples_in_self_consistency_target": 0.25,
        "self_consistency_cfg_strength": 2.0,
        "self_consistency_prob": 0.25,
        "shortcut_loss_weight": 1.0,
        "reverse_fn": guidance,
    }
    return {"module": {"condition_embedder": {"backbone": condition}, "generator": {"backbone": generator}}}


def slat_generator(half: bool) -> dict[str, Any]:
    network = {
        "_target_": TDFY + "structured_latent_flow.SLatFlowModelTdfyWrapper",
        "cond_channels": DIM,
        "condition_embedder": None,
        "force_zeros_cond": True,
        "in_channels": 8,
        "io_block_channels": [16],
        "mlp_ratio": 2,
        "model_channels": DIM,
        "num_blocks": 2,
        "num_heads": 2,
        "num_io_res_blocks": 2,
        "out_channels": 8,
        "patch_size": 2,
        "pe_mode": "ape",
        "qk_rms_norm": True,
        "resolution": 64,
        "use_fp16": half,
    }
    generator = {
        "_target_": BACKBONE + "generator.flow_matching.model.FlowMatching",
        "inference_steps": 2,
        "sigma_min": 0.0,
        "time_scale": 1000.0,
        "training_time_sampler_fn": TIMES,
        "reverse_fn": {
            "_target_": BACKBONE + "generator.classifier_free_guidance.ClassifierFreeGuidance",
            "p_unconditional": 0.0,
            "strength": 0.0,
            "unconditional_handling": "add_flag",
            "backbone": network,
        },
    }
    condition = fuser([[dino(True), IMAGES], [dino(True), MASKS]])
    return {"module": {"condition_embedder": {"backbone": condition}, "generator": {"backbone": generator}}}


def ss_decoder() -> dict[str, Any]:
    return {
        "_target_": TDFY + "sparse_structure_vae.SparseStructureDecoderTdfyWrapper",
        "out_channels": 1,
        "latent_channels": 8,
        "num_res_blocks": 1,
        "num_res_blocks_middle": 1,
        "channels": [8, 8, 8],
        "reshape_input_to_cube": False,
    }


def gaussian_decoder(half: bool) -> dict[str, Any]:
    return {
        "_target_": TDFY + "structured_latent_vae.decoder_gs.SLatGaussianDecoderTdfyWrapper",
        "resolution": 64,
        "model_channels": 32,
        "latent_channels": 8,
        "num_blocks": 2,
        "num_heads": 2,
        "mlp_ratio": 2,
        "attn_mode": "swin",
        "window_size": 8,
        "use_fp16": half,
        "representation_config": RELEASED["slat_decoder_gs"]["representation_config"],
    }


def mesh_decoder(resolution: int, half: bool) -> dict[str, Any]:
    return {
        "_target_": TDFY + "structured_latent_vae.decoder_mesh.SLatMeshDecoderTdfyWrapper",
        "resolution": resolution,
        "model_channels": 256,
        "latent_channels": 8,
        "num_blocks": 2,
        "num_heads": 2,
        "mlp_ratio": 1,
        "attn_mode": "swin",
        "window_size": 8,
        "use_fp16": half,
        "representation_config": {"use_color": True},
    }


def pipeline(image: int = IMAGE) -> dict[str, Any]:
    def to_square(**how: Any) -> dict[str, Any]:
        pad = {"_partial_": True, "_target_": DATA + "img_processing.pad_to_square_centered"}
        resize = {"_target_": "torchvision.transforms.Resize", "size": image, **how}
        return {"_target_": "torchvision.transforms.Compose", "transforms": [pad, resize]}

    nearest = to_square(interpolation=0)
    transforms = DATA + "img_and_mask_transforms."
    crop = {
        "_partial_": True,
        "_target_": transforms + "crop_around_mask_with_padding",
        "box_size_factor": 1.2,
        "padding_factor": 0.0,
    }
    normalizer = {
        "_target_": transforms + "ObjectCentricSSI",
        "allow_scale_and_shift_override": True,
        "use_scene_scale": True,
    }
    same_size = {"_partial_": True, "_target_": transforms + "resize_all_to_same_size"}
    config: dict[str, Any] = {
        "_target_": "sam3d_objects.pipeline.inference_pipeline_pointmap.InferencePipelinePointMap"
    }
    for name in (*GENERATORS, "ss_decoder", "slat_decoder_gs", "slat_decoder_gs_4", "slat_decoder_mesh"):
        config |= {f"{name}_config_path": f"{name}.yaml", f"{name}_ckpt_path": f"{name}.ckpt"}
    return config | {
        "pad_size": 1.0,
        "dtype": "float16",
        "version": "3dfy_v9",
        "slat_cfg_strength": 1,
        "slat_rescale_t": 1,
        "downsample_ss_dist": 1,
        "compile_model": True,
        "ss_condition_input_mapping": [],
        "slat_condition_input_mapping": [],
        "pose_decoder_name": "ScaleShiftInvariant",
        "ss_preprocessor": {
            "_target_": DATA + "preprocessor.PreProcessor",
            "img_mask_joint_transform": [],
            "img_mask_pointmap_joint_transform": [same_size, crop],
            "img_transform": to_square(),
            "mask_transform": nearest,
            "pointmap_transform": nearest,
            "normalize_pointmap": True,
            "pointmap_normalizer": normalizer,
        },
        "slat_preprocessor": {
            "_target_": DATA + "preprocessor.PreProcessor",
            "img_transform": to_square(),
            "mask_transform": nearest,
            "img_mask_joint_transform": [crop],
        },
        "depth_model": {
            "_target_": "sam3d_objects.pipeline.depth_models.moge.MoGe",
            "model": {
                "_target_": "moge.model.v1.MoGeModel.from_pretrained",
                "pretrained_model_name_or_path": "Ruicheng/moge-vitl",
            },
        },
        "slat_mean": [0.1, 0.4, -1.3, -2.1, -3.1, -0.1, -0.9, 0.5],
        "slat_std": [2.4, 2.1, 2.2, 2.3, 2.1, 1.9, 2.4, 2.1],
    }
