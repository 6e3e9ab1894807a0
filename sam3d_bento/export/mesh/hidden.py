"""Find the faces that nobody can see: inside closed hollows, and deep between other parts.

Such faces would use up a share of the target number of faces, and of the texture. A face is visible when a ray that
starts on it escapes, on either side. So neither an open sheet nor a piece that is inside out is lost.

A closed piece of the surface is removed or kept as a whole. Without some of its faces it would be open, and would
enclose another volume. Only pieces that are open anyway lose just the part that nobody sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from sam3d_bento.arrays import Bool, Float32, Indices, Int32
from sam3d_bento.export.mesh.components import pieces
from sam3d_bento.export.mesh.surface import area_vectors, extent, mix, unit
from sam3d_bento.export.mesh.topology import at_border
from sam3d_bento.export.parallel import in_order
from sam3d_bento.export.rays import NOWHERE, Rays

# Steps from face to face. A face from which a ray escapes is kept together with the faces up to this many steps around
# it. So few rays for each face also find what is seen through a small opening, and no border of what is removed can be
# seen.
RINGS = 2

# Each round casts one ray from every SHARE-th of the faces that are not kept, from other faces each time. About 30
# faces lie within two rings. They cast 180 rays, which miss an opening of two percent of their view with a probability
# of 0.98 ** 180 = 3 %.
SHARE = 8
FRONT_ROUNDS, BACK_ROUNDS = 6 * SHARE, 2 * SHARE
VAIN_ROUNDS = 6  # rounds in a row without an escaping ray, after which all remaining faces are sealed
ALL_BELOW = 5_000  # number of remaining faces up to which all are tested in each round

# Rays. A single piece of the surface is sealed too, even while rays escape elsewhere: after as many rays in vain as
# VAIN_ROUNDS rounds have, but at least this many. They miss an opening of one percent of the view with a probability of
# 0.99 ** 700 = 0.1 %.
VAIN_RAYS = 700

# Number of faces. A hidden patch that borders on visible faces is removed from this size on. Smaller patches are as
# likely to be bad luck, and removing them would leave holes.
SMALLEST_PATCH = 200

CLEARANCE = 1e-4  # distance of a ray's start from its face, as a share of the extent

RAYS_AT_A_TIME = 1 << 12  # rays of a round that one thread casts at a time


def visible(vertices: Float32, faces: Int32) -> Bool:
    """Return (F,) bool: the faces of a mesh that can be seen from outside, or belong to such; all if none can be seen.

    vertices (V, 3) float32, faces (F, 3) int32. The faces around a visible face belong to it and, if its piece is
    closed, so does the whole piece. The rays are random, but always the same.
    """
    mesh = _Mesh(vertices, faces, Rays(vertices, faces))
    clearance = CLEARANCE * extent(vertices)
    outwards = unit(area_vectors(vertices, faces))
    count, piece_of_vertex = pieces(len(vertices), faces)
    piece = piece_of_vertex.take(faces[:, 0])
    closed = np.ones(count, dtype=bool)
    closed[piece_of_vertex[at_border(len(vertices), faces)]] = False
    rest = np.arange(len(faces))
    for side, (way, rounds) in enumerate(((outwards, FRONT_ROUNDS), (-outwards, BACK_ROUNDS))):
        sealed, vain = _Sealed(piece, count), 0
        for number in range(rounds):
            if not len(rest) or vain == VAIN_ROUNDS:
                break
            share = SHARE if len(rest) > ALL_BELOW else 1
            tested = rest[number % share :: share]
            parts = [tested[first : first + RAYS_AT_A_TIME] for first in range(0, len(tested), RAYS_AT_A_TIME)]
            escape = partial(_escaping, mesh, way, clearance, (side, number))
            escaped = np.concatenate(list(in_order(escape, enumerate(parts))))
            vain = 0 if len(escaped) else vain + 1
            rest = _outside_pieces(piece.take(escaped), closed, rest, piece)
            rest = sealed.taken_from(_far_from(escaped, rest, faces), tested, escaped)
        rest = np.concatenate([rest, *sealed.faces])
        rest.sort()
    hidden = np.zeros(len(faces), dtype=bool)
    hidden[rest] = True
    if hidden.all():
        return hidden
    return ~hidden | _small_patches(faces, hidden)


@dataclass(frozen=True)
class _Mesh:
    """Mesh at which rays are cast. vertices (V, 3) float32, faces (F, 3) int32."""

    vertices: Float32
    faces: Int32
    rays: Rays


class _Sealed:
    """Pieces of the surface from which no ray has escaped for long enough.

    faces: the faces of these pieces, in the order in which they were sealed.
    """

    def __init__(self, piece: Indices, count: int) -> None:
        """Start without sealed pieces. piece (F,): the piece of each face; count: number of pieces."""
        self.faces: list[Indices] = []
        self._piece = piece
        self._enough = np.maximum(np.bincount(piece, minlength=count) * (VAIN_ROUNDS / SHARE), VAIN_RAYS)
        self._vain = np.zeros(count, dtype=np.intp)

    def taken_from(self, rest: Indices, tested: Indices, escaped: Indices) -> Indices:
        """Count a round of rays from the faces `tested`; return the faces of `rest` whose pieces are not sealed.

        escaped: the faces whose ray escaped.
        """
        self._vain += np.bincount(self._piece.take(tested), minlength=len(self._vain))
        self._vain[self._piece.take(escaped)] = 0
        sealed = (self._vain >= self._enough).take(self._piece.take(rest))
        self.faces.append(rest.compress(sealed))
        return rest.compress(~sealed)


def _escaping(
    mesh: _Mesh,
    outwards: Float32,
    clearance: float,
    seed: tuple[int, int],
    part: tuple[int, Indices],
) -> Indices:
    """Cast one ray from each face in a numbered part of the faces; return the faces whose ray escapes.

    A ray's direction lies in the half space that `outwards` (F, 3) points into. Equal seeds and numbers give equal
    rays.
    """
    number, tested = part
    random = np.random.default_rng((*seed, number))
    away = outwards.take(tested, axis=0)
    origins = _points(mesh.vertices, mesh.faces.take(tested, axis=0), random) + np.float32(clearance) * away
    escaped: Indices = tested[mesh.rays.faces_met(origins, _directions(away, random)) == NOWHERE]
    return escaped


def _points(vertices: Float32, faces: Int32, random: np.random.Generator) -> Float32:
    """Return a random point (N, 3) on each face, seldom close to its border."""
    weights = random.random((len(faces), 3), dtype=np.float32) + np.float32(0.1)
    weights /= weights.sum(axis=1, keepdims=True)
    return mix(weights, vertices, faces)


def _directions(normals: Float32, random: np.random.Generator) -> Float32:
    """Return random directions (N, 3), evenly distributed over the half space that each normal points into."""
    directions = random.standard_normal(normals.shape, dtype=np.float32)
    directions[np.einsum("ij,ij->i", directions, normals) < 0] *= -1
    return directions


def _outside_pieces(seen: Indices, closed: Bool, rest: Indices, piece: Indices) -> Indices:
    """Return the faces of `rest` that belong to none of the closed pieces among `seen`.

    seen: piece numbers. closed (P,): whether a piece is closed. piece (F,): the piece of each face.
    """
    whole = np.zeros(len(closed), dtype=bool)
    whole[seen] = True
    whole &= closed
    return rest.compress(~whole.take(piece.take(rest)))


def _far_from(seen: Indices, rest: Indices, faces: Int32) -> Indices:
    """Return the faces of `rest` that are more than RINGS steps from the faces `seen`."""
    reached = np.zeros(int(faces.max()) + 1, dtype=bool)
    reached[faces[seen]] = True
    for ring in range(RINGS):
        a, b, c = (reached.take(faces[rest, corner]) for corner in range(3))
        near = a | b | c
        if ring < RINGS - 1:
            reached[faces[rest[near]]] = True
    far: Indices = rest[~near]
    return far


def _small_patches(faces: Int32, hidden: Bool) -> Bool:
    """Return (F,) bool: the hidden faces in small patches that border on visible faces."""
    inner = np.flatnonzero(hidden)
    count, patch_of_vertex = pieces(int(faces.max()) + 1, faces[inner])
    patch = patch_of_vertex[faces[inner, 0]]
    size = np.bincount(patch, minlength=count)
    bordering = np.zeros(count, dtype=bool)
    bordering[patch_of_vertex[faces[~hidden]]] = True
    small = np.zeros(len(faces), dtype=bool)
    small[inner] = bordering[patch] & (size[patch] < SMALLEST_PATCH)
    return small
