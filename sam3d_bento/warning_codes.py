"""Warnings about a result that succeeded: stable codes with a sentence each.

The codes are in `X-Warnings`, in the JSON report and in the GLB's `asset.extras.warnings`.
"""

from enum import StrEnum


class WarningCode(StrEnum):
    """Warning code. `sentence` describes it for people."""

    FIRST_FRAME_ONLY = "first_frame_only"
    HDR_TONE_MAPPED = "hdr_tone_mapped"
    SEVERAL_OBJECTS = "several_objects"
    OBJECTS_TOUCH = "objects_touch"
    CUT_BY_FRAME = "cut_by_frame"
    MASK_VALUES_STRETCHED = "mask_values_stretched"
    SHAPE_GUESSED = "shape_guessed"
    QUALITY_IGNORED = "quality_ignored"
    SEED_IGNORED = "seed_ignored"
    SHAPE_IGNORED = "shape_ignored"
    SPLATS_MISSING = "splats_missing"
    DEVIATION_EXCEEDED = "deviation_exceeded"
    OBJECTS_FAILED = "objects_failed"
    PLACEMENT_GUESSED = "placement_guessed"
    CAMERA_OFF_CENTRE = "camera_off_centre"

    @property
    def sentence(self) -> str:
        return _SENTENCES[self]


_SENTENCES = {
    WarningCode.FIRST_FRAME_ONLY: "The image is animated or has several pages; only the first was used.",
    WarningCode.HDR_TONE_MAPPED: "The image is HDR (PQ or HLG); values brighter than white were compressed.",
    WarningCode.SEVERAL_OBJECTS: (
        "Several separate objects were found; only the largest was reconstructed. Point at another one, or send its "
        "mask."
    ),
    WarningCode.OBJECTS_TOUCH: (
        "This looks like two objects that touch; they became one model. Send a mask of one of them."
    ),
    WarningCode.CUT_BY_FRAME: (
        "The object touches the border of the photo; the part outside the photo is missing from the model."
    ),
    WarningCode.MASK_VALUES_STRETCHED: (
        "The mask's two values are not white and black; the higher value was used as the object."
    ),
    WarningCode.SHAPE_GUESSED: "The preview engine fits a shape to the silhouette: thickness and the back are guessed.",
    WarningCode.QUALITY_IGNORED: "The preview engine has only one quality; the option 'quality' was ignored.",
    WarningCode.SEED_IGNORED: "Nothing in the preview engine is random; the option 'seed' was ignored.",
    WarningCode.SHAPE_IGNORED: "Only the preview engine has shape classes; the option 'shape' was ignored.",
    WarningCode.DEVIATION_EXCEEDED: (
        "Even the largest number of faces deviates more than 'max_deviation'; 'deviation' in the report says how much."
    ),
    WarningCode.OBJECTS_FAILED: "Some objects of the scene are missing; their 'problem' in the report says why.",
    WarningCode.PLACEMENT_GUESSED: (
        "How far away the objects of the scene are, and so how large, is guessed. Send the photo's depth to measure it."
    ),
    WarningCode.CAMERA_OFF_CENTRE: (
        "The camera's principal point is not the middle of the photo, which glTF cannot say. It is in the camera's "
        "extras."
    ),
    WarningCode.SPLATS_MISSING: "The engine made no splats to colour the texture with; the mesh's colours were used.",
}
