"""Merge neighbouring faces into ever larger regions that stay nearly flat.

Hierarchical face clustering (Garland, Willmott and Heckbert, "Hierarchical Face Clustering on Polygonal Surfaces",
2001) with the normal deviation of Cohen-Steiner, Alliez and Desbrun ("Variational Shape Approximation", 2004) as its
cost. Their heap merges one pair at a time; here many merge in each round, so that a round is a few array operations and
the number of rounds grows with the logarithm of the number of faces.
"""

from __future__ import annotations

import numpy as np

from sam3d_bento.arrays import Bool, Floats, Indices
from sam3d_bento.export.grouping import members, stable_order
from sam3d_bento.export.uv.cluster_graph import ClusterGraph, added

# Until there are so many times fewer clusters than faces, those that look the same way merge, and no face is asked.
FEW_FACES = 8
SAME_WAY = 0.8  # cosine

# Levels of cost to a factor of two. Within a level chance decides: strictly ordered, only few would merge at once.
LEVELS = 2

# Once more are refused than accepted, each pair is asked for itself before its clusters propose, lest a cluster be
# refused by all around it, one by one. Not so a pair of so many times as many faces as they have on average: its faces
# would be asked for too many neighbours.
CROWDS = 10

# 2**64 over the golden ratio. The low bits of an index times this are as good as chance, and the index comes back from
# them.
GOLDEN = 0x9E3779B97F4A7C15

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
    """(F,) the labels after merging neighbours while every face keeps within `least_cosine` of its cluster's mean.

    labels (F,) of the clusters to begin with, numbered from 0; first, second (E,) faces that share an edge, of
    `lengths` (E,); normals (F, 3) of length 1; areas, perimeters (F,) of the faces. A few faces may end a little
    outside of the bound.
    """
    graph = ClusterGraph.of(labels, first, second, lengths, normals, areas, perimeters)
    columns = np.ascontiguousarray(normals.T, dtype=np.float32)  # faces are asked column by column
    ask_faces = ask_pairs = False
    while len(graph.first):
        count = len(graph.areas)
        ask_faces = ask_faces or count * FEW_FACES < len(labels)
        edges, deviations = _candidates(graph, least_cosine if ask_faces else SAME_WAY)
        if ask_pairs:
            misfit = _misfits(graph, edges, labels, columns, least_cosine)
            graph.refused[edges.compress(misfit)] = True
            edges, deviations = edges.compress(~misfit), deviations.compress(~misfit)
        if not len(edges):
            if ask_faces:
                break
            ask_faces = True
            continue
        ranks = _ranks(graph, edges, deviations)
        edge, child, parent = _proposals(graph, edges, ranks)
        if ask_faces:
            accepted, refused = _fitting(graph, child, parent, ranks[edge], labels, columns, least_cosine)
            graph.refused[edges[edge[refused]]] = True
            ask_pairs = ask_pairs or bool(refused.sum() > accepted.sum())
            edge, child, parent = edge[accepted], child[accepted], parent[accepted]
        if len(child):
            labels = graph.contract(edges[edge], child, parent).take(labels)
    return labels


def _candidates(graph: ClusterGraph, least_cosine: float) -> tuple[Indices, Floats]:
    """The edges whose clusters may merge, no face asked, and what each merger would add to the sum of area times
    squared deviation from the mean normal."""
    one, other = (graph.normals.take(ends, axis=1) for ends in (graph.first, graph.second))
    both = one + other
    size = np.sqrt(_dot(graph.normals, graph.normals))
    one_length, other_length, length = size.take(graph.first), size.take(graph.second), np.sqrt(_dot(both, both))
    least = least_cosine * length
    edges: Indices = np.flatnonzero(
        (_dot(one, both) > least * one_length) & (_dot(other, both) > least * other_length) & ~graph.refused
    )
    return edges, np.maximum((one_length + other_length - length).take(edges), 0)


def _ranks(graph: ClusterGraph, edges: Indices, deviations: Floats) -> Indices:
    """Of each of the edges (N,): its level of cost, and in the low bits, different for each, chance."""
    # The deviation for each unit of border that the merger saves; more where the border is but a small part of the
    # outlines.
    border = graph.lengths.take(edges) + TINY
    outline = np.minimum(*(graph.perimeters.take(ends.take(edges)) for ends in (graph.first, graph.second)))
    cost = deviations / border * np.sqrt(np.maximum(outline / border, 1))
    level: Indices = np.floor(LEVELS * np.log2(cost + TINY)).astype(np.intp)
    bits = len(edges).bit_length()
    ranks: Indices = (level << bits) | _scattered(np.arange(len(edges)), bits)
    return ranks


def _scattered(numbers: Indices, bits: int, by: int = GOLDEN) -> Indices:
    """The numbers, of so many bits, in another order. By the inverse of GOLDEN they come back."""
    mask = (1 << bits) - 1
    scattered: Indices = (numbers * (by & mask)) & mask
    return scattered


def _proposals(graph: ClusterGraph, edges: Indices, ranks: Indices) -> tuple[Indices, Indices, Indices]:
    """(edge, child, parent): clusters whose cheapest edge leads to a larger one that does not propose itself."""
    count, none = len(graph.areas), np.iinfo(np.intp).max
    first, second = graph.first.take(edges), graph.second.take(edges)
    best = np.full(count, none)
    np.minimum.at(best, first, ranks)
    np.minimum.at(best, second, ranks)
    child = np.flatnonzero(best < none)
    bits = len(edges).bit_length()
    edge = _scattered(best.take(child) & ((1 << bits) - 1), bits, pow(GOLDEN, -1, 1 << bits))
    parent = first[edge] + second[edge] - child
    larger = graph.areas[parent] > graph.areas[child]
    larger |= (graph.areas[parent] == graph.areas[child]) & (parent > child)
    proposes = np.zeros(count, dtype=bool)
    proposes[child[larger]] = True
    taken = larger & ~proposes[parent]
    return edge[taken], child[taken], parent[taken]


def _fitting(
    graph: ClusterGraph,
    child: Indices,
    parent: Indices,
    ranks: Indices,
    labels: Indices,
    normals: Floats,
    least_cosine: float,
) -> tuple[Bool, Bool]:
    """Which proposals are accepted, all faces asked, and which are never to come again."""
    strays = _strays(graph, child, parent, labels, normals, least_cosine)
    crowded = strays[parent]
    refused = ~crowded & strays[child]
    accepted = ~crowded & ~strays[child]
    if crowded.any():
        # All children together turn the parent away from its own faces: only the cheapest one may come.
        cheapest = np.full(len(graph.areas), np.iinfo(np.intp).max)
        np.minimum.at(cheapest, parent, ranks)
        alone = crowded & (ranks == cheapest[parent])
        strays = _strays(graph, child[alone], parent[alone], labels, normals, least_cosine)
        stray = strays[child] | strays[parent]
        accepted |= alone & ~stray
        refused |= alone & stray
    return accepted, refused


def _strays(
    graph: ClusterGraph, child: Indices, parent: Indices, labels: Indices, normals: Floats, least_cosine: float
) -> Bool:
    """(C,) which clusters would have a face too far from the mean normal if each child joined its parent."""
    count = len(graph.areas)
    group = np.arange(count)
    group[child] = parent
    joined = _unit(graph.normals + added(graph.normals, child, parent)).take(group, axis=1)
    involved = np.zeros(count, dtype=bool)
    involved[child] = involved[parent] = True
    face = np.flatnonzero(involved.take(labels))
    cluster = labels.take(face)
    strays = np.zeros(count, dtype=bool)
    strays[cluster.compress(_cosines(normals, face, joined, cluster) < least_cosine)] = True
    return strays


def _misfits(graph: ClusterGraph, edges: Indices, labels: Indices, normals: Floats, least_cosine: float) -> Bool:
    """Which of the edges (N,) join two clusters that, merged by themselves, would have a face too far from the mean."""
    misfit = np.zeros(len(edges), dtype=bool)
    sizes = np.bincount(labels, minlength=len(graph.areas))
    faces = sizes.take(graph.first.take(edges)) + sizes.take(graph.second.take(edges))
    asked = np.flatnonzero(faces * len(faces) <= CROWDS * faces.sum())
    first, second = graph.first.take(edges.take(asked)), graph.second.take(edges.take(asked))
    joined = _unit(graph.normals.take(first, axis=1) + graph.normals.take(second, axis=1))

    involved = np.zeros(len(sizes), dtype=bool)
    involved[first] = involved[second] = True
    by_cluster = np.flatnonzero(involved.take(labels))
    by_cluster = by_cluster.take(stable_order(labels.take(by_cluster)))
    sizes *= involved
    stops = np.cumsum(sizes)
    for cluster in (first, second):
        stop = stops.take(cluster)
        merger, member = members(stop - sizes.take(cluster), stop)
        strays = _cosines(normals, by_cluster.take(member), joined, merger) < least_cosine
        misfit[asked.take(merger.compress(strays))] = True
    return misfit


def _cosines(normals: Floats, face: Indices, means: Floats, mean: Indices) -> Floats:
    """(N,) between the faces (N,), of `normals` (3, F), and the means (N,), of `means` (3, M)."""
    x, y, z = (column.take(face) * of.take(mean) for column, of in zip(normals, means.astype(np.float32), strict=True))
    cosines: Floats = x + y + z
    return cosines


def _unit(vectors: Floats) -> Floats:
    """(3, N) of length 1."""
    return vectors / np.maximum(np.sqrt(_dot(vectors, vectors)), TINY)


def _dot(a: Floats, b: Floats) -> Floats:
    """(N,) of vectors (3, N)."""
    products: Floats = a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
    return products
