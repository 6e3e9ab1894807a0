"""Report of a scene: what is said about its objects together and one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sam3d_bento.object_runs import ObjectRun
from sam3d_bento.photo import mask_report
from sam3d_bento.photo.objects.find import FoundObject
from sam3d_bento.reconstruction import Photo
from sam3d_bento.submission import Asset, Stage
from sam3d_bento.warning_codes import WarningCode

# Stages that each object has. Its export runs beside the next network.
OBJECT_STAGES: tuple[Stage, ...] = ("reconstruct", "export")

# Facts about an object that are known when the scene is assembled.
FOUND_BY_ASSEMBLY = ("faces", "deviation", "normal_map", "pose", "pose_source", "size", "silhouette_iou", "network_iou")


def describe(
    photo: Photo, found: Sequence[FoundObject], seeds: Sequence[int], runs: Sequence[ObjectRun[Asset]]
) -> dict[str, Any]:
    """Return the mask of all objects, the warnings and the objects themselves, as JSON values.

    seeds, runs: of the objects in `found`, whose runs have ended.
    """
    masks = [each.mask for each in found if each.mask is not None]
    codes = {code for mask in masks for code in (*photo.warnings, *mask.warnings)}
    codes |= {WarningCode(code) for run in runs if run.result for code in run.result.report["warnings"]}
    if any(run.result is None for run in runs):
        codes.add(WarningCode.OBJECTS_FAILED)
    return {
        "mask": mask_report.describe_union(masks),
        "warnings": [str(code) for code in WarningCode if code in codes],
        "objects": [_describe_object(photo, *each) for each in zip(found, seeds, runs, strict=True)],
    }


def measure(
    runs: Sequence[ObjectRun[Asset]], objects: Sequence[Mapping[str, Any]], seconds: Mapping[str, float]
) -> dict[str, Any]:
    """Return what the runs of the objects took, as JSON values.

    objects: what the report says about each. seconds: of the stages that all objects share.
    """
    reports = [run.result.report for run in runs if run.result]
    peaks = [report["gpu_peak_bytes"] for report in reports if report["gpu_peak_bytes"] is not None]
    spent = {stage: round(sum(run.seconds(stage) for run in runs), 4) for stage in OBJECT_STAGES}
    return {
        "gpu_peak_bytes": max(peaks, default=None),
        "retries": sum(report["retries"] for report in reports),
        "prompt_encodes": sum(report["prompt_encodes"] for report in reports),
        "seconds": {**seconds, **spent},
        "objects": [
            {**entry, "times": {stage: list(span) for stage, span in run.times.items()}}
            for entry, run in zip(objects, runs, strict=True)
        ],
    }


def _describe_object(photo: Photo, found: FoundObject, seed: int, run: ObjectRun[Asset]) -> dict[str, Any]:
    """Return what a scene's report says about an object before it is assembled, as JSON values."""
    error = run.error
    problem = None
    if error is not None:
        problem = {"code": error.code, "title": error.title, "detail": error.detail, "retryable": error.retryable}
    mask = None if found.mask is None else mask_report.describe(found.mask, photo)
    unknown = dict.fromkeys(FOUND_BY_ASSEMBLY)
    return {"name": found.name, "seed": seed, "mask": mask, **unknown, "warnings": [], "problem": problem}
