"""The object of the measurements: made up, so that its number of voxels and its surface are known."""

from __future__ import annotations


class Gyroid:
    """The surface sin x cos y + sin y cos z + sin z cos x = 0 in a ball, cut by about `voxels` cells of 64³."""

    def __init__(self, voxels: int) -> None:
        import torch

        steps = torch.arange(65.0, device="cpu")
        self.corners = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), -1)
        self.radius = min(30.0, 0.25 * voxels**0.5)  # 14,400 cells are the least that fill the largest ball
        low, high = 0.05, 1.2
        for _ in range(24):  # more waves, more surface
            self.waves = (low + high) / 2
            self.occupied = self._cut()
            low, high = (self.waves, high) if self.occupied.sum() < voxels else (low, self.waves)

    def field(self, points, divide: float = 1.0):
        """(..., 3) in voxels ► (...), negative inside. About a distance in voxels near the surface."""
        import torch

        x, y, z = (points / divide - 32).mul(self.waves).unbind(-1)
        gyroid = x.sin() * y.cos() + y.sin() * z.cos() + z.sin() * x.cos()
        ball = (points / divide - 32).norm(dim=-1) - self.radius
        return torch.maximum(gyroid / (1.5 * self.waves), ball)

    def _cut(self):
        inside = self.field(self.corners) < 0
        count = sum(inside[i : i + 64, j : j + 64, k : k + 64].int() for i in (0, 1) for j in (0, 1) for k in (0, 1))
        return (count > 0) & (count < 8)

    def impose(self, models) -> None:
        """Occupy its voxels after stage 1, and give the mesh its distances, instead of the object before it."""
        from sam3d_objects.model.backbone.tdfy_dit.representations.mesh.utils_cube import cube_corners

        occupancy = self.occupied.float()[None, None] * 2 - 1

        def occupy(module, inputs, output):
            return occupancy.to(output)

        def shape(module, inputs, output):
            feats = output.feats
            for start in range(0, len(feats), 1 << 18):
                rows = slice(start, start + (1 << 18))
                corners = output.coords[rows, None, 1:].float() + cube_corners.to(output.coords)
                feats[rows, :8] = self.field(corners, 4.0).to(feats)
            return output

        for module, hook in ((models["ss_decoder"], occupy), (models["slat_decoder_mesh"].out_layer, shape)):
            for key, other in list(module._forward_hooks.items()):
                if getattr(other, "__module__", "") == __name__:  # not the engine's own, which come first
                    del module._forward_hooks[key]
            module.register_forward_hook(hook)


def photo(edge: int = 1024):
    """(edge, edge, 3) uint8, smooth noise; its mask, a disc."""
    import numpy as np

    row, column = np.mgrid[:edge, :edge] / edge
    waves = [np.sin(40 * row + 3 * i) + np.cos(31 * column - 2 * i) for i in range(3)]
    image = np.stack([(wave + 2) / 4 * 255 for wave in waves], -1).astype(np.uint8)
    return image, (row - 0.5) ** 2 + (column - 0.5) ** 2 < 0.35**2
