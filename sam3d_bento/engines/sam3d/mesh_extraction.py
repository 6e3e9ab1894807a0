"""The mesh decoder's last step on the surface alone: the same mesh in a fraction of the memory.

Upstream's SparseFeatures2Mesh (representations/mesh/cube2mesh.py) lays its features out in a dense grid of res^3 cubes:
at res 256, 1.5 GB held from construction on and 4.6 GB more for each mesh, though only cubes that the surface cuts
count. Here only those are made, and upstream's FlexiCubes gets them in upstream's order.

Codes: with S = res + 1 vertices along an axis, the grid vertex (x, y, z) has the code (x * S + y) * S + z, its index in
upstream's dense grid, and a cube has the code of its first corner; both sort as upstream's indices do. No cube has a
coordinate `res`, and a step over the edge of the grid always leads to such a code (-1 wraps to it), so that it never
finds a cube on the other side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from sam3d_objects.model.backbone.tdfy_dit.models.structured_latent_vae.decoder_mesh import SLatMeshDecoder
from sam3d_objects.model.backbone.tdfy_dit.modules.sparse import SparseGroupNorm32, SparseTensor
from sam3d_objects.model.backbone.tdfy_dit.representations.mesh import cube2mesh, utils_cube
from sam3d_objects.model.backbone.tdfy_dit.representations.mesh.flexicubes.flexicubes import FlexiCubes

from sam3d_bento.engines.sam3d.upstream import overridden, rebound

VERTICES_AT_A_TIME = 1 << 18  # 8 corners of 8 bytes each: 17 MB per temporary


@contextmanager
def without_dense_grid() -> Iterator[None]:
    """Within, upstream's mesh decoder and its extractor are built without the dense grid, which stays empty."""

    def no_grid(res: int, device: Any = "cuda") -> tuple[torch.Tensor, torch.Tensor]:
        vertices = torch.empty((0, 3), dtype=torch.int64, device=device)
        return vertices, torch.empty((0, 8), dtype=torch.int64, device=device)

    with rebound(cube2mesh, "construct_dense_grid", no_grid):
        yield


@contextmanager
def in_chunks(decoder: SLatMeshDecoder, rows: int) -> Iterator[None]:
    """Within, the decoder's last layers hold `rows` rows in float32 at a time, and one copy of the features.

    Upstream's SparseGroupNorm32 makes four float32 copies of its input, which has millions of rows after `upsample`.
    """
    with ExitStack() as stack:
        for norm in decoder.upsample.modules():
            if isinstance(norm, SparseGroupNorm32):
                stack.enter_context(overridden(norm, "forward", partial(_group_norm, norm, rows)))
        stack.enter_context(overridden(decoder, "to_representation", partial(_to_representation, decoder)))
        yield


class SparseMeshExtractor:
    """Takes the place of a mesh decoder's `mesh_extractor`, made from that; for inference only.

    On the CPU its mesh is upstream's, bit for bit; on CUDA, where upstream's own sums vary from run to run, it is equal
    to rounding. It holds no tensor and works on the device of the features that it gets.
    """

    get_layout = cube2mesh.SparseFeatures2Mesh.get_layout

    def __init__(self, dense: cube2mesh.SparseFeatures2Mesh) -> None:
        self.res: int = dense.res
        self.sdf_bias: float = dense.sdf_bias
        self.use_color: bool = dense.use_color
        self.layouts = dense.layouts
        self.feats_channels: int = dense.feats_channels

    def __call__(self, cubefeats: SparseTensor, training: bool = False) -> cube2mesh.MeshExtractResult:
        """The surface on which the sdf of the cubes' corners is 0.

        cubefeats: coords (N, 4) int32, the batch element and the place of each active cube, in [0, res); feats
        (N, feats_channels) float32, split as `layouts` says. They are left as they are; upstream adds its bias to them.
        The mesh has vertices (V, 3) float32, about in [-0.5, 0.5], faces (F, 3) int64, and vertex_attrs (V, 6) float32
        in [0, 1] or None. Without a negative sdf it is empty and `success` is False.
        """
        if training:
            raise NotImplementedError("SparseMeshExtractor computes no training losses.")
        sdf, deform, color, weights = (
            self.get_layout(cubefeats.feats, name) for name in ("sdf", "deform", "color", "weights")
        )
        parts = [sdf + self.sdf_bias, deform, color][: 3 if self.use_color else 2]
        grid = _Grid(self.res, cubefeats.coords[:, 1:])
        surface = grid.surface(parts[0])
        vertices = grid.corners_of(surface)
        # Slices of one tensor as wide as upstream's go to FlexiCubes: torch picks vector or scalar code by the strides,
        # and the two differ in the last bit of the colours' sigmoid.
        attrs = grid.means(vertices, parts)
        place, active = _find(grid.cubes, surface)
        weights = torch.where(active[:, None], weights[grid.rows[place]], 0)
        del sdf, parts
        points, faces, _, colors = _SurfaceFlexiCubes(grid, surface)(
            voxelgrid_vertices=utils_cube.get_defomed_verts(grid.positions(vertices), attrs[:, 1:4], self.res),
            scalar_field=attrs[:, 0],
            cube_idx=torch.searchsorted(vertices, surface[:, None] + grid.corners),
            resolution=self.res,
            beta=weights[:, :12],
            alpha=weights[:, 12:20],
            gamma_f=weights[:, 20],
            voxelgrid_colors=attrs[:, 4:] if self.use_color else None,
        )
        return cube2mesh.MeshExtractResult(points, faces, vertex_attrs=colors, res=self.res)


class _Grid:
    """A grid of res^3 cubes of which some are active: `cubes` (N,), their codes in order, given in the rows `rows`.

    All codes are int64 and as the top of the file says.
    """

    def __init__(self, res: int, positions: torch.Tensor) -> None:
        self.res, self.side, self.device = res, res + 1, positions.device
        self.strides = (self.side**2, self.side, 1)
        self.corners = self.codes(utils_cube.cube_corners.to(self.device))  # (8,): the steps from a cube to its corners
        self.cubes, self.rows = self.codes(positions).sort()

    def codes(self, positions: torch.Tensor) -> torch.Tensor:
        """(n,) from (n, 3) of any integer type."""
        x, y, z = positions.long().unbind(-1)
        return (x * self.side + y) * self.side + z

    def positions(self, codes: torch.Tensor) -> torch.Tensor:
        """(n, 3) int64 from (n,)."""
        return torch.stack([codes // stride % self.side for stride in self.strides], dim=-1)

    def corners_of(self, cubes: torch.Tensor) -> torch.Tensor:
        """All corners of the cubes, each once, in order."""
        for stride in self.strides:  # axis by axis: less to sort than eight corners per cube
            cubes = torch.unique(torch.cat([cubes, cubes + stride]))
        return cubes

    def surface(self, sdf: torch.Tensor) -> torch.Tensor:
        """The cubes, active or not, with corners on both sides, in order: upstream's `surf_cubes`. sdf (N, 8, 1)."""
        vertices = self.corners_of(self.cubes)
        negative = vertices[self.means(vertices, [sdf])[:, 0] < 0]
        cubes = negative
        for stride in self.strides:
            cubes = torch.unique(torch.cat([cubes - stride, cubes]))
        for stride in self.strides:
            cubes = cubes[cubes // stride % self.side != self.res]  # beyond the edge
        inside = torch.zeros(len(cubes), dtype=torch.int8, device=self.device)
        for corner in self.corners:
            inside += _find(negative, cubes + corner)[1]
        return cubes[inside < 8]

    def means(self, vertices: torch.Tensor, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """(V, K) of `parts`, (N, 8, k) each with K the sum of k: means over the active cubes that share a vertex.

        A vertex of no active cube is outside: 1 in the first column, which is the sdf, and 0 in the others. It stands
        for upstream's sparse_cube2verts and get_dense_attrs; as each vertex fetches from its cubes, nothing gets as
        long as the corners of all cubes.
        """
        values = parts[0].new_zeros(len(vertices), sum(part.shape[-1] for part in parts))
        corner, none = torch.arange(8, device=self.device), 8 * len(self.rows)
        for chunk in _slices(len(vertices), VERTICES_AT_A_TIME):
            place, active = _find(self.cubes, vertices[chunk, None] - self.corners)
            # In the order of the rows, in which upstream adds: the last bit of a sum depends on it.
            sources = torch.where(active, self.rows[place] * 8 + corner, none).sort(dim=1).values
            total = values[chunk]
            for source in sources.unbind(1):
                row, column = (source // 8).clamp_(max=len(self.rows) - 1), source % 8
                value = torch.cat([part[row, column] for part in parts], dim=-1)
                total += torch.where(source[:, None] < none, value, 0)
            count = active.sum(dim=1)
            total /= count.clamp(min=1)[:, None]
            total[:, 0].masked_fill_(count == 0, 1)
        return values


class _SurfaceFlexiCubes(FlexiCubes):
    """Upstream's FlexiCubes for surface cubes only, given by their codes in order."""

    def __init__(self, grid: _Grid, cubes: torch.Tensor) -> None:
        super().__init__(device=grid.device)
        self._grid, self._cubes = grid, cubes

    def _get_case_id(self, occ_fx8: torch.Tensor, surf_cubes: torch.Tensor, res: int) -> torch.Tensor:
        """(C,) int64: the case of each cube, where two that share an ambiguous face have swapped theirs.

        occ_fx8 (C, 8) bool. Upstream's looks for the neighbours in a table of all res^3 cubes.
        """
        cases = (occ_fx8 * self.cube_corners_idx.to(self.device)).sum(-1)
        # Per case: whether it is ambiguous, the step to the neighbour across the face (3), the case to swap to.
        check = self.check_table[cases]
        ambiguous = check[:, 0].nonzero()[:, 0]
        check, cubes = check[ambiguous], self._cubes[ambiguous]
        _, swapped = _find(cubes, cubes + self._grid.codes(check[:, 1:4]))
        cases[ambiguous[swapped]] = check[swapped, 4]
        return cases


def _find(ordered: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where in `ordered` each of `wanted` is, and whether it is there at all; both as long as `wanted`."""
    place = torch.searchsorted(ordered, wanted).clamp_(max=len(ordered) - 1)
    return place, ordered[place] == wanted


def _group_norm(norm: SparseGroupNorm32, rows: int, x: SparseTensor) -> SparseTensor:
    """SparseGroupNorm32.forward with at most `rows` rows of x, (N, C) of any float type, in float32 at a time."""
    result = torch.empty_like(x.feats)
    for element in x.layout:
        feats, normed = x.feats[element], result[element]
        chunks = list(_slices(len(feats), rows))
        mean = _group_means(norm, (feats[chunk] for chunk in chunks))
        variance = _group_means(norm, ((feats[chunk] - mean).square_() for chunk in chunks))
        scale = norm.weight / (variance + norm.eps).sqrt()
        for chunk in chunks:
            normed[chunk] = (feats[chunk] - mean).mul_(scale).add_(norm.bias)
    return x.replace(result)


def _group_means(norm: SparseGroupNorm32, chunks: Iterable[torch.Tensor]) -> torch.Tensor:
    """(C,) float32: for each channel the mean of its group over the rows of all chunks, (n, C) each."""
    total, length = torch.zeros(norm.num_channels, dtype=torch.float64, device=norm.weight.device), 0
    for chunk in chunks:
        total += chunk.sum(0, dtype=torch.float32)
        length += len(chunk)
    means = total.reshape(norm.num_groups, -1).mean(1) / length
    return means.float().repeat_interleave(norm.num_channels // norm.num_groups)


def _to_representation(decoder: SLatMeshDecoder, x: SparseTensor) -> list[cube2mesh.MeshExtractResult]:
    """SLatMeshDecoder.to_representation, without a second copy of the features where x is one object."""
    if x.shape[0] == 1:
        return [decoder.mesh_extractor(x, training=decoder.training)]
    meshes: list[cube2mesh.MeshExtractResult] = type(decoder).to_representation(decoder, x)
    return meshes


def _slices(length: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` that cover `length`."""
    return (slice(start, start + size) for start in range(0, length, size))
