"""Pedestrians and a cyclist, from rounded rods."""

# bpy has no complete types and is not installed with the hub:
# mypy: ignore-errors
# ruff: noqa: E501 - tables of coordinates read best as tables

from __future__ import annotations

import math

import bpy
import numpy as np

from . import kit, solid

SKIN = ("c99878", "8a5a3c", "e0b090")


def rods(
    name: str, bones: list[tuple], material: bpy.types.Material, fillet: float = 0.06, step: float = 0.014
) -> bpy.types.Object:
    """Capsules (start, end, radius, end radius) melted together."""
    points = np.array([p for bone in bones for p in bone[:2]])
    reach = max(max(bone[2:]) for bone in bones) + 0.03
    grid = solid.Grid(tuple(points.min(0) - reach), tuple(points.max(0) + reach), step)
    volume = solid.capsule(grid, *bones[0])
    for bone in bones[1:]:
        volume = solid.smooth_min(volume, solid.capsule(grid, *bone), fillet)
    return kit.smooth_mesh(name, *solid.surface(volume, grid), material)


def person(
    coat: str, trousers: str, stride: float = 0.3, skin: int = 0, hair: str = "2a1d14", bag: str = ""
) -> bpy.types.Object:
    """Someone walking towards +x, 1.74 m tall."""
    cloth, legs = kit.plain(f"cloth {coat}", coat, 0.85), kit.plain(f"cloth {trousers}", trousers, 0.85)
    s = stride
    parts = [
        rods("legs", [((0, 0.09, 0.92), (s * 0.5, 0.09, 0.5), 0.092, 0.07), ((s * 0.5, 0.09, 0.5), (s * 0.75, 0.09, 0.1), 0.068, 0.052),
                      ((0, -0.09, 0.92), (-s * 0.1, -0.09, 0.5), 0.092, 0.07), ((-s * 0.1, -0.09, 0.5), (-s * 0.9, -0.09, 0.13), 0.068, 0.052)], legs),
        rods("coat", [((0, 0, 0.88), (0, 0, 1.12), 0.15, 0.14), ((0, 0, 1.1), (0.01, 0, 1.36), 0.14, 0.13), ((0, -0.15, 1.41), (0, 0.15, 1.41), 0.075, 0.075),
                      ((0, 0.2, 1.4), (-s * 0.35, 0.25, 1.12), 0.055, 0.045), ((-s * 0.35, 0.25, 1.12), (-s * 0.1, 0.25, 0.88), 0.048, 0.04),
                      ((0, -0.2, 1.4), (s * 0.3, -0.25, 1.12), 0.055, 0.045), ((s * 0.3, -0.25, 1.12), (s * 0.75, -0.24, 0.92), 0.048, 0.04)], cloth, 0.04),
        rods("head", [((0.02, 0, 1.45), (0.03, 0, 1.56), 0.05, 0.055), ((0.045, 0, 1.585), (0.03, 0, 1.655), 0.07, 0.088), ((0.11, 0, 1.625), (0.13, 0, 1.605), 0.012, 0.016),
                      ((-s * 0.1, 0.25, 0.86), (-s * 0.06, 0.25, 0.8), 0.04, 0.03), ((s * 0.77, -0.24, 0.9), (s * 0.84, -0.24, 0.85), 0.04, 0.03)],
             kit.plain(f"skin {skin}", SKIN[skin], 0.5), 0.02),
        rods("hair", [((-0.025, 0, 1.6), (0.0, 0, 1.7), 0.088, 0.094), ((0.0, 0, 1.7), (0.05, 0, 1.715), 0.094, 0.075)], kit.plain(f"hair {hair}", hair, 0.7)),
        rods("shoes", [((s * 0.72, 0.09, 0.05), (s * 0.72 + 0.16, 0.09, 0.045), 0.05, 0.045), ((-s * 0.92, -0.09, 0.09), (-s * 0.92 + 0.14, -0.09, 0.03), 0.05, 0.042)],
             kit.plain("shoe", "1b1716", 0.6)),
    ]  # fmt: skip
    if bag:
        parts.append(rods("bag", [((-0.2, 0, 1.1), (-0.19, 0, 1.3), 0.12, 0.11)], kit.plain(f"cloth {bag}", bag, 0.8)))
    return kit.parent(parts, "person")


def bicycle(frame: str) -> bpy.types.Object:
    """A town bicycle along x, standing."""
    paint, dark, metal = (
        kit.plain(f"frame {frame}", frame, 0.3),
        kit.plain("tyre", "131314", 0.85),
        kit.plain("spoke", "b8bcc0", 0.3, Metallic=0.9),
    )
    mesh = kit.Mesh()
    for x in (-0.52, 0.52):
        turns = np.linspace(0, math.tau, 33)
        mesh.tube([(x + 0.34 * math.cos(t), 0, 0.35 + 0.34 * math.sin(t)) for t in turns], 0.021, dark, 6)
        mesh.tube([(x + 0.315 * math.cos(t), 0, 0.35 + 0.315 * math.sin(t)) for t in turns], 0.01, metal, 4)
        for t in np.linspace(0, math.tau, 14, endpoint=False):
            mesh.tube([(x, 0, 0.35), (x + 0.31 * math.cos(t), 0, 0.35 + 0.31 * math.sin(t))], 0.003, metal, 3)
    crank, seat, head = (-0.08, 0, 0.33), (-0.2, 0, 0.84), (0.36, 0, 0.86)
    for bar in ([crank, seat], [crank, (0.38, 0, 0.72)], [(-0.18, 0, 0.76), head], [(-0.52, 0, 0.35), crank], [(-0.52, 0, 0.35), (-0.18, 0, 0.78)],
                [head, (0.52, 0, 0.35)], [head, (0.33, 0, 1.02)]):  # fmt: skip
        mesh.tube(bar, 0.017, paint, 6)
    mesh.tube([(0.22, 0.27, 1.03), (0.35, 0.1, 1.04), (0.35, -0.1, 1.04), (0.22, -0.27, 1.03)], 0.013, dark, 6)
    mesh.box((-0.32, -0.07, 0.88), (-0.1, 0.07, 0.93), dark)
    mesh.box((-0.85, -0.03, 0.66), (-0.3, 0.03, 0.72), dark)
    return mesh.build("bicycle", smooth=True)


def cyclist(coat: str, trousers: str, frame: str = "1f4a8c", skin: int = 0, helmet: str = "d8d8d4") -> bpy.types.Object:
    """Someone riding towards +x."""
    cloth, legs = kit.plain(f"cloth {coat}", coat, 0.85), kit.plain(f"cloth {trousers}", trousers, 0.85)
    flesh = kit.plain(f"skin {skin}", SKIN[skin], 0.5)
    parts = [
        bicycle(frame),
        rods("legs", [((-0.18, 0.1, 0.98), (0.2, 0.11, 0.8), 0.095, 0.07), ((0.2, 0.11, 0.8), (-0.02, 0.11, 0.42), 0.066, 0.05),
                      ((-0.18, -0.1, 0.98), (0.14, -0.11, 0.66), 0.095, 0.07), ((0.14, -0.11, 0.66), (-0.08, -0.11, 0.24), 0.066, 0.05)], legs),
        rods("coat", [((-0.18, 0, 1.0), (-0.02, 0, 1.3), 0.145, 0.14), ((-0.02, 0, 1.3), (0.03, 0, 1.42), 0.135, 0.11),
                      ((0.02, 0.18, 1.42), (0.14, 0.25, 1.2), 0.058, 0.05), ((0.14, 0.25, 1.2), (0.26, 0.25, 1.07), 0.047, 0.04),
                      ((0.02, -0.18, 1.42), (0.14, -0.25, 1.2), 0.058, 0.05), ((0.14, -0.25, 1.2), (0.26, -0.25, 1.07), 0.047, 0.04)], cloth, 0.05),
        rods("head", [((0.06, 0, 1.46), (0.08, 0, 1.56), 0.05, 0.055), ((0.1, 0, 1.62), (0.09, 0, 1.67), 0.085, 0.088)], flesh),
        rods("helmet", [((0.06, 0, 1.7), (0.11, 0, 1.71), 0.1, 0.095)], kit.plain(f"helmet {helmet}", helmet, 0.3)),
        rods("shoes", [((-0.04, 0.11, 0.38), (0.12, 0.11, 0.36), 0.045, 0.04), ((-0.1, -0.11, 0.2), (0.06, -0.11, 0.18), 0.045, 0.04)], kit.plain("shoe", "1b1716", 0.6)),
    ]  # fmt: skip
    return kit.parent(parts, "cyclist")
