"""Measure the SAM 3D engine on a GPU: seconds and memory of every stage, in each memory profile, beside stock upstream.

The weights are random, the architecture is the released one at full size (`engines/sam3d/architecture.py`), the object
is made up: a gyroid in a ball, of which a given number of voxels is occupied and whose surface the mesh has. So memory
and time are those of the real network for that many voxels; what it would reconstruct is not shown.

    python benchmarks/gpu.py checkpoints DIR          write the random checkpoints (12.6 GB)
    python benchmarks/gpu.py engine DIR [options]     our engine, one line of JSON a run
    python benchmarks/gpu.py stock DIR [options]      upstream's own pipeline, likewise
    python benchmarks/gpu.py report FILE...           those lines as a table, and benchmarks/results/gpu.json

`--cap BYTES` stands for a smaller card: torch may then use no more than that, less what else is on the GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "upstream")]

# The torch sparse convolution and packed attention are always used here, so that runs on all machines compare.
HUBCONF = """
from moge.model.dinov2.hub.backbones import dinov2_vitl14_reg

dependencies = ["torch"]
"""


def write_checkpoints(folder: Path) -> None:
    """Random weights at full size, in the layout of Meta's files."""
    import tiny
    import torch
    import yaml
    from hydra.utils import instantiate
    from moge.model.v1 import MoGeModel
    from omegaconf import OmegaConf

    from sam3d_bento.engines.sam3d import architecture, loading, mesh_extraction, upstream

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
            loading.local_backbones(config, folder)
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
    sizes = {name: {"size": path.stat().st_size, "sha256": "0" * 64} for name, path in files.items()}
    (folder / "manifest.json").write_text(json.dumps({"files": sizes}))


class Gyroid:
    """The object: the surface sin x cos y + sin y cos z + sin z cos x = 0 in a ball, cut by `voxels` cells of 64³."""

    def __init__(self, voxels: int) -> None:
        import torch

        steps = torch.arange(65.0, device="cpu")
        self.corners = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), -1)
        self.radius = min(30.0, 0.25 * voxels**0.5)  # 14,400 cells are the least that fill the largest ball
        low, high = 0.05, 1.2
        for _ in range(40):  # more waves, more surface
            self.waves = (low + high) / 2
            self.occupied = self._cut()
            low, high = (self.waves, high) if self.occupied.sum() < voxels else (low, self.waves)

    def field(self, points, divide: float = 1.0):
        """(..., 3) in voxels ► (...), negative inside. About a distance in voxels near the surface."""
        import torch

        x, y, z = (points / divide - 32).mul(self.waves).unbind(-1)
        gyroid = x.sin() * y.cos() + y.sin() * z.cos() + z.sin() * x.cos()
        ball = (points / divide - 32).norm(dim=-1) - self.radius
        return torch.maximum(gyroid / (1.5 * self.waves), ball)

    def _cut(self):
        inside = self.field(self.corners) < 0
        count = sum(inside[i : i + 64, j : j + 64, k : k + 64].int() for i in (0, 1) for j in (0, 1) for k in (0, 1))
        return (count > 0) & (count < 8)

    def impose(self, models) -> None:
        """Occupy its voxels after stage 1, and give the mesh its distances."""
        from sam3d_objects.model.backbone.tdfy_dit.representations.mesh.utils_cube import cube_corners

        occupancy = self.occupied.float()[None, None] * 2 - 1

        def occupy(module, inputs, output):
            return occupancy.to(output)

        def shape(module, inputs, output):
            feats = output.feats
            for start in range(0, len(feats), 1 << 18):
                rows = slice(start, start + (1 << 18))
                corners = output.coords[rows, None, 1:].float() + cube_corners.to(output.coords)
                feats[rows, :8] = self.field(corners, 4.0).to(feats)
            return output

        for module, hook in ((models["ss_decoder"], occupy), (models["slat_decoder_mesh"].out_layer, shape)):
            module.register_forward_hook(hook)


class Meter:
    """Seconds, and bytes allocated and reserved by torch, of one stage after the other."""

    def __init__(self) -> None:
        self.stages: dict[str, dict[str, float]] = {}
        self._open: tuple[str, float] | None = None

    def enter(self, stage: str, place: Callable[[], None] = lambda: None) -> None:
        """Close the stage before, and begin this one. place: puts its weights in place; counts as its time."""
        import torch

        self.close()
        started = time.perf_counter()
        place()
        torch.cuda.reset_peak_memory_stats()
        self._open = stage, started

    def close(self) -> None:
        import torch

        if self._open is None:
            return
        torch.cuda.synchronize()
        stage, started = self._open
        self.stages[stage] = {
            "seconds": round(time.perf_counter() - started, 3),
            "peak_bytes": torch.cuda.max_memory_allocated(),
            "reserved_bytes": torch.cuda.max_memory_reserved(),
            "left_bytes": torch.cuda.memory_allocated(),
        }
        self._open = None


def photo(edge: int = 1024):
    """(edge, edge, 3) uint8, smooth noise; its mask, a disc."""
    import numpy as np

    row, column = np.mgrid[:edge, :edge] / edge
    waves = [np.sin(40 * row + 3 * i) + np.cos(31 * column - 2 * i) for i in range(3)]
    image = np.stack([(wave + 2) / 4 * 255 for wave in waves], -1).astype(np.uint8)
    return image, (row - 0.5) ** 2 + (column - 0.5) ** 2 < 0.35**2


def limit(cap: float | None) -> None:
    """Let torch have `cap` bytes less what is on the GPU beside its own: context, kernels, other processes."""
    import torch

    if cap is not None:
        free, total = torch.cuda.mem_get_info()
        beside = total - free - torch.cuda.memory_reserved()
        torch.cuda.set_per_process_memory_fraction((cap - beside) / total)


def host_peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run_engine(options: argparse.Namespace) -> None:
    import torch

    from sam3d_bento.engines.sam3d.inference import Inference, Steps
    from sam3d_bento.engines.sam3d.profiles import PROFILES

    limit(options.cap)
    started = time.perf_counter()
    inference = Inference(str(options.folder / "pipeline.yaml"), profile=PROFILES[options.profile])
    inference.rest()
    torch.cuda.synchronize()
    loaded = {
        "what": "load",
        "profile": options.profile,
        "seconds": round(time.perf_counter() - started, 1),
        "resident_bytes": torch.cuda.memory_allocated(),
        "host_peak_bytes": host_peak_bytes(),
    }
    print(json.dumps(loaded), flush=True)
    residency = inference.pipeline.residency
    enter = residency.enter
    result = None
    image, mask = photo()
    for voxels in options.voxels:
        pipeline_hooks(inference.pipeline)
        gyroid = Gyroid(voxels)
        gyroid.impose(inference.pipeline.models)
        for name, steps in (("warm-up", Steps(2, 2)), *((f"{a}+{b}", Steps(a, b, a == 4)) for a, b in options.steps)):
            meter = Meter()
            residency.enter = lambda stage, meter=meter: meter.enter(stage, lambda: enter(stage))
            line = {"what": "engine", "profile": options.profile, "cap": options.cap, "steps": name}

            def run(steps=steps):
                nonlocal result
                result = inference.generate_single_object(image, mask, 0, steps=steps, splats=True)
                return result.details["voxels"], len(result.faces)

            line |= measured(run, meter, gyroid)
            residency.enter = enter
            residency.release()
            torch.cuda.empty_cache()
            if name != "warm-up":
                print(json.dumps(line), flush=True)
    if options.profile_kernels:
        profile_kernels(lambda: inference(image, mask, 0, steps=Steps(4, 6)))
    if options.export:
        from sam3d_bento import export
        from sam3d_bento.options import Options
        from sam3d_bento.progress import silent

        started = time.perf_counter()
        export.to_glb(result, Options(), {}, silent)
        print(
            json.dumps(
                {"what": "export", "faces": len(result.faces), "seconds": round(time.perf_counter() - started, 2)}
            )
        )


def run_stock(options: argparse.Namespace) -> None:
    """Upstream's own class, loading, attention and dense extraction; its GLB is left out."""
    import importlib

    import reference
    import torch
    from hydra.errors import InstantiationException

    from sam3d_bento.engines.sam3d.inference import Steps

    limit(options.cap)
    package = "sam3d_objects.model.backbone.tdfy_dit.modules.sparse.attention"
    masked_sdpa = importlib.import_module(f"{package}.masked_sdpa").masked_sdpa
    for name in ("full_attn", "windowed_attn"):
        importlib.import_module(f"{package}.{name}").masked_sdpa = masked_sdpa
    # Beside the checkpoints: links do not leave their file system.
    folder = Path(tempfile.mkdtemp(dir=options.folder.parent, prefix="stock-")) / "checkpoints"
    started = time.perf_counter()
    torch.cuda.reset_peak_memory_stats()
    line: dict = {"what": "load", "profile": "stock", "cap": options.cap}
    try:
        pipeline = reference.stock(options.folder, folder, "cuda")
        line["outcome"] = "done"
    except (RuntimeError, InstantiationException) as exc:
        line["outcome"] = str(exc).splitlines()[0]
        print(json.dumps(line), flush=True)
        return
    finally:
        shutil.rmtree(folder.parent)
    line |= {"seconds": round(time.perf_counter() - started, 1), "resident_bytes": torch.cuda.memory_allocated()}
    print(json.dumps(line | {"host_peak_bytes": host_peak_bytes()}), flush=True)
    image, mask = photo()
    for voxels in options.voxels:
        pipeline_hooks(pipeline)
        gyroid = Gyroid(voxels)
        gyroid.impose(pipeline.models)
        for name, steps in (("warm-up", Steps(2, 2)), *((f"{a}+{b}", Steps(a, b)) for a, b in options.steps)):
            meter = Meter()
            watch_stock(pipeline, meter)
            line = {"what": "engine", "profile": "stock", "cap": options.cap, "steps": name}

            def run(steps=steps, meter=meter):
                meter.enter("depth")
                output = reference.run_stock(pipeline, image, mask, 0, steps)
                return len(output["coords"]), len(output["mesh"][0].faces)

            line |= measured(run, meter, gyroid)
            torch.cuda.empty_cache()
            if name != "warm-up" or line["outcome"] != "done":
                print(json.dumps(line), flush=True)
            if line["outcome"] != "done":
                break


def measured(run: Callable[[], tuple[int, int]], meter: Meter, gyroid: Gyroid) -> dict:
    """What came of a run, its seconds and its stages. run: gives the numbers of voxels and faces."""
    from sam3d_bento.engines.sam3d import faults

    started = time.perf_counter()
    try:
        voxels, faces = run()
        outcome = {"outcome": "done", "voxels": voxels, "faces": faces}
    except RuntimeError as exc:
        if not faults.is_out_of_memory(exc):
            raise
        outcome = {"outcome": f"out of memory: {str(exc).splitlines()[0]}", "voxels": int(gyroid.occupied.sum())}
    finally:
        meter.close()
    return outcome | {"seconds": round(time.perf_counter() - started, 2), "stages": meter.stages}


def watch_stock(pipeline, meter: Meter) -> None:
    """Stages as ours are cut, by hooks on the modules that begin them."""
    begins = {
        "ss_condition": pipeline.condition_embedders["ss_condition_embedder"],
        "ss_sample": pipeline.models["ss_generator"],
        "slat_condition": pipeline.condition_embedders["slat_condition_embedder"],
        "slat_sample": pipeline.models["slat_generator"],
        "mesh": pipeline.models["slat_decoder_mesh"],
        "gaussians": pipeline.models["slat_decoder_gs"],
    }
    for stage, module in begins.items():
        for key in list(module._forward_pre_hooks):
            del module._forward_pre_hooks[key]
        module.register_forward_pre_hook(lambda *_, stage=stage: meter.enter(stage))


def pipeline_hooks(pipeline) -> None:
    """Forget the object of the round before; the engine's own hooks stay, they come first."""
    for module in (pipeline.models["ss_decoder"], pipeline.models["slat_decoder_mesh"].out_layer):
        for key, hook in list(module._forward_hooks.items()):
            if getattr(hook, "__module__", "") == __name__:
                del module._forward_hooks[key]


def profile_kernels(run) -> None:
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as seen:
        run()
    print(seen.key_averages().table(sort_by="cuda_time_total", row_limit=25, max_name_column_width=70), file=sys.stderr)


def report(files: list[Path]) -> None:
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines() if line.startswith("{")]
    stages = ("depth", "ss_condition", "ss_sample", "slat_condition", "slat_sample", "mesh", "gaussians")
    print(
        f"{'':8} {'steps':>7} {'voxels':>7} {'faces':>9} {'seconds':>8} {'peak GB':>8}  seconds/GB of "
        + ", ".join(stages)
    )
    for line in lines:
        if line["what"] != "engine":
            print(json.dumps(line))
            continue
        peak = max((stage["peak_bytes"] for stage in line["stages"].values()), default=0)
        cells = " ".join(f"{s['seconds']:.2f}/{s['peak_bytes'] / 1e9:.1f}" for s in line["stages"].values())
        cap = f" cap {line['cap'] / 1e9:.0f}" if line["cap"] else ""
        print(
            f"{line['profile']:8} {line['steps']:>7} {line['voxels']:>7} {line.get('faces', 0):>9} {line['seconds']:>8}"
            f" {peak / 1e9:>8.2f}  {cells}{cap} {'' if line['outcome'] == 'done' else line['outcome']}"
        )
    target = ROOT / "benchmarks" / "results" / "gpu.json"
    target.write_text(json.dumps({"machine": machine(), "runs": lines}, indent=1) + "\n")


def machine() -> dict:
    gpu = subprocess.run(
        ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    import torch

    return {"gpu": gpu, "cpu": platform.processor(), "cores": os.cpu_count(), "torch": torch.__version__}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("checkpoints").add_argument("folder", type=Path)
    for name in ("engine", "stock"):
        command = commands.add_parser(name)
        command.add_argument("folder", type=Path)
        command.add_argument("--profile", default="24gb")
        command.add_argument("--voxels", type=int, nargs="+", default=[9_000, 26_000, 41_000])
        command.add_argument("--steps", type=steps, nargs="+", default=[(25, 25)])
        command.add_argument("--cap", type=float)
        command.add_argument("--export", action="store_true")
        command.add_argument("--profile-kernels", action="store_true")
    commands.add_parser("report").add_argument("files", type=Path, nargs="+")
    options = parser.parse_args()
    if options.command == "report":
        report(options.files)
        return
    from sam3d_bento.engines.sam3d import upstream

    upstream.prepare("cuda")
    if options.command == "checkpoints":
        write_checkpoints(options.folder)
    elif options.command == "engine":
        run_engine(options)
    else:
        run_stock(options)


def steps(text: str) -> tuple[int, int]:
    first, _, second = text.partition("+")
    return int(first), int(second)


if __name__ == "__main__":
    main()
