"""Faces that nobody can see: the inside of closed hollows, and what lies deep between other parts.

They would take their share of the faces that are wanted, and of the texture. Rays tell: a face is seen when one that
starts on it gets away, on either side, lest an open sheet or a piece that is inside out be lost.
"""

from __future__ import annotations

import numpy as np

from sam3d_bento.export.components import pieces
from sam3d_bento.export.surface import Indices, Surface, area_vectors, extent, unit
from sam3d_bento.rays import NOWHERE
from sam3d_bento.reconstruction import Bool, Float32, Int32

# A face that a ray escapes from is kept with the faces up to this many steps around it, so that few rays a face find
# also what is seen through a small opening, and no border of what is removed can be seen.
RINGS = 2

# Rounds of one ray for every SHARE-th face that is not yet kept, each time others. About 30 faces lie within two rings:
# they send 180 rays, which miss an opening of two percent of their view with a chance of 0.98 ** 180 = 3 %.
SHARE = 8
FRONT_ROUNDS, BACK_ROUNDS = 6 * SHARE, 2 * SHARE
VAIN_ROUNDS = 6  # after so many in a row without one ray that escapes, what is left is sealed
ALL_BELOW = 5_000  # so few faces are all tested in each round

# A patch that nobody sees, between faces that somebody may see, is removed from this many faces on: smaller ones are
# as likely bad luck, and would leave holes.
SMALLEST_PATCH = 200

CLEARANCE = 1e-4  # of the extent: how far from its face a ray starts


def visible(dense: Surface, starts: Int32, faces: Int32) -> Bool:
    """(F,) which faces of a mesh can be seen from outside, with a margin of faces around them; all where none could be.

    dense: the surface that is looked at. starts (F, 3) int32: for each face one of `dense` at its place, where rays
    start. faces (F, 3) int32: says which are neighbours, by corners of any numbering from 0. The rays are random, but
    always the same.
    """
    random = np.random.default_rng(0)
    clearance = np.float32(CLEARANCE * extent(dense.vertices))
    normals = unit(area_vectors(dense.vertices, starts))
    rest = np.arange(len(faces))
    for side, rounds in ((1, FRONT_ROUNDS), (-1, BACK_ROUNDS)):
        vain = 0
        for number in range(rounds):
            if not len(rest):
                break
            share = SHARE if len(rest) > ALL_BELOW else 1
            tested = rest[number % share :: share]
            outwards = np.float32(side) * normals[tested]
            origins = _points(dense.vertices, starts[tested], random) + clearance * outwards
            escaped = tested[dense.rays.faces_met(origins, _directions(outwards, random)) == NOWHERE]
            vain = 0 if len(escaped) else vain + 1
            if vain == VAIN_ROUNDS:
                break
            rest = _far_from(escaped, rest, faces)
    hidden = np.zeros(len(faces), dtype=bool)
    hidden[rest] = True
    if hidden.all():
        return hidden
    return ~hidden | _small_patches(faces, hidden)


def _points(vertices: Float32, faces: Int32, random: np.random.Generator) -> Float32:
    """(N, 3) a random point of each face, seldom close to its border."""
    weights = random.random((len(faces), 3), dtype=np.float32) + np.float32(0.1)
    weights /= weights.sum(axis=1, keepdims=True)
    points = sum(weights[:, corner, None] * vertices.take(faces[:, corner], axis=0) for corner in range(3))
    return np.ascontiguousarray(points, dtype=np.float32)


def _directions(normals: Float32, random: np.random.Generator) -> Float32:
    """(N, 3) random directions, evenly spread over the half space that each normal points into."""
    directions = random.standard_normal(normals.shape, dtype=np.float32)
    directions[np.einsum("ij,ij->i", directions, normals) < 0] *= -1
    return directions


def _far_from(seen: Indices, rest: Indices, faces: Int32) -> Indices:
    """Those of the faces `rest`, among them `seen`, that are more than RINGS steps from `seen`."""
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
    """(F,) hidden faces in patches that border on others and are small."""
    inner = np.flatnonzero(hidden)
    count, patch_of_vertex = pieces(int(faces.max()) + 1, faces[inner])
    patch = patch_of_vertex[faces[inner, 0]]
    size = np.bincount(patch, minlength=count)
    bordering = np.zeros(count, dtype=bool)
    bordering[patch_of_vertex[faces[~hidden]]] = True
    small = np.zeros(len(faces), dtype=bool)
    small[inner] = bordering[patch] & (size[patch] < SMALLEST_PATCH)
    return small
