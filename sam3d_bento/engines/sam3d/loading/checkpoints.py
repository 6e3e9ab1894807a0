"""Whether SAM 3D's checkpoints are complete, told before torch is imported and gigabytes are read."""

from __future__ import annotations

from pathlib import Path

from sam3d_bento import weights
from sam3d_bento.errors import NotReady
from sam3d_bento.weights.part import WeightsError

NAMED_AT_MOST = 3  # faults in one sentence


def check(directory: Path) -> None:
    """Raise NotReady, naming what is missing or truncated. By size only, because every start asks.

    What must be there is the set `sam3d` of `weights.sets` without its optional files, or what the folder's own
    manifest lists.
    """
    try:
        faults = weights.verify("sam3d", directory, contents=False, optional=False)
    except WeightsError as exc:
        raise NotReady(f"The SAM 3D checkpoints in SAM3D_CHECKPOINT_DIR cannot be checked. {exc}") from exc
    except OSError as exc:
        raise NotReady(f"The folder named by SAM3D_CHECKPOINT_DIR cannot be read ({exc.strerror}).") from exc
    if faults:
        told = [fault.sentence.rstrip(".") for fault in faults[:NAMED_AT_MOST]]
        if more := len(faults) - len(told):
            told.append(f"and {more} more, which `sam3d-bento weights verify --set sam3d` names")
        raise NotReady(f"The SAM 3D checkpoints in SAM3D_CHECKPOINT_DIR are incomplete: {'; '.join(told)}.")
