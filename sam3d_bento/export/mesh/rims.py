"""Find the rims of a surface: the closed loops along which it is open."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam3d_bento.arrays import Bool, Indices, Int32
from sam3d_bento.export.grouping import leads, stable_order
from sam3d_bento.export.mesh.components import components
from sam3d_bento.export.mesh.topology import at_border, edges, following

# Steps from face to face around a vertex, after which a rim counts as not found. No vertex of a sound mesh has so many
# faces on one side of an opening.
MAX_FACES_AT_A_VERTEX = 256


@dataclass(frozen=True)
class Rims:
    """Rims of a surface, R of them, with E edges in all.

    edges (E, 2) int32: vertices of each edge, from start to end in the winding of its face. owner (E,): that face.
    following (E,): the next edge of the same rim. rim (E,): the number of the edge's rim, 0 to R - 1.
    """

    edges: Int32
    owner: Indices
    following: Indices
    rim: Indices

    def sizes(self) -> Indices:
        """Return the number of edges (R,) of each rim."""
        return np.bincount(self.rim)

    def chosen(self, kept: Bool) -> Rims:
        """Return the rims for which `kept` (R,) is true, numbered anew in the same order."""
        edge = kept.take(self.rim)
        place, number = np.cumsum(edge) - 1, np.cumsum(kept) - 1
        return Rims(
            self.edges.compress(edge, axis=0),
            self.owner.compress(edge),
            place.take(self.following.compress(edge)),
            number.take(self.rim.compress(edge)),
        )

    def loops(self) -> list[Indices]:
        """Return the edges (N,) of each rim, by number, one after the other along the rim."""
        after = self.following.tolist()
        found = []
        for first in np.flatnonzero(leads(self.rim.take(order := stable_order(self.rim)))):
            loop = [int(order[first])]
            while (edge := after[loop[-1]]) != loop[0]:
                loop.append(edge)
            found.append(np.array(loop))
        return found


def find_rims(count: int, faces: Int32) -> Rims:
    """Find the rims of faces (F, 3) over `count` vertices.

    Where two openings touch at a vertex, they are one rim, which passes that vertex twice. A rim that meets an edge of
    more than two faces is left out.
    """
    open_there = at_border(count, faces)
    a, b, c = (open_there.take(faces[:, corner]) for corner in range(3))
    near = np.flatnonzero(a | b | c)
    some = faces.take(near, axis=0)
    starts = some.ravel().astype(np.int64)
    ends = starts.take(following(np.arange(len(starts))))
    twin, several = _twins(some)
    # Of other edges, the second face may be missing here because it has no vertex at a border.
    is_open = (twin < 0) & open_there.take(starts) & open_there.take(ends)
    rim_edge = np.flatnonzero(is_open)

    # Around the end of each open half-edge, from face to face, to the next open half-edge.
    at = following(rim_edge)
    for _ in range(MAX_FACES_AT_A_VERTEX):
        inner = np.flatnonzero(~is_open.take(at) & ~several.take(at))
        if not len(inner):
            break
        at[inner] = following(twin.take(at.take(inner)))
    sound = is_open.take(at) & ~several.take(rim_edge)
    place = np.full(len(starts), -1)
    place[rim_edge] = np.arange(len(rim_edge))
    after = np.where(sound, place.take(at), np.arange(len(rim_edge)))
    arrivals = np.bincount(after, minlength=len(rim_edge))
    total, rim = components(len(rim_edge), np.arange(len(rim_edge)), after)
    whole = np.ones(total, dtype=bool)
    whole[rim.compress(~sound | (arrivals != 1))] = False
    rim_ends = np.stack([starts, ends], axis=1).take(rim_edge, axis=0).astype(np.int32)
    return Rims(rim_ends, near.take(rim_edge // 3), after, rim).chosen(whole)


def _twins(faces: Int32) -> tuple[Indices, Bool]:
    """Return for each half-edge (3F,) the opposite one, or -1, and whether its edge is not plain, but no border.

    Such an edge has more than two half-edges, or two of the same direction.
    """
    found = edges(faces)
    plain = found.plain()
    one, other = found.members(plain).reshape(-1, 2).T
    twin = np.full(faces.size, -1)
    twin[one], twin[other] = other, one
    several = np.zeros(faces.size, dtype=bool)
    several[found.members((found.size > 1) & ~plain)] = True
    return twin, several
