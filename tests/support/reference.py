"""Stock upstream, as its notebook would run it, for comparison: its own loading, its own dense extraction."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import torch
import yaml
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scipy.spatial import cKDTree

from sam3d_bento.engines.sam3d import upstream


def stock(checkpoints: Path, folder: Path, device: str = "cpu"):
    """Upstream's own pipeline, made from `folder`, whose configuration names local files and the device.

    The folder gets copies of the checkpoints' configurations, some rewritten, and links to the large files.
    """

    def take(source: str, target: str):
        return (shutil.copy2 if source.endswith(".yaml") else os.link)(source, target)

    shutil.copytree(checkpoints, folder, copy_function=take)
    for name in ("ss_generator", "slat_generator"):
        config = yaml.safe_load((folder / f"{name}.yaml").read_text())
        for node, _ in config["module"]["condition_embedder"]["backbone"]["embedder_list"]:
            if node["_target_"].endswith(".Dino"):
                node |= {"repo_or_dir": str(folder / "dinov2"), "source": "local"}
                node["backbone_kwargs"] = {"pretrained": False}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(config))
    mesh = yaml.safe_load((folder / "slat_decoder_mesh.yaml").read_text())
    (folder / "slat_decoder_mesh.yaml").write_text(yaml.safe_dump(mesh | {"device": device}))
    config = OmegaConf.load(folder / "pipeline.yaml")
    config.slat_decoder_gs_4_config_path = config.slat_decoder_gs_4_ckpt_path = None
    config.depth_model.device = config.device = device
    config.depth_model.model.pretrained_model_name_or_path = str(folder / "moge" / "model.pt")
    config.compile_model = False
    config.rendering_engine = "pytorch3d"
    config.workspace_dir = str(folder)
    with upstream.computing_on(torch.device(device)):
        return instantiate(config)


def run_stock(pipeline, image, mask, seed, steps, **more):
    """`run` as upstream's notebook calls it, without its GLB."""
    alpha = mask.astype("uint8") * 255
    pipeline.postprocess_slat_output = lambda outputs, *_: outputs
    with upstream.computing_on(pipeline.device):
        return pipeline.run(
            image,
            alpha,
            seed,
            with_mesh_postprocess=False,
            with_texture_baking=False,
            with_layout_postprocess=False,
            use_vertex_color=True,
            stage1_inference_steps=steps.stage1,
            stage2_inference_steps=steps.stage2,
            use_stage1_distillation=steps.shortcut,
            **more,
        )


def in_the_corner(pipeline, voxels=30, edge=16):
    """Keep the strongest voxels inside the small mesh grid: the only departure from upstream in both pipelines."""

    def hook(module, inputs, occupancy):
        corner = occupancy[:, :, :edge, :edge, :edge]
        threshold = corner.flatten().topk(voxels).values[-1]
        kept = torch.full_like(occupancy, -1.0)
        kept[:, :, :edge, :edge, :edge] = torch.where(corner >= threshold, 1.0, -1.0)
        return kept

    return pipeline.models["ss_decoder"].register_forward_hook(hook)


def share_of_strangers(points, others, tolerance):
    """Of the points of both clouds (N, 3), how many have none of the other cloud within the tolerance, 0..1."""
    one, other = (cKDTree(np.asarray(cloud, dtype=float)) for cloud in (points, others))
    far = np.concatenate((one.query(other.data)[0], other.query(one.data)[0])) > tolerance
    return far.mean()
