"""Faces that nobody can see: the inside of closed hollows, and what lies deep between other parts.

They would take their share of the faces that are wanted, and of the texture. A face is seen when a ray that starts on
it escapes, on either side, so that neither an open sheet nor a piece that is inside out is lost.

A closed piece of the surface goes as a whole or stays as a whole: without a part of its faces it would be open, and
enclose another volume. Only pieces that are open anyway lose the part that nobody sees.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from sam3d_bento.arrays import Bool, Float32, Indices, Int32
from sam3d_bento.export.mesh.components import pieces
from sam3d_bento.export.mesh.surface import Surface, area_vectors, extent, mix, unit
from sam3d_bento.export.mesh.topology import at_border
from sam3d_bento.export.parallel import in_order
from sam3d_bento.export.rays import NOWHERE

# A face that a ray escapes from is kept with the faces up to this many steps around it, so that few rays a face find
# also what is seen through a small opening, and no border of what is removed can be seen.
RINGS = 2

# Rounds of one ray for every SHARE-th face that is not yet kept, each time others. About 30 faces lie within two rings:
# they send 180 rays, which miss an opening of two percent of their view with a chance of 0.98 ** 180 = 3 %.
SHARE = 8
FRONT_ROUNDS, BACK_ROUNDS = 6 * SHARE, 2 * SHARE
VAIN_ROUNDS = 6  # after so many in a row without one ray that escapes, what is left is sealed
ALL_BELOW = 5_000  # so few faces are all tested in each round

# So is a piece of the surface, however many rays escape elsewhere, after as many vain ones as there are in such rounds,
# and no fewer than these: they miss an opening of one percent of the view with a chance of 0.99 ** 700 = 0.1 %.
VAIN_RAYS = 700

# A patch that nobody sees, between faces that somebody may see, is removed from this many faces on: smaller ones are
# as likely bad luck, and would leave holes.
SMALLEST_PATCH = 200

CLEARANCE = 1e-4  # of the extent: how far from its face a ray starts

RAYS_AT_A_TIME = 1 << 12  # of a round, which threads share


def visible(dense: Surface, starts: Int32, faces: Int32) -> Bool:
    """Return (F,) which faces of a mesh can be seen from outside, or belong to what can; all where none can be seen.

    To a seen face belong the faces around it and, where its piece is closed, the whole piece.
    dense: the surface that is looked at. starts (F, 3) int32: for each face one of `dense` at its place, where rays
    start. faces (F, 3) int32: says which are neighbours, by corners of any numbering from 0. The rays are random, but
    always the same.
    """
    clearance = CLEARANCE * extent(dense.vertices)
    outwards = unit(area_vectors(dense.vertices, starts))
    vertices = int(faces.max()) + 1
    count, piece_of_vertex = pieces(vertices, faces)
    piece = piece_of_vertex.take(faces[:, 0])
    closed = np.ones(count, dtype=bool)
    closed[piece_of_vertex[at_border(vertices, faces)]] = False
    rest = np.arange(len(faces))
    for side, (way, rounds) in enumerate(((outwards, FRONT_ROUNDS), (-outwards, BACK_ROUNDS))):
        sealed, vain = _Sealed(piece, count), 0
        for number in range(rounds):
            if not len(rest) or vain == VAIN_ROUNDS:
                break
            share = SHARE if len(rest) > ALL_BELOW else 1
            tested = rest[number % share :: share]
            parts = [tested[first : first + RAYS_AT_A_TIME] for first in range(0, len(tested), RAYS_AT_A_TIME)]
            escape = partial(_escaping, dense, starts, way, clearance, (side, number))
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


class _Sealed:
    """Pieces of the surface that no ray has escaped from for long enough.

    faces: theirs, as they were found.
    """

    def __init__(self, piece: Indices, count: int) -> None:
        """piece (F,): which of so many pieces each face belongs to."""
        self.faces: list[Indices] = []
        self._piece = piece
        self._enough = np.maximum(np.bincount(piece, minlength=count) * (VAIN_ROUNDS / SHARE), VAIN_RAYS)
        self._vain = np.zeros(count, dtype=np.intp)

    def taken_from(self, rest: Indices, tested: Indices, escaped: Indices) -> Indices:
        """Those of the faces `rest` whose piece is not sealed, after a round of rays from these faces."""
        self._vain += np.bincount(self._piece.take(tested), minlength=len(self._vain))
        self._vain[self._piece.take(escaped)] = 0
        sealed = (self._vain >= self._enough).take(self._piece.take(rest))
        self.faces.append(rest.compress(sealed))
        return rest.compress(~sealed)


def _escaping(
    dense: Surface,
    starts: Int32,
    outwards: Float32,
    clearance: float,
    seed: tuple[int, int],
    part: tuple[int, Indices],
) -> Indices:
    """The faces, of those in this numbered part, whose ray gets away; one ray each, in the half space that `outwards`
    (F, 3) points into. Equal seeds and numbers give equal rays."""
    number, tested = part
    random = np.random.default_rng((*seed, number))
    away = outwards.take(tested, axis=0)
    origins = _points(dense.vertices, starts.take(tested, axis=0), random) + np.float32(clearance) * away
    escaped: Indices = tested[dense.rays.faces_met(origins, _directions(away, random)) == NOWHERE]
    return escaped


def _points(vertices: Float32, faces: Int32, random: np.random.Generator) -> Float32:
    """(N, 3) a random point of each face, seldom close to its border."""
    weights = random.random((len(faces), 3), dtype=np.float32) + np.float32(0.1)
    weights /= weights.sum(axis=1, keepdims=True)
    return mix(weights, vertices, faces)


def _directions(normals: Float32, random: np.random.Generator) -> Float32:
    """(N, 3) random directions, evenly spread over the half space that each normal points into."""
    directions = random.standard_normal(normals.shape, dtype=np.float32)
    directions[np.einsum("ij,ij->i", directions, normals) < 0] *= -1
    return directions


def _outside_pieces(seen: Indices, closed: Bool, rest: Indices, piece: Indices) -> Indices:
    """Return those of the faces `rest` that belong to none of the closed pieces among `seen`.

    closed (P,): whether a piece is closed. piece (F,): which piece a face belongs to.
    """
    whole = np.zeros(len(closed), dtype=bool)
    whole[seen] = True
    whole &= closed
    return rest.compress(~whole.take(piece.take(rest)))


def _far_from(seen: Indices, rest: Indices, faces: Int32) -> Indices:
    """Return those of the faces `rest` that are more than RINGS steps from `seen`."""
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
