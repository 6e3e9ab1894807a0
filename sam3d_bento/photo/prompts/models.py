"""Choose the model that answers prompts, by the settings and by which weights are there."""

from __future__ import annotations

from sam3d_bento import weights
from sam3d_bento.errors import NotReady
from sam3d_bento.photo.mask_model import MaskModel
from sam3d_bento.photo.prompts import crops
from sam3d_bento.photo.prompts.answers import PromptModel
from sam3d_bento.photo.prompts.crops import CropModel
from sam3d_bento.photo.prompts.sam import MOBILE_SAM, Sam
from sam3d_bento.settings import Settings
from sam3d_bento.weights.sets import SETS

SET = "prompts"  # the weights of MobileSAM


def choose(settings: Settings) -> str:
    """Return the name of the model that the settings select. Raises NotReady if its files are not there or are wrong.

    `auto` takes the mask model if none of MobileSAM's files is there.
    """
    if settings.prompt_model == crops.NAME:
        return crops.NAME
    faults = [weights.check(file, settings.prompt_dir / file.name) for file in SETS[SET].files]
    found = [fault for fault in faults if fault is not None]
    if not found:
        return MOBILE_SAM.name
    if settings.prompt_model == "auto" and all(fault is not None and fault.kind == "missing" for fault in faults):
        return crops.NAME
    raise NotReady(f"The prompt model cannot be used: {found[0].sentence} Run `sam3d-bento weights fetch --set {SET}`.")


def load(name: str, mask_model: MaskModel, settings: Settings) -> PromptModel:
    """Load the model that `choose` has named. Raises NotReady if its files cannot be loaded."""
    return CropModel(mask_model) if name == crops.NAME else Sam(MOBILE_SAM, settings.prompt_dir)
