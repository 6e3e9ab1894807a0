"""The unwrap alone: beside xatlas on every case, and how its time grows with the faces.

Usage: python benchmarks/unwrap.py. Takes five minutes; prints two tables, writes benchmarks/results/unwrap.json.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from export import RESULTS, machine
from export_cases import CASES
from export_paths import TARGET_FACES, plain_xatlas

from sam3d_bento import malloc
from sam3d_bento.export.mesh.clean import clean
from sam3d_bento.export.mesh.simplify import simplify_visible
from sam3d_bento.export.uv.unwrap import unwrap

TEXTURE_SIZE = 1024
RUNS = 5
SIZES = (10_000, 20_000, 40_000, 80_000, 160_000, 200_000)
GROWING = ("blob", "gyroid")  # few charts, many charts


def main() -> None:
    before = machine()
    malloc.keep_for_reuse()  # as in the engine process
    cases: dict[str, Any] = {}
    growth: dict[str, list[tuple[int, float]]] = {}
    print("| case | ours, s | xatlas, s | times ours |\n|---|---|---|---|")
    for name, make in CASES.items():
        dense = clean(make().reconstruction)
        mesh = simplify_visible(dense, TARGET_FACES)
        # Ours before and after, since a shared machine is not equally fast all the time.
        before_it = seconds(unwrap, mesh, RUNS)
        xatlas = seconds(plain_xatlas, mesh, 1 if name not in GROWING else 3)
        ours = round((before_it + seconds(unwrap, mesh, RUNS)) / 2, 3)
        cases[name] = {"faces": len(mesh[1]), "ours": ours, "xatlas": xatlas}
        print(f"| {name} | {ours:.2f} | {xatlas:.2f} | {xatlas / ours:.1f} |", flush=True)
        if name in GROWING:
            meshes = [simplify_visible(dense, size) for size in SIZES]
            growth[name] = [(len(mesh[1]), seconds(unwrap, mesh, RUNS)) for mesh in meshes]
    for name, row in growth.items():
        print(f"\n{name}: " + ", ".join(f"{faces:,} faces {took:.2f} s" for faces, took in row))
    result = {"machine": before, "date": datetime.now(UTC).date().isoformat(), "runs": RUNS, "cases": cases}
    (RESULTS / "unwrap.json").write_text(json.dumps(result | {"seconds_by_faces": growth}, indent=1) + "\n")


def seconds(way: Callable[..., Any], mesh: Any, runs: int) -> float:
    """Wall seconds, the median of the runs."""
    took = []
    for _ in range(runs):
        started = time.perf_counter()
        way(*mesh, TEXTURE_SIZE)
        took.append(time.perf_counter() - started)
    return round(statistics.median(took), 3)


if __name__ == "__main__":
    main()
