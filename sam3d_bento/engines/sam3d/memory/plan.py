"""Calculate how much GPU memory each stage needs in each profile. The figures are calculated, not measured.

Weights are counted on upstream's own modules, which are built on torch's `meta` device, where a tensor has a shape and
no memory, and cast as the engine casts them (`precision`). Working sets are formulas (`working_sets`). Upstream must be
importable (`upstream.prepare`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn

from sam3d_bento.engines.sam3d.loading import modules, precision
from sam3d_bento.engines.sam3d.memory.architecture import DEPTH_MODEL, RELEASED, Architecture, Config
from sam3d_bento.engines.sam3d.memory.profiles import PARTS, STAGES, Part, Profile, Stage
from sam3d_bento.engines.sam3d.memory.working_sets import (
    DINO_CHANNELS,
    DINO_MLP,
    DINO_PATCH,
    Work,
    kept_bytes,
    working_bytes,
)
from sam3d_bento.engines.sam3d.upstream import rebound

# Most voxels that reach the second generator: downsample_sparse_structure, pipeline/inference_utils.py.
MAX_VOXELS = 42_000
# Memory that the formulas do not contain: about 0.5 GB of CUDA context and loaded kernels, which torch does not count,
# and 0.3 GB that cuBLAS and cuDNN allocate within a call and that is lost in gaps between torch's blocks. Both are
# estimates.
OVERHEAD_BYTES = 800_000_000
# Memory that is held through a whole run: the photo, its point maps and the embedders' inputs, which `run` keeps, and
# cuBLAS's workspace, which torch allocates. Measured on an H100 for a photo of 1024 x 1024: 91 to 105 MB in every
# stage.
HELD_BYTES = 100_000_000
# Parts that StagedPipeline casts to float16. The others choose their own precision by `use_fp16`.
CAST_PARTS: tuple[Part, ...] = (
    "depth_model",
    "ss_condition_embedder",
    "ss_generator",
    "ss_decoder",
    "slat_condition_embedder",
)
# The only backbone of the condition embedders that can be planned; `vit_large` has its parameters.
BACKBONE = "dinov2_vitl14_reg"


@dataclass(frozen=True)
class PartWeights:
    """Weights of a part.

    parameters: the count of numbers that the checkpoint has for the part.
    tensors: the bytes of each parameter and buffer on the GPU, by a key that is equal in all parts that share a tensor.
    """

    parameters: int
    tensors: Mapping[int, int]

    @property
    def bytes(self) -> int:
        """Bytes on the GPU, including what the part shares with other parts."""
        return sum(self.tensors.values())


@dataclass(frozen=True)
class StagePlan:
    """Memory of a stage. weights_bytes: all resident parts. working_bytes: the working set at its largest."""

    stage: Stage
    weights_bytes: int
    working_bytes: int

    @property
    def bytes(self) -> int:
        """Bytes of the weights and the working set together."""
        return self.weights_bytes + self.working_bytes


@dataclass(frozen=True)
class Plan:
    """Memory of a run in one profile, stage by stage."""

    profile: Profile
    voxels: int
    stages: tuple[StagePlan, ...]

    @property
    def worst(self) -> StagePlan:
        """Stage that needs the most memory."""
        return max(self.stages, key=lambda stage: stage.bytes)

    @property
    def peak(self) -> int:
        """Bytes of the card that are in use in the worst stage, including `OVERHEAD_BYTES`."""
        return self.worst.bytes + OVERHEAD_BYTES


def plan(
    profile: Profile, voxels: int, photo_pixels: int = 1024 * 1024, architecture: Architecture | None = None
) -> Plan:
    """Calculate the memory of a run with an object of `voxels` occupied cells of 64³ and a photo of `photo_pixels`.

    architecture: None for the released networks. Raises ValueError for a number of voxels that no run can have.
    """
    if not 0 < voxels <= MAX_VOXELS:
        raise ValueError(f"An object has 1 to {MAX_VOXELS:,} voxels, not {voxels:,}.")
    networks = RELEASED if architecture is None else architecture
    weights = part_weights(networks)
    work = Work(networks, voxels, photo_pixels, profile.decode_rows)
    kept = kept_bytes(work) if profile.keep == "all" else 0
    return Plan(
        profile,
        voxels,
        tuple(
            StagePlan(
                stage,
                together([weights[part] for part in profile.residents(stage)]),
                # The first generator's own stage uses what is kept for it.
                working_bytes(stage, work) + HELD_BYTES + (0 if stage == "ss_sample" else kept),
            )
            for stage in STAGES
        ),
    )


def together(parts: Sequence[PartWeights]) -> int:
    """Return the bytes of the parts on the GPU together. A tensor that parts share counts once."""
    return sum({key: size for part in parts for key, size in part.tensors.items()}.values())


def table(plans: Sequence[Plan]) -> str:
    """Return plans for one number of voxels side by side as a text table, in GB (10⁹ bytes)."""
    rows = [["stage", *(plan.profile.name for plan in plans)]]
    for index, stage in enumerate(STAGES):
        rows.append([stage, *(_sum(plan.stages[index]) for plan in plans)])
    rows.append(["peak", *(_gb(plan.peak) for plan in plans)])
    rows.append(["in", *(plan.worst.stage for plan in plans)])
    return (
        f"GB of GPU memory for {plans[0].voxels:,} voxels: weights + working set = both\n"
        f"{_aligned(rows)}\n"
        f"Planned, not measured. The peak has {OVERHEAD_BYTES / 1e9:.1f} GB more, for CUDA itself."
    )


def parts_table(architecture: Architecture | None = None) -> str:
    """Return the parameters and bytes of each part as a text table."""
    weights = part_weights(architecture)
    rows = [["part", "parameters", "GB on the GPU"]]
    rows += [[part, f"{weights[part].parameters:,}", _gb(weights[part].bytes)] for part in PARTS]
    in_all = sum(of.parameters for of in weights.values())
    rows.append(["together", f"{in_all:,}", _gb(together([*weights.values()]))])
    return f"{_aligned(rows)}\nThe condition embedders hold DINOv2 four times in their files and share one on the GPU."


def _sum(stage: StagePlan) -> str:
    return f"{_gb(stage.weights_bytes)} + {_gb(stage.working_bytes)} = {_gb(stage.bytes)}"


def _gb(size: int) -> str:
    return f"{size / 1e9:.2f}"


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = [[cell.rjust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    return "\n".join("  ".join([row[0].ljust(widths[0]), *line[1:]]) for row, line in zip(rows, lines, strict=True))


# -- weights -----------------------------------------------------------------------------------------------------------


def part_weights(architecture: Architecture | None = None) -> Mapping[Part, PartWeights]:
    """Count the weights of each part, without allocating them. architecture: None for the released networks.

    Raises NotReady for a configuration that names anything but model code (`loading.check_targets`).
    """
    return _part_weights(json.dumps(RELEASED if architecture is None else architecture, sort_keys=True))


@cache  # takes two seconds, and the plan of every profile needs the same
def _part_weights(architecture: str) -> Mapping[Part, PartWeights]:
    parts = build(json.loads(architecture))
    for part in CAST_PARTS:
        precision.cast_beforehand(parts[part], torch.float16)
    return {part: _weigh(parts[part]) for part in PARTS}


def _weigh(module: Any) -> PartWeights:
    tensors = [*module.parameters(), *module.buffers()]
    everywhere = (inner for _, inner in module.named_modules(remove_duplicate=False))
    return PartWeights(
        parameters=sum(parameter.numel() for inner in everywhere for parameter in inner.parameters(recurse=False)),
        tensors={id(tensor): tensor.numel() * tensor.element_size() for tensor in tensors},
    )


def build(architecture: Architecture) -> dict[Part, Any]:
    """Build the modules on the `meta` device as upstream does, with one DINOv2 that all condition embedders share."""
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    built: dict[Part, Any] = {}
    with _on_meta():
        for part, config in architecture.items():
            for node, _ in config.get("embedder_list", ()):
                if node.get("dino_model", BACKBONE) != BACKBONE:
                    raise ValueError(f"Only {BACKBONE} can be planned, not {node['dino_model']}.")
            options: Any = OmegaConf.create({key: config[key] for key in config if key != "pretrained_ckpt_path"})
            modules.check_targets(options, part)
            if part == "slat_decoder_mesh":
                options.device = "meta"
            built[part] = instantiate(options)
        built["depth_model"] = moge(DEPTH_MODEL)
    return built


@contextmanager
def _on_meta() -> Iterator[None]:
    from sam3d_bento.engines.sam3d import mesh_extraction

    with (
        torch.device("meta"),
        torch.no_grad(),
        modules.without_initialisation(),
        mesh_extraction.without_dense_grid(),
    ):
        backbone = vit_large(registers=4)
        with rebound(torch.hub, "load", lambda **_: backbone):
            yield


def vit_large(registers: int) -> Any:
    """Build a module that has the parameters of DINOv2's ViT-L/14 but not its functions.

    It has 304,368,640 parameters, and 1,024 more for each register. It follows vision_transformer.py of
    facebookresearch/dinov2, with layer scale and positions for 518 pixels.
    """
    width, hidden, places = DINO_CHANNELS, DINO_MLP * DINO_CHANNELS, (518 // DINO_PATCH) ** 2
    vit = nn.Module()
    vit.embed_dim = width
    vit.patch_embed = nn.Conv2d(3, width, DINO_PATCH)
    vit.blocks = nn.ModuleList()
    for _ in range(24):
        attention = [nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)]
        mlp = [nn.LayerNorm(width), nn.Linear(width, hidden), nn.Linear(hidden, width)]
        vit.blocks.append(nn.Sequential(*attention, *mlp))
    vit.norm = nn.LayerNorm(width)
    vit.scales = nn.Parameter(torch.empty(2 * 24, width))
    # The positions of the patches and of the class token, then the class token, the mask token and the registers.
    vit.tokens = nn.Parameter(torch.empty(places + 1 + 2 + registers, width))
    return vit


def moge(config: Config) -> Any:
    """Build a module that has the parameters of MoGeModel (moge/model/v1.py) but not its functions.

    config: the arguments of MoGeModel.
    """
    projected, widths = config["dim_proj"], config["dim_upsample"]
    layers = [nn.Conv2d(DINO_CHANNELS, projected, 1) for _ in range(config["intermediate_layers"])]
    for before, width in zip([projected, *widths], widths, strict=False):  # + 2 channels: the pixel's position
        hidden = config["dim_times_res_block_hidden"] * width
        layers += [nn.ConvTranspose2d(before + 2, width, 2), nn.Conv2d(width, width, 3)]
        for _ in range(config["num_res_blocks"]):
            layers += [nn.GroupNorm(1, width), nn.Conv2d(width, hidden, 3)]
            layers += [nn.GroupNorm(hidden // 32, hidden), nn.Conv2d(hidden, width, 3)]
    for output in (3, 1):  # a point and whether it is valid
        last = config["last_conv_channels"]
        layers += [nn.Conv2d(widths[-1] + 2, last, 3), nn.Conv2d(last, output, config["last_conv_size"])]
    return nn.ModuleList([vit_large(registers=0), *layers])
