"""From a checkpoint folder to modules in main memory: checked configuration, local sources, each file read once.

Upstream initialises every weight at random before it loads it, reads each generator's file twice, whole, and asks
GitHub for DINOv2. The configuration files stay as Meta gives them out; what must differ here is set in memory.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, ListConfig, OmegaConf

from sam3d_bento.engines.sam3d.loading import checkpoints, targets
from sam3d_bento.engines.sam3d.upstream import rebound
from sam3d_bento.errors import NotReady

MOGE_FILE = "moge/model.pt"
DINO_FOLDER = "dinov2"

log = logging.getLogger("sam3d_bento.sam3d")


def pipeline_config(file: Path) -> DictConfig:
    """`pipeline.yaml`, checked, its sources local, compilation off, everything in main memory first.

    Raises NotReady when a configuration names something that it may not.
    """
    folder = file.parent
    config: Any = OmegaConf.load(file)
    # The decoder of 4 gaussians per voxel; nothing asks for it.
    config.slat_decoder_gs_4_config_path = config.slat_decoder_gs_4_ckpt_path = None
    for other in [file, *(folder / config[key] for key in config if key.endswith("_config_path") and config[key])]:
        found = OmegaConf.load(other)
        if not checkpoints.is_released(folder, other):
            check_targets(found, other.name)
        check_backbones(found, other.name, folder)
    config.workspace_dir = str(folder)
    config.device = "cpu"
    config.rendering_engine = "pytorch3d"  # the other one, nvdiffrast, is not for commercial use
    # The released file says true; upstream's warm-up then calls `run_layout_model`, which is not public.
    config.compile_model = False
    config.depth_model.device = "cpu"
    model = config.depth_model.model
    if "pretrained_model_name_or_path" in model and not Path(model.pretrained_model_name_or_path).is_file():
        model.pretrained_model_name_or_path = str(folder / MOGE_FILE)
    return config


def check_targets(config: Any, name: str) -> None:
    """Refuse a configuration that would call something else than the released ones do. Raises NotReady."""
    if target := targets.forbidden(config):
        raise NotReady(f"The configuration {name} names '{target}', which is no part of the model.")


def check_backbones(config: Any, name: str, folder: Path) -> None:
    """Refuse a configuration that takes DINOv2's code from where the manifest lists none. Raises NotReady."""
    for dino in _backbones(config):
        place = str(dino.get("repo_or_dir", DINO_FOLDER)) if dino.get("source") == "local" else DINO_FOLDER
        if not checkpoints.is_code_folder(folder, place):
            raise NotReady(f"The configuration {name} takes code from a folder for which the manifest lists none.")


def _backbones(node: Any) -> Iterator[Any]:
    """List the nodes of DINOv2's wrapper, at any depth."""
    if isinstance(node, DictConfig):
        if str(node.get("_target_", "")).endswith(".dino.Dino"):
            yield node
        for key in node:
            yield from _backbones(node[key])
    elif isinstance(node, ListConfig):
        for child in node:
            yield from _backbones(child)


def local_backbones(config: Any, folder: Path) -> None:
    """Let every DINOv2 in the configuration come from below `folder`, without weights of its own.

    `Dino` (backbone/dit/embedder/dino.py) asks torch.hub for code and weights; its weights are in the checkpoints.
    """
    for dino in _backbones(config):
        if dino.get("source", "github") != "local":
            dino.source = "local"
            dino.repo_or_dir = DINO_FOLDER
            dino.backbone_kwargs = {**(dino.get("backbone_kwargs") or {}), "pretrained": False}
        dino.repo_or_dir = str(folder / dino.get("repo_or_dir", DINO_FOLDER))


@contextmanager
def without_initialisation() -> Iterator[None]:
    """Modules are built without filling their weights: a strict load overwrites every one of them."""
    init = torch.nn.init
    names = [name for name in vars(init) if name.endswith("_") and not name.startswith("__")]
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(rebound(init, name, lambda tensor, *_, **__: tensor))
        yield


def read_state(file: Path, key: str | None, folder: Path) -> dict[str, Any]:
    """Return a state dictionary, mapped from its file: only what is used is ever read, and only once.

    key: where it lies in what the file holds; None: it is all of it. folder: whose manifest says whether a file with
    more than tensors may be unpickled, which runs what is in it. Raises NotReady when it does not.
    """
    try:
        content = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
    except pickle.UnpicklingError:
        # A training checkpoint may carry more than tensors. Upstream reads it all.
        if not checkpoints.is_listed(folder, file):
            raise NotReady(
                f"The checkpoint {file.name} holds more than tensors or is damaged. It is read only when its SHA-256 "
                "stands in the manifest."
            ) from None
        log.warning("%s holds more than tensors; it is unpickled as upstream does", file.name)
        content = torch.load(file, map_location="cpu", mmap=True, weights_only=False)
    state: dict[str, Any] = content if key is None else content[key]
    return state


def load_strictly(module: Any, state: Mapping[str, Any], name: str) -> None:
    """Put a state dictionary into the module, in the module's precision, frozen. Raises NotReady if they do not fit."""
    wanted = module.state_dict()
    # In the module's dtype, as copying would: a file may hold float16 for a module that computes in float32.
    cast = {key: value.to(wanted[key].dtype) if key in wanted else value for key, value in state.items()}
    try:
        module.load_state_dict(cast, strict=True, assign=True)
    except RuntimeError as exc:
        raise NotReady(f"The checkpoint {name} does not fit its configuration.") from exc
    module.requires_grad_(False)
    module.eval()


def let_go_of_file(module: Any, state: Mapping[str, Any]) -> None:
    """Copy what of `state` still lies in the mapped file: its pages count as this process's memory while it is mapped,
    and a file that goes away would end the process with a bus error."""
    mapped = {tensor.untyped_storage().data_ptr() for tensor in state.values()}
    for holder in module.modules():
        for tensors in (holder._parameters, holder._buffers):
            for tensor in tensors.values():
                if tensor is not None and tensor.untyped_storage().data_ptr() in mapped:
                    tensor.data = tensor.data.clone()
