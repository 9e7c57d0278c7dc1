"""Streets: ground, marks and street furniture. Roads run along x; everything in metres."""

# bpy has no complete types and is not installed with the hub:
# mypy: ignore-errors

from __future__ import annotations

import math

import bpy
import numpy as np

from . import houses, kit, surfaces
from .kit import Mesh


def road(x0: float, x1: float, half: float, pavement: float, tone: str = "5d5d5f", slab: str = "8f8b85") -> None:
    """A straight road with gutters, kerbs and pavements."""
    mesh = Mesh()
    mesh.face([(x0, -half, 0), (x1, -half, 0), (x1, half, 0), (x0, half, 0)], surfaces.asphalt(tone))
    kerb, stones = surfaces.stained("kerb", "9c9991", 2.0), surfaces.slabs(slab)
    for sign in (1, -1):
        inner, outer = sorted((sign * half, sign * (half + 0.15)))
        for index in range(int((x1 - x0) / 0.92)):
            mesh.box((x0 + index * 0.92, inner, -0.1), (x0 + index * 0.92 + 0.91, outer, 0.12), kerb)
        inner, outer = sorted((sign * (half + 0.15), sign * (half + 0.15 + pavement)))
        mesh.face([(x0, inner, 0.115), (x1, inner, 0.115), (x1, outer, 0.115), (x0, outer, 0.115)], stones)
    mesh.build("road")


def ground(size: float = 300, code: str = "6b6a63") -> None:
    mesh = Mesh()
    mesh.face(
        [(-size, -size, -0.03), (size, -size, -0.03), (size, size, -0.03), (-size, size, -0.03)],
        surfaces.stained("earth", code, 0.1),
    )
    mesh.build("ground")


def marks(strips: list[tuple[float, float, float, float]], code: str = "e4e4de") -> None:
    """Painted rectangles on the road: x0, y0, x1, y1."""
    mesh = Mesh()
    for x0, y0, x1, y1 in strips:
        mesh.face([(x0, y0, 0.004), (x1, y0, 0.004), (x1, y1, 0.004), (x0, y1, 0.004)], surfaces.worn_paint(code))
    mesh.build("marks")


def dashes(x0: float, x1: float, y: float, length: float = 2.0, gap: float = 4.0, width: float = 0.11) -> list[tuple]:
    return [(x, y - width / 2, x + length, y + width / 2) for x in np.arange(x0, x1, length + gap)]


# --- house fronts ---------------------------------------------------------------------------------


def lamp_post(x: float, y: float, towards: float, height: float = 7.5) -> None:
    """A grey column with an arm over the road; `towards` is +1 or -1 in y."""
    mesh, steel = Mesh(), kit.plain("steel", "7f8588", 0.5, Metallic=0.4)
    mesh.tube([(x, y, 0), (x, y, 1.3)], 0.11, steel, 10)
    mesh.tube(
        [
            (x, y, 1.3),
            (x, y, height - 0.5),
            (x, y + towards * 0.15, height - 0.1),
            (x, y + towards * 1.5, height + 0.15),
        ],
        [0.08, 0.06, 0.05, 0.04],
        steel,
        10,
    )
    mesh.box(
        (x - 0.14, min(y + towards * 1.3, y + towards * 2.0), height + 0.1),
        (x + 0.14, max(y + towards * 1.3, y + towards * 2.0), height + 0.24),
        kit.plain("lantern", "b9bdbf", 0.4),
    )
    mesh.build("lamp post", smooth=True)


def traffic_light(x: float, y: float, lit: int = 0) -> None:
    """Faces -x; `lit` 0 red, 1 amber, 2 green."""
    mesh, black = Mesh(), kit.plain("signal", "111213", 0.5)
    mesh.tube([(x, y, 0), (x, y, 3.3)], 0.06, kit.plain("signal pole", "3a3d3f", 0.5), 10)
    mesh.box((x - 0.16, y - 0.2, 2.3), (x + 0.1, y + 0.2, 3.4), black)
    mesh.box((x - 0.05, y - 0.32, 2.2), (x - 0.03, y + 0.32, 3.5), black)
    mesh.build("signal")
    for index, (dim, code) in enumerate((("2a0806", "ff2a12"), ("2a1a04", "ffb010"), ("04220f", "16ff62"))):
        glow = {"Emission_Color": kit.hexa(code), "Emission_Strength": 8.0} if index == lit else {}
        lamp = Mesh()
        lamp.lathe(
            [(0.115, 0), (0.08, 0.03), (0.001, 0.045)],
            kit.plain(f"signal {index} {index == lit}", code if index == lit else dim, 0.3, **glow),
            24,
        )
        thing = kit.place(lamp.build("lamp"), x - 0.165, y, 3.2 - 0.35 * index, 90)
        thing.name = "lamp"


def sign(x: float, y: float, kind: str = "no entry", height: float = 2.3) -> None:
    """A road sign facing -x."""
    mesh = Mesh()
    mesh.tube([(x, y, 0), (x, y, height + 0.4)], 0.035, kit.plain("steel", "7f8588", 0.5, Metallic=0.4), 8)
    white, red, blue = (
        kit.plain("sign white", "eeeeea", 0.4),
        kit.plain("sign red", "c8141c", 0.4),
        kit.plain("sign blue", "1450a8", 0.4),
    )

    def plate(points: list[tuple[float, float]], out: float, material: bpy.types.Material) -> None:
        mesh.face([(x - 0.05 - out, y + a, height + b) for a, b in points], material)

    ring = [(math.cos(t), math.sin(t)) for t in np.linspace(0, math.tau, 32, endpoint=False)]
    corners = [(math.sin(t), math.cos(t)) for t in (0, math.tau / 3, 2 * math.tau / 3)]
    scaled = lambda points, r: [(a * r, b * r) for a, b in points]  # noqa: E731 - a short local helper
    if kind == "warning":
        plate(scaled(corners, 0.45), 0, red)
        plate(scaled(corners, 0.31), 0.004, white)
        plate([(-0.03, -0.12), (0.03, -0.12), (0.03, 0.1), (-0.03, 0.1)], 0.008, kit.plain("signal", "111213", 0.5))
    elif kind == "blue":
        plate(scaled(ring, 0.32), 0, white)
        plate(scaled(ring, 0.3), 0.004, blue)
        plate(
            [
                (-0.05, 0.2),
                (-0.05, -0.08),
                (-0.16, 0.02),
                (-0.16, -0.06),
                (0, -0.2),
                (0.16, -0.06),
                (0.16, 0.02),
                (0.05, -0.08),
                (0.05, 0.2),
            ],
            0.008,
            white,
        )
    elif kind == "speed":
        plate(scaled(ring, 0.32), 0, red)
        plate(scaled(ring, 0.24), 0.004, white)
        houses.words("20", houses.Wall((x - 0.05, y), -90), 0, height - 0.11, 0.22, "111111", 0.012)
    else:
        plate(scaled(ring, 0.32), 0, red)
        plate([(-0.22, -0.06), (0.22, -0.06), (0.22, 0.06), (-0.22, 0.06)], 0.004, white)
    mesh.build("sign")


def railings(
    x0: float, x1: float, y: float, height: float = 1.05, code: str = "23282a", gap: float = 0.13, z: float = 0.115
) -> None:
    """Iron railings along the road."""
    mesh, iron = Mesh(), kit.plain(f"iron {code}", code, 0.5)
    for level in (0.12, height - 0.06):
        mesh.box((x0, y - 0.02, z + level), (x1, y + 0.02, z + level + 0.04), iron)
    for x in np.arange(x0, x1, gap):
        mesh.box((x - 0.008, y - 0.008, z), (x + 0.008, y + 0.008, z + height), iron)
    for x in np.arange(x0, x1, 2.0):
        mesh.box((x - 0.03, y - 0.03, z), (x + 0.03, y + 0.03, z + height + 0.08), iron)
    mesh.build("railings")


def bollard(x: float, y: float) -> None:
    mesh = Mesh()
    mesh.tube(
        [(x, y, 0.1), (x, y, 0.85), (x, y, 0.98), (x, y, 1.05)],
        [0.08, 0.07, 0.085, 0.02],
        kit.plain("signal", "111213", 0.5),
        12,
    )
    mesh.build("bollard", smooth=True)


def garden_wall(x0: float, x1: float, y: float, height: float, material) -> None:
    mesh = Mesh()
    mesh.box((x0, y - 0.12, 0), (x1, y + 0.12, height), material)
    mesh.box((x0, y - 0.17, height), (x1, y + 0.17, height + 0.08), surfaces.stained("coping", "a8a296"))
    mesh.build("garden wall")
