"""Checkpoints of the released architecture at full size, with random weights, in the layout of Meta's files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

HUBCONF = """
from moge.model.dinov2.hub.backbones import dinov2_vitl14_reg

dependencies = ["torch"]
"""


def write_checkpoints(folder: Path) -> None:
    """Write them to a new `folder`: 12.6 GB. Upstream must be prepared, and the project on the path."""
    import torch
    import yaml
    from hydra.utils import instantiate
    from moge.model.v1 import MoGeModel
    from omegaconf import OmegaConf

    from sam3d_bento.engines.sam3d import mesh_extraction, upstream
    from sam3d_bento.engines.sam3d.loading import modules
    from sam3d_bento.engines.sam3d.memory import architecture
    from tests.support import tiny

    torch.manual_seed(0)
    folder.mkdir(parents=True)
    (folder / "dinov2").mkdir()
    (folder / "dinov2" / "hubconf.py").write_text(HUBCONF)
    configs: dict[str, dict] = {"pipeline.yaml": tiny.pipeline(image=518)}
    for part, (file, *keys) in architecture.FILES.items():
        node = configs.setdefault(file, {})
        for key in keys[:-1]:
            node = node.setdefault(key, {})
        if keys:
            node[keys[-1]] = architecture.RELEASED[part]
        else:
            node |= architecture.RELEASED[part]
    for name, config in configs.items():
        (folder / name).write_text(yaml.safe_dump(json.loads(json.dumps(config)), sort_keys=False))
    device = torch.device("cuda")
    with device, upstream.computing_on(device), mesh_extraction.without_dense_grid():
        for name in tiny.GENERATORS:
            config = OmegaConf.load(folder / f"{name}.yaml")
            modules.local_backbones(config, folder)
            state = {}
            for part in ("generator", "condition_embedder"):
                module = instantiate(config.module[part].backbone)
                tiny.fill_zeros(module)
                if part == "condition_embedder":
                    if name == "ss_generator":
                        backbone = {
                            key: value.cpu() for key, value in module.module_list[0].backbone.state_dict().items()
                        }
                    for dino in module.module_list[:2]:
                        dino.backbone.load_state_dict(backbone)
                state |= {f"_base_models.{part}.{key}": value.cpu() for key, value in module.state_dict().items()}
                del module
            torch.save({"state_dict": state}, folder / f"{name}.ckpt")
        for name in tiny.DECODERS:
            module = instantiate(OmegaConf.load(folder / f"{name}.yaml"))
            tiny.fill_zeros(module)
            torch.save(
                {key: value.float().cpu() for key, value in module.state_dict().items()}, folder / f"{name}.ckpt"
            )
            del module
        model = MoGeModel(**architecture.DEPTH_MODEL)
        points, valid = model.head.output_block
        with torch.no_grad():  # a plane three metres away, everywhere valid
            points[-1].bias.copy_(torch.tensor([0.0, 0.0, 3.0]))
            valid[-1].bias.fill_(5.0)
    (folder / "moge").mkdir()
    torch.save(
        {"model_config": architecture.DEPTH_MODEL, "model": model.cpu().state_dict()}, folder / "moge" / "model.pt"
    )
    files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    sizes = {name: {"size": path.stat().st_size, "sha256": checksum(path)} for name, path in files.items()}
    (folder / "manifest.json").write_text(json.dumps({"files": sizes}))


def checksum(path: Path) -> str:
    """Return the SHA-256 of what loading checks, and zeros for the weights, whose sizes alone are checked."""
    return "0" * 64 if path.suffix in (".ckpt", ".pt") else hashlib.sha256(path.read_bytes()).hexdigest()
