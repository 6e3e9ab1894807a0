"""Gaussians with every property different from splat to splat."""

import numpy as np

from sam3d_bento.reconstruction import Splats


def cloud(count=200):
    """Gaussians of random places, colours, opacities, sizes and directions; always the same."""
    random = np.random.default_rng(3)
    turns = random.normal(size=(count, 4))
    return Splats(
        random.uniform(-0.5, 0.5, (count, 3)).astype(np.float32),
        random.integers(0, 256, (count, 3)).astype(np.uint8),
        random.uniform(0, 1, count).astype(np.float32),
        random.uniform(0.002, 0.05, (count, 3)).astype(np.float32),
        (turns / np.linalg.norm(turns, axis=1, keepdims=True)).astype(np.float32),
    )


def upright_letter():
    """Gaussians that draw an L in the plane z = 0: its stem is red, its foot, towards +x, is blue."""
    stem = np.stack([np.full(40, -0.3), np.linspace(-0.4, 0.4, 40), np.zeros(40)], 1)
    foot = np.stack([np.linspace(-0.2, 0.4, 30), np.full(30, -0.4), np.zeros(30)], 1)
    positions = np.concatenate([stem, foot]).astype(np.float32)
    colours = np.repeat(np.uint8([[255, 0, 0], [0, 0, 255]]), [len(stem), len(foot)], axis=0)
    count = len(positions)
    return Splats(
        positions,
        colours,
        np.full(count, 0.95, np.float32),
        np.full((count, 3), 0.03, np.float32),
        np.tile(np.float32([1, 0, 0, 0]), (count, 1)),
    )
