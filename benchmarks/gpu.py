"""Measure the SAM 3D engine on a GPU: seconds and memory of every stage, in each memory profile, beside stock upstream.

The weights are random, the architecture is the released one at full size (`engines/sam3d/architecture.py`), the object
is made up: a gyroid in a ball, of which a given number of voxels is occupied and whose surface the mesh has. So memory
and time are those of the real network for that many voxels; what it would reconstruct is not shown.

    python benchmarks/gpu.py checkpoints DIR          write the random checkpoints (12.6 GB)
    python benchmarks/gpu.py engine DIR [options]     our engine, one line of JSON for each kind of run
    python benchmarks/gpu.py stock DIR [options]      upstream's own pipeline, likewise
    python benchmarks/gpu.py requests DIR [options]   our engine as the service has it, one request after the other
    python benchmarks/gpu.py report FILE...           those lines as a table, and benchmarks/results/gpu.json

`--cap BYTES` stands for a smaller card: torch may then use no more than that, less what else is on the GPU.
`--repeats N` gives medians; each repetition is of an object with a few voxels more, as no two real ones have the same
number. `--keep-cache` leaves out the `empty_cache` between them, which the service does not call either.
`--kernels off` measures the engine without Triton's kernels. The torch sparse convolution is always used here, and
upstream's attention without flash_attn.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import full_size
from gyroid import Gyroid, photo
from stages import Meter, limit, measured, together

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

MORE_VOXELS = 60  # from one repetition to the next
PAGE = os.sysconf("SC_PAGE_SIZE")


def run_engine(options: argparse.Namespace) -> None:
    """Our engine without the service, in one memory profile and without a second attempt."""
    import torch

    from sam3d_bento.engines.sam3d.inference import Inference, Steps
    from sam3d_bento.engines.sam3d.memory.profiles import PROFILES

    limit(options.cap)
    started = time.perf_counter()
    profile = PROFILES[options.profile]
    inference = Inference(str(options.folder / "pipeline.yaml"), profile=profile, kernels=options.kernels)
    inference.rest()
    loaded(options.profile, options.cap, started)
    residency = inference.pipeline.residency
    enter, result = residency.enter, None
    image, mask = photo()

    def run(steps):
        nonlocal result
        result = inference.generate_single_object(image, mask, 0, steps=steps, splats=True)
        return result.details["voxels"], len(result.faces)

    for voxels in options.voxels:
        Gyroid(voxels).impose(inference.pipeline.models)
        measured(lambda: run(Steps(2, 2)), Meter())  # the first run of a process
        for stage1, stage2 in options.steps:
            runs = []
            for repetition in range(options.repeats):
                Gyroid(voxels + MORE_VOXELS * repetition).impose(inference.pipeline.models)
                inference.rest()
                meter = Meter()
                residency.enter = lambda stage, meter=meter: meter.enter(stage, lambda: enter(stage))
                steps = Steps(stage1, stage2, shortcut=stage1 == 4)
                runs.append(measured(lambda steps=steps: run(steps), meter))
                residency.enter = enter
                if not options.keep_cache:
                    torch.cuda.empty_cache()
            line = {"what": "engine", "profile": options.profile, "cap": options.cap, "steps": f"{stage1}+{stage2}"}
            line |= {"kernels": inference.pipeline.kernels, "keep_cache": options.keep_cache}
            tell(line | {"asked_voxels": voxels} | together(runs))
    if options.profile_kernels:
        profile_kernels(lambda: run(Steps(4, 6)))
    if options.export:
        for _ in range(3):  # the first one of a process compiles and reads
            tell({"what": "export", "cores": os.cpu_count()} | exported(result))


def exported(result) -> dict:
    """Export a reconstruction: seconds, those of the processors, and the seconds at which each share was done."""
    from sam3d_bento import export
    from sam3d_bento.options import Options

    reached: dict[str, float] = {}
    started, spent = time.perf_counter(), time.process_time()

    def on_progress(fraction):
        reached[f"{fraction:.2f}"] = round(time.perf_counter() - started, 2)

    made = export.to_glb(result, Options(), {}, on_progress)
    gaussians = 0 if result.splats is None else len(result.splats.positions)
    return {
        "faces": len(result.faces),
        "gaussians": gaussians,
        "exported_faces": made.extras["faces"],
        "seconds": round(time.perf_counter() - started, 2),
        "cpu_seconds": round(time.process_time() - spent, 2),
        "seconds_at": reached,
    }


def run_stock(options: argparse.Namespace) -> None:
    """Upstream's own class, with its loading, attention and dense extraction, but without its GLB."""
    import torch
    from hydra.errors import InstantiationException

    from sam3d_bento.engines.sam3d.inference import Steps
    from tests.support import reference

    limit(options.cap)
    package = "sam3d_objects.model.backbone.tdfy_dit.modules.sparse.attention"
    masked_sdpa = importlib.import_module(f"{package}.masked_sdpa").masked_sdpa
    for name in ("full_attn", "windowed_attn"):
        importlib.import_module(f"{package}.{name}").masked_sdpa = masked_sdpa
    # Beside the checkpoints: links do not leave their file system.
    folder = Path(tempfile.mkdtemp(dir=options.folder.parent, prefix="stock-")) / "checkpoints"
    started = time.perf_counter()
    try:
        pipeline = reference.stock(options.folder, folder, "cuda")
    except (RuntimeError, InstantiationException) as exc:
        tell({"what": "load", "profile": "stock", "cap": options.cap, "outcome": str(exc).splitlines()[0]})
        return
    finally:
        shutil.rmtree(folder.parent)
    loaded("stock", options.cap, started)
    image, mask = photo()

    def run(steps, meter):
        watch_stock(pipeline, meter)
        meter.enter("depth")
        output = reference.run_stock(pipeline, image, mask, 0, steps)
        return len(output["coords"]), len(output["mesh"][0].faces)

    for voxels in options.voxels:
        Gyroid(voxels).impose(pipeline.models)
        first = measured(lambda: run(Steps(2, 2), Meter()), Meter())  # the first run of a process
        torch.cuda.empty_cache()
        line = {"what": "engine", "profile": "stock", "cap": options.cap, "asked_voxels": voxels}
        if first["outcome"] != "done":
            tell(line | {"steps": "2+2"} | first)
            continue
        for stage1, stage2 in options.steps:
            runs = []
            for repetition in range(options.repeats):
                Gyroid(voxels + MORE_VOXELS * repetition).impose(pipeline.models)
                meter, steps = Meter(), Steps(stage1, stage2)
                runs.append(measured(lambda steps=steps, meter=meter: run(steps, meter), meter))
                torch.cuda.empty_cache()
            tell(line | {"steps": f"{stage1}+{stage2}"} | together(runs))


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


def run_requests(options: argparse.Namespace) -> None:
    """Loading and `--repeats` requests of standard quality: seconds, and the memory after each."""
    import torch

    from sam3d_bento.engines.sam3d.engine import Sam3dEngine
    from sam3d_bento.options import Options
    from sam3d_bento.progress import silent
    from sam3d_bento.reconstruction import Mask, Photo

    limit(options.cap)
    started = time.perf_counter()
    engine = Sam3dEngine(options.folder, options.profile, options.kernels)
    engine.load()
    loaded(options.profile, options.cap, started)
    pixels, inside = photo()
    given = Photo(rgb=pixels, alpha=None, original_size=pixels.shape[1::-1])
    mask = Mask(pixels=inside, source="upload", coverage=float(inside.mean()))
    (voxels,) = options.voxels
    after: dict[str, list[float]] = {"seconds": [], "allocated_bytes": [], "reserved_bytes": [], "host_bytes": []}
    for request in range(options.repeats):
        Gyroid(voxels + MORE_VOXELS * request).impose(engine._inference.pipeline.models)
        torch.cuda.synchronize()
        started = time.perf_counter()
        engine.reconstruct(given, mask, Options(), request, silent, splats=True)
        after["seconds"].append(round(time.perf_counter() - started, 2))
        after["allocated_bytes"].append(torch.cuda.memory_allocated())
        after["reserved_bytes"].append(torch.cuda.memory_reserved())
        after["host_bytes"].append(int(Path("/proc/self/statm").read_text().split()[1]) * PAGE)
    tell({"what": "requests", "profile": options.profile, "cap": options.cap, "asked_voxels": voxels} | after)


def loaded(profile: str, cap: float | None, started: float) -> None:
    """Report the loading that began at `started`."""
    import torch

    torch.cuda.synchronize()
    free, total = torch.cuda.mem_get_info()
    line = {"what": "load", "profile": profile, "cap": cap, "outcome": "done"}
    line |= {
        "seconds": round(time.perf_counter() - started, 1),
        "resident_bytes": torch.cuda.memory_allocated(),
        "beside_torch_bytes": total - free - torch.cuda.memory_reserved(),
        "host_peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    tell(line)


def tell(line: dict) -> None:
    print(json.dumps(line), flush=True)


def profile_kernels(run) -> None:
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as seen:
        run()
    print(seen.key_averages().table(sort_by="cuda_time_total", row_limit=25, max_name_column_width=70), file=sys.stderr)


def report(files: list[Path]) -> None:
    """Print the lines as a table, and write them, a run a line, with the machine that this runs on."""
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines() if line.startswith("{")]
    print(f"{'':8} {'steps':>7} {'voxels':>7} {'faces':>9} {'seconds':>8} {'peak GB':>8}  seconds/GB of each stage")
    for line in lines:
        if line["what"] != "engine":
            print(json.dumps(line))
            continue
        peak = max((stage["peak_bytes"] for stage in line["stages"].values()), default=0)
        cells = " ".join(f"{s['seconds']:.2f}/{s['peak_bytes'] / 1e9:.1f}" for s in line["stages"].values())
        cap = f" cap {line['cap'] / 1e9:.0f}" if line["cap"] else ""
        print(
            f"{line['profile']:8} {line['steps']:>7} {line['asked_voxels']:>7} {line.get('faces', 0):>9}"
            f" {line['seconds']:>8.2f} {peak / 1e9:>8.2f}  {cells}{cap}"
            f" {'' if line['outcome'] == 'done' else line['outcome']}"
        )
    target = ROOT / "benchmarks" / "results" / "gpu.json"
    runs = ",\n  ".join(json.dumps(line) for line in lines)
    target.write_text(f'{{\n "machine": {json.dumps(machine())},\n "runs": [\n  {runs}\n ]\n}}\n')


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
    for name in ("engine", "stock", "requests"):
        command = commands.add_parser(name)
        command.add_argument("folder", type=Path)
        command.add_argument("--profile", default="24gb")
        command.add_argument("--voxels", type=int, nargs="+", default=[26_000])
        command.add_argument("--steps", type=steps, nargs="+", default=[(25, 25)])
        command.add_argument("--repeats", type=int, default=1)
        command.add_argument("--cap", type=float)
        command.add_argument("--kernels", choices=("auto", "off"), default="auto")
        command.add_argument("--keep-cache", action="store_true")
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
        full_size.write_checkpoints(options.folder)
    else:
        {"engine": run_engine, "stock": run_stock, "requests": run_requests}[options.command](options)


def steps(text: str) -> tuple[int, int]:
    first, _, second = text.partition("+")
    return int(first), int(second)


if __name__ == "__main__":
    main()
