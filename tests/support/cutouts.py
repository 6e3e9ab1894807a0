"""Cut-outs of any shape, size and level, with what was erased still in the colours under alpha 0."""

import io
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

FINE = 4  # drawn so many times larger and reduced: antialiased


@dataclass(frozen=True)
class Picture:
    """rgb: (H, W, 3) uint8. alpha: (H, W) uint8. visible: (H, W) bool, at least half of the object's level."""

    rgb: np.ndarray
    alpha: np.ndarray
    visible: np.ndarray

    def with_other_hidden_colours(self, rng):
        """The same to everybody who looks at it."""
        noise = rng.integers(0, 256, self.rgb.shape).astype(np.uint8)
        return replace(self, rgb=np.where((self.alpha == 0)[..., None], noise, self.rgb))

    def png(self):
        file = io.BytesIO()
        Image.fromarray(np.dstack([self.rgb, self.alpha])).save(file, "PNG", compress_level=1)
        return file.getvalue()


def ellipse(draw, rng, side):
    x, y = rng.uniform(0.1, 0.9, 2) * side
    width, height = rng.uniform(0.05, 0.6, 2) * side
    draw.ellipse((x - width, y - height, x + width, y + height), fill=255)


def star(draw, rng, side):
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 12)))
    radii = rng.uniform(0.1, 0.6, len(angles)) * side
    middle = rng.uniform(0.3, 0.7, 2) * side
    draw.polygon(
        [tuple(middle + r * np.array([np.cos(a), np.sin(a)])) for a, r in zip(angles, radii, strict=True)], 255
    )


def frame(draw, rng, side):
    inset = rng.uniform(0.02, 0.25) * side
    draw.rectangle((0, 0, side, side), fill=255)
    draw.rectangle((inset, inset, side - inset, side - inset), fill=0)


def table(draw, rng, side):
    leg, top = rng.uniform(0.05, 0.15, 2) * side
    draw.rectangle((0, 0, side, top), fill=255)
    draw.rectangle((0, 0, leg, side), fill=255)
    draw.rectangle((side - leg, 0, side, side), fill=255)


def dots(draw, rng, side):
    for x, y, radius in rng.uniform((0, 0, 0.03), (1, 1, 0.1), (rng.integers(2, 12), 3)) * side:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)


def blob(draw, rng, side):
    field = ndimage.gaussian_filter(rng.normal(size=(side // FINE, side // FINE)), side / FINE / 12)
    field = ndimage.zoom(field, FINE, order=1)
    draw.bitmap((0, 0), Image.fromarray(np.where(field > np.quantile(field, 0.6), 255, 0).astype(np.uint8)), fill=255)


def rod(draw, rng, side):
    """A pixel or two thin: on whole pixels, because half a pixel's rim would be all that there is."""
    at, width = int(rng.integers(side // FINE - 2)) * FINE, int(rng.integers(1, 3)) * FINE
    draw.rectangle((at, side // 8, at + width - 1, side - side // 8 - 1), fill=255)


SHAPES = (ellipse, star, frame, table, dots, blob, rod)


def random_cut_out(rng):
    """A cut-out of one level, its covered share of the canvas anywhere between .05 % and 99.9 %."""
    while True:
        coverage = drawn(rng)
        if rng.random() < 0.3:
            coverage = trimmed(coverage)
        level = int(rng.choice([1, 2, 3, 255, *rng.integers(1, 256, 4)]))
        alpha = np.rint(level * coverage).astype(np.uint8)
        visible = (alpha > 0) & (2 * alpha.astype(int) >= level)
        solid = (alpha == level).sum() > 0.3 * (alpha > 0).sum()  # else it is nothing but rim
        enough = visible.sum() >= 64 and visible.mean() >= 0.0005 and (alpha == 0).mean() >= 0.001
        if solid and enough and min(alpha.shape) >= 16:
            return Picture(colours(rng, alpha), alpha, visible)


def small_cut_out(rng, most_pixels):
    """A random cut-out of at most `most_pixels` visible pixels: a model of it is made in half a second."""
    while True:
        picture = random_cut_out(rng)
        if picture.visible.sum() <= most_pixels:
            return picture


def drawn(rng):
    """Covered shares (H, W) of a shape, hard or antialiased, or of all but a shape, somewhere on a canvas."""
    side = int(rng.integers(16, 100))
    image = Image.new("L", (FINE * side, FINE * side))
    SHAPES[rng.integers(len(SHAPES))](ImageDraw.Draw(image), rng, FINE * side)
    fine = np.asarray(image, float).reshape(side, FINE, side, FINE) / 255
    coverage = fine.mean((1, 3)) if rng.random() < 0.6 else (fine[:, 1, :, 1] > 0.5).astype(float)
    room = rng.integers(0, rng.choice([2, 20, 200]), 4)
    coverage = np.pad(coverage, (tuple(room[:2]), tuple(room[2:])))
    return 1 - coverage if rng.random() < 0.2 else coverage


def trimmed(coverage):
    """`coverage` without the rows and columns around it in which there is nothing."""
    rows, columns = np.flatnonzero(coverage.any(1)), np.flatnonzero(coverage.any(0))
    if not len(rows):
        return coverage
    return coverage[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def colours(rng, alpha):
    """Colours (H, W, 3): the object's, and under alpha 0 any others, of a thing that was erased or of nothing."""
    height, width = alpha.shape
    own = rng.integers(0, 256, 3) + rng.normal(0, 6, (height, width, 3))
    hidden = [
        np.full((height, width, 3), rng.integers(0, 256, 3)),
        rng.integers(0, 256, (height, width, 3)),
        np.roll(own[::-1], height // 3, 0),
    ][rng.integers(3)]
    return np.where((alpha > 0)[..., None], own, hidden).clip(0, 255).astype(np.uint8)
