"""Merge neighbouring faces into ever larger clusters that stay nearly flat.

Hierarchical face clustering (Garland, Willmott and Heckbert, "Hierarchical Face Clustering on Polygonal Surfaces",
2001). The cost is the normal deviation of Cohen-Steiner, Alliez and Desbrun ("Variational Shape Approximation", 2004).
Their heap merges one pair at a time. Here many pairs merge in each round: a round is a few array operations, and the
number of rounds grows with the logarithm of the number of faces.
"""

from __future__ import annotations

import numpy as np

from sam3d_bento.arrays import Bool, Floats, Indices
from sam3d_bento.export.grouping import HASH_MULTIPLIER, expand_ranges, stable_order
from sam3d_bento.export.uv.cluster_graph import ClusterGraph, sum_children

# Mean number of faces in a cluster from which every merger is checked against the faces. Smaller clusters merge when
# their mean normals agree to within EARLY_MIN_COSINE, which costs no look at a face.
CHECK_FROM_MEAN_FACES = 8

# Least cosine between the mean normals of two clusters that merge before faces are checked.
EARLY_MIN_COSINE = 0.8

# Levels of cost for each factor of two. Within a level the order is random. In a strict order by cost, only few
# clusters would be the cheapest neighbour of each other, and few would merge in one round.
COST_LEVELS_PER_OCTAVE = 2

# When a round rejects more mergers than it accepts, each candidate pair is tested before it is proposed, so that a
# cluster does not lose a round for each unsuitable neighbour. Pairs with more faces than this are exempt: testing them
# costs too much. In mean face counts of the candidate pairs.
MAX_PRETEST_SIZE = 10

TINY = 1e-12  # keeps logarithms and quotients finite; costs are of the order of 1


def merge(
    labels: Indices,
    first: Indices,
    second: Indices,
    lengths: Floats,
    normals: Floats,
    areas: Floats,
    perimeters: Floats,
    least_cosine: float,
) -> Indices:
    """Merge neighbouring clusters while every face stays within `least_cosine` of its cluster's mean normal.

    labels (F,) int: the clusters to begin with, numbered from 0.
    first, second (E,) int: pairs of faces that share an edge, of `lengths` (E,).
    normals (F, 3): unit normals of the faces.
    areas, perimeters (F,): of the faces.

    Returns the new labels (F,), numbered from 0. A few faces may end slightly outside the bound.
    """
    graph = ClusterGraph.from_faces(labels, first, second, lengths, normals, areas, perimeters)
    columns = np.ascontiguousarray(normals.T, dtype=np.float32)  # faces are checked column by column
    check_faces = pretest_pairs = False
    while len(graph.first):
        count = len(graph.areas)
        check_faces = check_faces or count * CHECK_FROM_MEAN_FACES < len(labels)
        edges, deviations = _find_candidates(graph, least_cosine if check_faces else EARLY_MIN_COSINE)
        if pretest_pairs:
            misfit = _find_misfits(graph, edges, labels, columns, least_cosine)
            graph.rejected[edges.compress(misfit)] = True
            edges, deviations = edges.compress(~misfit), deviations.compress(~misfit)
        if not len(edges):
            if check_faces:
                break
            check_faces = True
            continue
        ranks = _rank_edges(graph, edges, deviations)
        edge, child, parent = _propose_mergers(graph, edges, ranks)
        if check_faces:
            accepted, rejected = _check_mergers(graph, child, parent, ranks[edge], labels, columns, least_cosine)
            graph.rejected[edges[edge[rejected]]] = True
            pretest_pairs = pretest_pairs or bool(rejected.sum() > accepted.sum())
            edge, child, parent = edge[accepted], child[accepted], parent[accepted]
        if len(child):
            labels = graph.contract(edges[edge], child, parent).take(labels)
    return labels


def _find_candidates(graph: ClusterGraph, least_cosine: float) -> tuple[Indices, Floats]:
    """Find the edges whose clusters may merge by their mean normals alone, and the deviation that each merger adds.

    The deviation of a cluster is the sum over its faces of area times the squared deviation from the mean normal.
    """
    one, other = (graph.normals.take(ends, axis=1) for ends in (graph.first, graph.second))
    both = one + other
    size = np.sqrt(_dot(graph.normals, graph.normals))
    one_length, other_length, length = size.take(graph.first), size.take(graph.second), np.sqrt(_dot(both, both))
    least = least_cosine * length
    edges: Indices = np.flatnonzero(
        (_dot(one, both) > least * one_length) & (_dot(other, both) > least * other_length) & ~graph.rejected
    )
    return edges, np.maximum((one_length + other_length - length).take(edges), 0)


def _rank_edges(graph: ClusterGraph, edges: Indices, deviations: Floats) -> Indices:
    """Rank the edges (N,) by the level of their cost; the low bits hold a random number, different for each edge."""
    # The cost is the added deviation for each unit of border that the merger removes. It is higher where the border is
    # a small part of the outlines.
    border = graph.lengths.take(edges) + TINY
    outline = np.minimum(*(graph.perimeters.take(ends.take(edges)) for ends in (graph.first, graph.second)))
    cost = deviations / border * np.sqrt(np.maximum(outline / border, 1))
    level: Indices = np.floor(COST_LEVELS_PER_OCTAVE * np.log2(cost + TINY)).astype(np.intp)
    bits = len(edges).bit_length()
    ranks: Indices = (level << bits) | _permute(np.arange(len(edges)), bits)
    return ranks


def _permute(numbers: Indices, bits: int, by: int = HASH_MULTIPLIER) -> Indices:
    """Permute numbers of so many bits. With the inverse of HASH_MULTIPLIER as `by`, the permutation is undone."""
    mask = (1 << bits) - 1
    permuted: Indices = (numbers * (by & mask)) & mask
    return permuted


def _propose_mergers(graph: ClusterGraph, edges: Indices, ranks: Indices) -> tuple[Indices, Indices, Indices]:
    """Propose that clusters merge into a neighbour; return (edge, child, parent), each (M,) int.

    A child is a cluster whose cheapest edge leads to a larger cluster, its parent. The parent makes no proposal itself.
    """
    count, none = len(graph.areas), np.iinfo(np.intp).max
    first, second = graph.first.take(edges), graph.second.take(edges)
    best = np.full(count, none)
    np.minimum.at(best, first, ranks)
    np.minimum.at(best, second, ranks)
    child = np.flatnonzero(best < none)
    bits = len(edges).bit_length()
    edge = _permute(best.take(child) & ((1 << bits) - 1), bits, pow(HASH_MULTIPLIER, -1, 1 << bits))
    parent = first[edge] + second[edge] - child
    larger = graph.areas[parent] > graph.areas[child]
    larger |= (graph.areas[parent] == graph.areas[child]) & (parent > child)
    proposes = np.zeros(count, dtype=bool)
    proposes[child[larger]] = True
    taken = larger & ~proposes[parent]
    return edge[taken], child[taken], parent[taken]


def _check_mergers(
    graph: ClusterGraph,
    child: Indices,
    parent: Indices,
    ranks: Indices,
    labels: Indices,
    normals: Floats,
    least_cosine: float,
) -> tuple[Bool, Bool]:
    """Check proposed mergers against all faces; return two (M,) bool: which are accepted, and which are rejected.

    A merger that is neither may be proposed again.
    """
    strays = _find_strays(graph, child, parent, labels, normals, least_cosine)
    overloaded = strays[parent]
    rejected = ~overloaded & strays[child]
    accepted = ~overloaded & ~strays[child]
    if overloaded.any():
        # All children together turn the parent away from its own faces, so only the cheapest child may join it.
        cheapest = np.full(len(graph.areas), np.iinfo(np.intp).max)
        np.minimum.at(cheapest, parent, ranks)
        cheapest_only = overloaded & (ranks == cheapest[parent])
        strays = _find_strays(graph, child[cheapest_only], parent[cheapest_only], labels, normals, least_cosine)
        stray = strays[child] | strays[parent]
        accepted |= cheapest_only & ~stray
        rejected |= cheapest_only & stray
    return accepted, rejected


def _find_strays(
    graph: ClusterGraph, child: Indices, parent: Indices, labels: Indices, normals: Floats, least_cosine: float
) -> Bool:
    """Find the clusters (C,) that would have a face too far from the mean normal if each child joined its parent."""
    count = len(graph.areas)
    group = np.arange(count)
    group[child] = parent
    joined = _normalize(graph.normals + sum_children(graph.normals, child, parent)).take(group, axis=1)
    involved = np.zeros(count, dtype=bool)
    involved[child] = involved[parent] = True
    face = np.flatnonzero(involved.take(labels))
    cluster = labels.take(face)
    strays = np.zeros(count, dtype=bool)
    strays[cluster.compress(_compute_cosines(normals, face, joined, cluster) < least_cosine)] = True
    return strays


def _find_misfits(graph: ClusterGraph, edges: Indices, labels: Indices, normals: Floats, least_cosine: float) -> Bool:
    """Find the edges (N,) whose two clusters, merged alone, would have a face too far from the mean normal.

    Pairs with more than MAX_PRETEST_SIZE times the mean number of faces are not tested.
    """
    misfit = np.zeros(len(edges), dtype=bool)
    sizes = np.bincount(labels, minlength=len(graph.areas))
    faces = sizes.take(graph.first.take(edges)) + sizes.take(graph.second.take(edges))
    tested = np.flatnonzero(faces * len(faces) <= MAX_PRETEST_SIZE * faces.sum())
    first, second = graph.first.take(edges.take(tested)), graph.second.take(edges.take(tested))
    joined = _normalize(graph.normals.take(first, axis=1) + graph.normals.take(second, axis=1))

    involved = np.zeros(len(sizes), dtype=bool)
    involved[first] = involved[second] = True
    by_cluster = np.flatnonzero(involved.take(labels))
    by_cluster = by_cluster.take(stable_order(labels.take(by_cluster)))
    sizes *= involved
    stops = np.cumsum(sizes)
    for cluster in (first, second):
        stop = stops.take(cluster)
        merger, member = expand_ranges(stop - sizes.take(cluster), stop)
        strays = _compute_cosines(normals, by_cluster.take(member), joined, merger) < least_cosine
        misfit[tested.take(merger.compress(strays))] = True
    return misfit


def _compute_cosines(normals: Floats, face: Indices, means: Floats, mean: Indices) -> Floats:
    """Compute the cosines (N,) between the normals of faces and mean normals.

    normals (3, F) and face (N,) int: the unit normals, and which of them to compare.
    means (3, M) and mean (N,) int: the mean normals of length 1, and with which of them.
    """
    x, y, z = (
        column.take(face) * other.take(mean) for column, other in zip(normals, means.astype(np.float32), strict=True)
    )
    cosines: Floats = x + y + z
    return cosines


def _normalize(vectors: Floats) -> Floats:
    """Scale vectors (3, N) to length 1."""
    return vectors / np.maximum(np.sqrt(_dot(vectors, vectors)), TINY)


def _dot(a: Floats, b: Floats) -> Floats:
    """Compute the dot products (N,) of vectors (3, N)."""
    products: Floats = a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
    return products
