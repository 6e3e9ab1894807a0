"""Extract the mesh from the cubes at the surface alone: the same mesh as upstream's in a fraction of the memory.

Upstream's SparseFeatures2Mesh (representations/mesh/cube2mesh.py) puts its features into a dense grid of res^3 cubes.
At res 256, this takes 1.5 GB from construction on and 4.6 GB more for each mesh, although only the cubes that the
surface cuts matter. Here only those are made, and upstream's FlexiCubes gets them in upstream's order.

Codes: with S = res + 1 vertices along an axis, the grid vertex (x, y, z) has the code (x * S + y) * S + z, which is its
index in upstream's dense grid. A cube has the code of its first corner. Both sort as upstream's indices do. No cube has
a coordinate `res`. A step across the edge of the grid always leads to a code with such a coordinate (-1 wraps to it),
so it never finds a cube on the other side.
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

# Vertices whose means are computed at once. With 8 corners of 8 bytes each, a temporary has 17 MB.
VERTICES_AT_A_TIME = 1 << 18


@contextmanager
def without_dense_grid() -> Iterator[None]:
    """Let upstream build its mesh decoder and its extractor within the block with an empty dense grid."""

    def no_grid(res: int, device: Any = "cuda") -> tuple[torch.Tensor, torch.Tensor]:
        vertices = torch.empty((0, 3), dtype=torch.int64, device=device)
        return vertices, torch.empty((0, 8), dtype=torch.int64, device=device)

    with rebound(cube2mesh, "construct_dense_grid", no_grid):
        yield


@contextmanager
def in_chunks(decoder: SLatMeshDecoder, rows: int) -> Iterator[None]:
    """Limit the memory of the decoder's last layers within the block: `rows` rows in float32 at a time.

    It also keeps only one copy of the features. Upstream's SparseGroupNorm32 makes four float32 copies of its input,
    which has millions of rows after `upsample`.
    """
    with ExitStack() as stack:
        for norm in decoder.upsample.modules():
            if isinstance(norm, SparseGroupNorm32):
                stack.enter_context(overridden(norm, "forward", partial(_group_norm, norm, rows)))
        stack.enter_context(overridden(decoder, "to_representation", partial(_to_representation, decoder)))
        yield


class SparseMeshExtractor:
    """Replacement of a mesh decoder's `mesh_extractor`, made from the original. For inference only.

    On the CPU, its mesh equals upstream's bit for bit. On CUDA, where upstream's own sums vary from run to run, it is
    equal up to rounding. It holds no tensor, and works on the device of the features that it gets.
    """

    get_layout = cube2mesh.SparseFeatures2Mesh.get_layout

    def __init__(self, dense: cube2mesh.SparseFeatures2Mesh) -> None:
        self.res: int = dense.res
        self.sdf_bias: float = dense.sdf_bias
        self.use_color: bool = dense.use_color
        self.layouts = dense.layouts
        self.feats_channels: int = dense.feats_channels

    def __call__(self, cubefeats: SparseTensor, training: bool = False) -> cube2mesh.MeshExtractResult:
        """Extract the surface on which the signed distance (sdf) of the cubes' corners is 0.

        cubefeats: coords (N, 4) int32, the batch element and the coordinates of each active cube, in [0, res); feats
        (N, feats_channels) float32, split as `layouts` says. They are not changed, although upstream adds its bias to
        them.
        The mesh has vertices (V, 3) float32, about in [-0.5, 0.5], faces (F, 3) int64, and vertex_attrs (V, 6) float32
        in [0, 1] or None. Without a negative sdf, the mesh is empty and `success` is False.
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
        # FlexiCubes gets slices of one tensor that is as wide as upstream's. torch chooses vector or scalar code by the
        # strides, and the two differ in the last bit of the colours' sigmoid.
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
    """Grid of res^3 cubes, of which N are active.

    cubes (N,): the codes of the active cubes in ascending order. rows (N,): the row of the input that each came from.
    All codes are int64, and defined in the module's docstring.
    """

    def __init__(self, res: int, positions: torch.Tensor) -> None:
        self.res, self.side, self.device = res, res + 1, positions.device
        self.strides = (self.side**2, self.side, 1)
        self.corners = self.codes(utils_cube.cube_corners.to(self.device))  # (8,): from a cube to its corners
        self.cubes, self.rows = self.codes(positions).sort()

    def codes(self, positions: torch.Tensor) -> torch.Tensor:
        """Return the codes (n,) of coordinates (n, 3) of any integer type."""
        x, y, z = positions.long().unbind(-1)
        return (x * self.side + y) * self.side + z

    def positions(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the coordinates (n, 3) int64 of codes (n,)."""
        return torch.stack([codes // stride % self.side for stride in self.strides], dim=-1)

    def corners_of(self, cubes: torch.Tensor) -> torch.Tensor:
        """Return the codes of all corners of the cubes, each once, in ascending order."""
        for stride in self.strides:  # axis by axis: less to sort than eight corners per cube
            cubes = torch.unique(torch.cat([cubes, cubes + stride]))
        return cubes

    def surface(self, sdf: torch.Tensor) -> torch.Tensor:
        """Return the cubes, active or not, with corners on both sides of the surface, in ascending order.

        They are upstream's `surf_cubes`. sdf (N, 8, 1): at the corners of the active cubes.
        """
        vertices = self.corners_of(self.cubes)
        negative = vertices[self.means(vertices, [sdf])[:, 0] < 0]
        cubes = negative
        for stride in self.strides:
            cubes = torch.unique(torch.cat([cubes - stride, cubes]))
        for stride in self.strides:
            cubes = cubes[cubes // stride % self.side != self.res]  # without those beyond the edge
        inside = torch.zeros(len(cubes), dtype=torch.int8, device=self.device)
        for corner in self.corners:
            inside += _find(negative, cubes + corner)[1]
        return cubes[inside < 8]

    def means(self, vertices: torch.Tensor, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the means (V, K) of values at the corners over the active cubes that share each vertex.

        parts: (N, 8, k) each, where K is the sum of the k. A vertex of no active cube is outside: it has 1 in the first
        column, which is the sdf, and 0 in the others.

        This replaces upstream's sparse_cube2verts and get_dense_attrs. Each vertex fetches the values of its cubes, so
        that no array is as long as the corners of all cubes.
        """
        values = parts[0].new_zeros(len(vertices), sum(part.shape[-1] for part in parts))
        corner, none = torch.arange(8, device=self.device), 8 * len(self.rows)
        for chunk in _slices(len(vertices), VERTICES_AT_A_TIME):
            place, active = _find(self.cubes, vertices[chunk, None] - self.corners)
            # Sorted, because upstream adds in the order of the rows, and the last bit of a sum depends on the order.
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
    """Upstream's FlexiCubes for surface cubes only, given by their codes in ascending order."""

    def __init__(self, grid: _Grid, cubes: torch.Tensor) -> None:
        super().__init__(device=grid.device)
        self._grid, self._cubes = grid, cubes

    def _get_case_id(self, occ_fx8: torch.Tensor, surf_cubes: torch.Tensor, res: int) -> torch.Tensor:
        """Return the case (C,) int64 of each cube. Two cubes that share an ambiguous face both use the swapped case.

        occ_fx8 (C, 8) bool: which corners are inside. Upstream looks for the neighbours in a table of all res^3 cubes.
        """
        cases = (occ_fx8 * self.cube_corners_idx.to(self.device)).sum(-1)
        # Columns: whether the case is ambiguous, the step to the neighbour across the face (3), the case to swap to.
        check = self.check_table[cases]
        ambiguous = check[:, 0].nonzero()[:, 0]
        check, cubes = check[ambiguous], self._cubes[ambiguous]
        _, swapped = _find(cubes, cubes + self._grid.codes(check[:, 1:4]))
        cases[ambiguous[swapped]] = check[swapped, 4]
        return cases


def _find(ordered: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the index in `ordered` of each value of `wanted`, and whether it is there; both as long as `wanted`."""
    place = torch.searchsorted(ordered, wanted).clamp_(max=len(ordered) - 1)
    return place, ordered[place] == wanted


def _group_norm(norm: SparseGroupNorm32, rows: int, x: SparseTensor) -> SparseTensor:
    """Compute SparseGroupNorm32.forward with at most `rows` rows of x in float32 at a time.

    x: features (N, C) of any float type.
    """
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
    """Return for each channel the mean of its group over the rows of all chunks, (C,) float32. chunks: (n, C) each."""
    total, length = torch.zeros(norm.num_channels, dtype=torch.float64, device=norm.weight.device), 0
    for chunk in chunks:
        total += chunk.sum(0, dtype=torch.float32)
        length += len(chunk)
    means = total.reshape(norm.num_groups, -1).mean(1) / length
    return means.float().repeat_interleave(norm.num_channels // norm.num_groups)


def _to_representation(decoder: SLatMeshDecoder, x: SparseTensor) -> list[cube2mesh.MeshExtractResult]:
    """Compute SLatMeshDecoder.to_representation without a second copy of the features where x is one object."""
    if x.shape[0] == 1:
        return [decoder.mesh_extractor(x, training=decoder.training)]
    meshes: list[cube2mesh.MeshExtractResult] = type(decoder).to_representation(decoder, x)
    return meshes


def _slices(length: int, size: int) -> Iterator[slice]:
    """Return consecutive slices of at most `size` that cover `length`."""
    return (slice(start, start + size) for start in range(0, length, size))
