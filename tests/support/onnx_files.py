"""Networks in the ONNX format, written byte by byte: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from sam3d_bento.weights.sets import SETS

KINDS = {"float32": 1, "int64": 7}  # TensorProto.DataType


def number(field, value):
    """A field that holds a number."""
    return _varint(field << 3) + _varint(value)


def part(field, content):
    """A field that holds bytes, a text or a message."""
    content = content.encode() if isinstance(content, str) else content
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value):
    coded = bytearray()
    while value > 127:
        coded.append(value & 127 | 128)
        value >>= 7
    return bytes([*coded, value])


def node(kind, inputs, outputs, **attributes):
    """A node. attributes: whole numbers, or lists of these."""
    fields = [part(1, name) for name in inputs] + [part(2, name) for name in outputs] + [part(4, kind)]
    for name, value in attributes.items():
        held = number(3, value) + number(20, 2) if isinstance(value, int) else b""
        held = held or b"".join(number(8, one) for one in value) + number(20, 7)
        fields.append(part(5, part(1, name) + held))
    return part(1, b"".join(fields))


def constant(name, array):
    fields = [number(1, side) for side in array.shape]
    return part(5, b"".join(fields) + number(2, KINDS[str(array.dtype)]) + part(8, name) + part(9, array.tobytes()))


def port(field, name, kind, shape):
    """An input (field 11) or an output (12). shape: a text stands for a side of any length."""
    sides = [part(1, part(2, side) if isinstance(side, str) else number(1, side)) for side in shape]
    tensor = number(1, KINDS[kind]) + part(2, b"".join(sides))
    return part(field, part(1, name) + part(2, part(1, tensor)))


def model(graph):
    return number(1, 8) + part(7, part(2, "test") + b"".join(graph)) + part(8, number(2, 14))


def size_network(points, metres, certain=None, *, shift=0.0, by_red=False, scale_name="scale"):
    """A network with MoGe-2's inputs and outputs that has seen one scene of a fixed size.

    points (H, W, 3): of the scene, in OpenCV's frame, in a unit of `metres`. Their z lacks `shift`. certain (H, W):
    where they are known. by_red: multiply the points with the picture's red, 0..1. The scale is right for 1,800 tokens.
    """
    height, width = points.shape[:2]
    certain = np.ones((height, width)) if certain is None else certain
    constants = {
        "scene": points.transpose(2, 0, 1)[None].astype(np.float32),
        "lack": np.float32([0, 0, shift]).reshape(1, 3, 1, 1),
        "weight": np.float32([by_red]).reshape(1, 1, 1, 1),
        "rest": np.float32([not by_red]).reshape(1, 1, 1, 1),
        "metres": np.float32([metres / 1800]),
        "certain": certain[None].astype(np.float32),
    }
    graph = [
        node("Split", ["image"], ["red", "green", "blue"], axis=1),
        node("Mul", ["red", "weight"], ["weighted"]),
        node("Add", ["weighted", "rest"], ["factor"]),
        node("Mul", ["scene", "factor"], ["seen"]),
        node("Sub", ["seen", "lack"], ["affine"]),
        node("Transpose", ["affine"], ["points"], perm=[0, 2, 3, 1]),
        node("Identity", ["points"], ["normal"]),
        node("Identity", ["certain"], ["mask"]),
        node("Cast", ["num_tokens"], ["tokens"], to=KINDS["float32"]),
        node("Mul", ["tokens", "metres"], [scale_name]),
        *(constant(name, array) for name, array in constants.items()),
        port(11, "image", "float32", [1, 3, "height", "width"]),
        port(11, "num_tokens", "int64", []),
        port(12, "points", "float32", [1, height, width, 3]),
        port(12, "normal", "float32", [1, height, width, 3]),
        port(12, "mask", "float32", [1, height, width]),
        port(12, scale_name, "float32", [1]),
    ]
    return model(graph)


def install_size_model(folder, content, monkeypatch):
    """Put a network's file where the size model is, and let the list of weights expect it."""
    (file,) = SETS["size"].files
    expected = replace(file, size=len(content), sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(SETS, "size", replace(SETS["size"], files=(expected,)))
    path = folder / file.name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path
