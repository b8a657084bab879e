# SPDX-License-Identifier: Apache-2.0
"""Breadth-first search over a random directed graph that is built in memory.

args: seed (int), nodes (a power of two, at most 2^31), degree (int), source (int, default 0).
Edge j of node v leads to mix(v * degree + j, seed) mod nodes, mix being the 32-bit hash below; the caller's own program
computes the same in C (demonstration/graph.c). Answer: reached (int), levels (nodes first reached at each distance),
checksum (sum over reached nodes of node * (distance + 1), mod 2^64, as hex), bytes (memory of the graph), warm (bool:
the graph was still there from the call before).
"""
import numpy as np

CHUNK = 1 << 19  # edges handled at a time: bounds the temporary arrays

graph = {}  # the latest graph, kept for the next call: what a function keeps warm is what its idle instance holds


def mix(values, seed):
    values ^= np.uint32(seed * 0x9E3779B9 & 0xFFFFFFFF)
    values ^= values >> np.uint32(16)
    values *= np.uint32(0x21F0AAAD)
    values ^= values >> np.uint32(15)
    values *= np.uint32(0x735A2D97)
    values ^= values >> np.uint32(15)
    return values


def build(seed, nodes, degree):
    edges = np.empty(nodes * degree, dtype=np.intp)
    for start in range(0, edges.size, CHUNK):
        end = min(start + CHUNK, edges.size)
        edges[start:end] = mix(np.arange(start, end, dtype=np.uint32), seed) & np.uint32(nodes - 1)
    return edges.reshape(nodes, degree)


def search(edges, source):
    nodes, degree = edges.shape
    distance = np.full(nodes, -1, dtype=np.int32)
    distance[source] = 0
    frontier = np.array([source])
    levels = []
    step = max(1, CHUNK // degree)
    while frontier.size:
        levels.append(int(frontier.size))
        fresh = np.zeros(nodes, dtype=bool)
        for part in range(0, frontier.size, step):
            fresh[edges[frontier[part:part + step]].ravel()] = True
        frontier = np.flatnonzero(fresh & (distance < 0))
        distance[frontier] = len(levels)
    return distance, levels


def checksum(distance):
    total = 0
    for start in range(0, distance.size, CHUNK):
        part = distance[start:start + CHUNK]
        nodes = np.flatnonzero(part >= 0)
        total += int(((nodes + start) * (part[nodes].astype(np.int64) + 1)).sum())
    return total & 0xFFFFFFFFFFFFFFFF


def main(args):
    key = (args["seed"], args["nodes"], args["degree"])
    warm = key in graph
    if not warm:
        graph.clear()
        graph[key] = build(*key)
    edges = graph[key]
    distance, levels = search(edges, args.get("source", 0))
    return {"reached": sum(levels), "levels": levels, "checksum": "%016x" % checksum(distance), "bytes": int(edges.nbytes),
            "warm": warm}
