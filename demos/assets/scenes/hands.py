"""Palms on a table, from above: the pictures of `palm_keypoints`. Lengths in decimetres."""

# bpy has no complete types and is not installed with the hub:
# mypy: ignore-errors
# ruff: noqa: E501 - tables of coordinates read best as tables

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import bpy
import numpy as np

from . import kit, solid

STEP = 0.0095
# A left hand, palm to the viewer, fingers up: crease at the base of each finger, length from there, radius, lean in degrees.
FINGERS = (
    ((-0.315, 1.08), 0.72, 0.091, -2.0),
    ((-0.09, 1.125), 0.81, 0.094, 3.0),
    ((0.125, 1.065), 0.745, 0.088, 8.0),
    ((0.325, 0.915), 0.58, 0.078, 16.0),
)
PHALANGES = (0.0, 0.355, 0.645, 1.0)  # creases along a finger, and its tip
PALM = [  # (start, end, radius, end radius)
    ((-0.16, 0.10, -0.02), (-0.29, 0.90, 0.0), 0.155, 0.128),
    ((-0.06, 0.08, -0.02), (-0.08, 0.93, 0.0), 0.160, 0.130),
    ((0.06, 0.08, -0.02), (0.12, 0.88, 0.0), 0.160, 0.125),
    ((0.15, 0.10, -0.02), (0.29, 0.76, 0.0), 0.150, 0.115),
    ((-0.10, -0.85, -0.05), (-0.09, 0.08, -0.03), 0.185, 0.165),
    ((0.11, -0.85, -0.05), (0.09, 0.08, -0.03), 0.185, 0.165),
]
MOUNDS = [
    ((-0.20, 0.22, 0.03), (-0.36, 0.52, 0.07), 0.150, 0.165),  # of the thumb
    ((0.22, 0.22, 0.02), (0.29, 0.60, 0.02), 0.145, 0.120),  # of the little finger
    ((-0.27, 0.90, 0.03), (-0.23, 0.92, 0.03), 0.092, 0.092),
    ((-0.02, 0.93, 0.045), (0.03, 0.92, 0.045), 0.085, 0.085),
    ((0.19, 0.86, 0.04), (0.25, 0.82, 0.04), 0.085, 0.085),
]
LINES = {  # (x, y[, depth]) of the creases in the palm, from one end to the other
    "heart": [(0.44, 0.64), (0.33, 0.665), (0.19, 0.71), (0.04, 0.78), (-0.06, 0.86), (-0.115, 0.945)],
    "head": [(-0.41, 0.735), (-0.28, 0.70), (-0.10, 0.635), (0.08, 0.54), (0.25, 0.41)],
    "life": [(-0.41, 0.725), (-0.27, 0.68), (-0.13, 0.57), (-0.045, 0.42), (-0.03, 0.26), (-0.075, 0.10)],
    "fate": [(0.015, 0.20), (0.01, 0.36), (0.0, 0.52), (0.005, 0.70)],
    "wrist": [(-0.22, 0.005), (-0.08, -0.02), (0.08, -0.02), (0.22, 0.005)],
    "wrist 2": [(-0.22, -0.075), (-0.07, -0.10), (0.09, -0.10), (0.22, -0.08)],
}
DEPTH = {"heart": 1.0, "head": 0.95, "life": 1.05, "fate": 0.4, "wrist": 0.7, "wrist 2": 0.5}


@dataclass(frozen=True)
class Hand:
    """What differs between people and poses."""

    skin: str
    flush: str  # of finger tips and mounds
    line: str  # of the creases
    right: bool = False
    leans: tuple[float, float, float, float] = (0, 0, 0, 0)  # degrees more than FINGERS says
    lengths: tuple[float, float, float, float] = (1, 1, 1, 1)
    thumb: float = 0.0  # degrees further from the hand
    curl: float = 0.02  # how far the finger tips rise
    wobble: int = 0  # a seed: no two hands have the same lines


def joints(hand: Hand) -> list[np.ndarray]:
    """For each finger the points [6, 3] on its axis: knuckle in the palm, base crease, two joints, tip's middle, tip."""
    chains = []
    for index, ((x, y), length, radius, lean) in enumerate(FINGERS):
        turn = math.radians(lean + hand.leans[index])
        ahead = np.array([math.sin(turn), math.cos(turn)])
        length = length * hand.lengths[index]
        shares = (-0.30, 0.0, PHALANGES[1], PHALANGES[2], 1 - radius * 0.8 / length)
        rise = (-0.01, -0.035, -0.045, -0.07, -0.06)  # the hand lies on its back
        chain = [
            (*(np.array([x, y]) + ahead * length * s), up + hand.curl * s**2)
            for s, up in zip(shares, rise, strict=True)
        ]
        chains.append(np.array(chain))
    return chains


def thumb(hand: Hand) -> list[np.ndarray]:
    root, turn = np.array([-0.25, 0.24, 0.02]), math.radians(38 + hand.thumb)
    points = [root]
    for length, more, up in ((0.46, 0, -0.01), (0.33, -4, -0.03), (0.235, -12, -0.02)):
        angle = turn + math.radians(more)
        points.append(points[-1] + np.array([-math.sin(angle) * length, math.cos(angle) * length, up]))
    return points


def volume(hand: Hand, grid: solid.Grid) -> np.ndarray:
    """Bones with flesh on them: palm, then each finger melted to the palm but not to its neighbours."""
    palm = solid.capsule(grid, *PALM[0])
    for bone in PALM[1:]:
        palm = solid.smooth_min(palm, solid.capsule(grid, *bone), 0.13)
    for bone in MOUNDS:
        palm = solid.smooth_min(palm, solid.capsule(grid, *bone), 0.09)
    hollow = solid.capsule(grid, (0.03, 0.34, 0.36), (-0.01, 0.66, 0.36), 0.235, 0.225)
    palm = solid.smooth_max(palm, -hollow, 0.16)
    points = thumb(hand)
    rod = solid.capsule(grid, points[0], points[1], 0.165, 0.118)
    for (a, b), (r, r_end) in zip(pairwise(points[1:]), ((0.108, 0.092), (0.100, 0.070)), strict=True):
        rod = solid.smooth_min(rod, solid.capsule(grid, a, b, r, r_end), 0.05)
    pad = points[2] * 0.45 + points[3] * 0.55 + (0, 0, 0.022)
    rod = solid.smooth_min(
        rod, solid.capsule(grid, pad, pad * 0.6 + points[3] * 0.4 + (0, 0, 0.008), 0.084, 0.074), 0.04
    )
    whole = solid.smooth_min(palm, rod, 0.14)
    melted = whole
    for chain, (_, _, radius, _) in zip(joints(hand), FINGERS, strict=True):
        melted = solid.smooth_min(melted, solid.smooth_min(whole, finger(grid, chain, radius), 0.055), 0.006)
    return melted


def finger(grid: solid.Grid, chain: np.ndarray, radius: float) -> np.ndarray:
    """Three phalanges, slimmer at the joints, with a soft pad each."""
    sizes = ((1.08, 1.05), (1.04, 0.98), (0.96, 0.90), (0.90, 0.70))
    rod = solid.capsule(grid, chain[0], chain[1], radius * sizes[0][0], radius * sizes[0][1])
    for (a, b), (r, r_end) in zip(pairwise(chain[1:]), sizes[1:], strict=True):
        rod = solid.smooth_min(rod, solid.capsule(grid, a, b, radius * r, radius * r_end), 0.02)
    for (a, b), size, low, high in zip(
        pairwise(chain[1:]), (0.95, 0.88, 0.83), (0.36, 0.34, 0.36), (0.64, 0.66, 0.80), strict=True
    ):
        up = np.array([0, 0, 0.26 * radius])
        pad = solid.capsule(grid, a + (b - a) * low + up, a + (b - a) * high + up, radius * size, radius * size * 0.97)
        rod = solid.smooth_min(rod, pad, 0.035)
    return rod


# --- creases --------------------------------------------------------------------------------------


def smooth(points: np.ndarray, count: int = 60) -> np.ndarray:
    """A Catmull-Rom curve through points [n, 2]."""
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    places = np.linspace(0, len(points) - 1, count)
    curve = []
    for place in places:
        i, t = min(int(place), len(points) - 2), place - min(int(place), len(points) - 2)
        p0, p1, p2, p3 = padded[i : i + 4]
        curve.append(
            0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
        )
    return np.array(curve)


def creases(hand: Hand) -> list[tuple[np.ndarray, float, float]]:
    """Curves [n, 2] seen from above, with their depth (1: a main line) and width."""
    random = np.random.default_rng(hand.wobble)
    curves = []
    for name, points in LINES.items():
        shaken = np.array(points) + random.normal(0, 0.008, (len(points), 2))
        curves.append((smooth(shaken), DEPTH[name], 0.0095))
    for _ in range(26):  # the fine ones
        start = random.uniform((-0.3, 0.2), (0.3, 0.85))
        turn, length = random.uniform(-0.9, 0.9) + (0.9 if start[0] < 0 else 2.2), random.uniform(0.06, 0.18)
        bend = random.normal(0, 0.02, 2)
        ahead = np.array([math.cos(turn), math.sin(turn)]) * length
        curves.append(
            (smooth(np.array([start, start + ahead / 2 + bend, start + ahead]), 16), random.uniform(0.2, 0.42), 0.0065)
        )
    for chain, (_, _, radius, _) in zip(joints(hand), FINGERS, strict=True):
        ahead = chain[2, :2] - chain[1, :2]
        ahead = ahead / np.hypot(*ahead)
        across = np.array([ahead[1], -ahead[0]])
        for joint, gaps, depth in ((1, (-0.015, 0.017), 1.15), (2, (-0.018, 0.016), 0.8), (3, (0.0,), 0.75)):
            for gap in gaps:
                middle = chain[joint, :2] + ahead * gap
                sag = random.normal(0.010, 0.004)
                slant = random.normal(0, 0.007)
                ends = [middle + across * radius * s * 1.05 + ahead * (sag * abs(s) + slant * s) for s in (-1, 0, 1)]
                curves.append((smooth(np.array(ends), 24), depth * random.uniform(0.75, 1.05), 0.0075))
    points = thumb(hand)
    ahead = (points[2] - points[1])[:2] / np.hypot(*(points[2] - points[1])[:2])
    across = np.array([ahead[1], -ahead[0]])
    for joint, gaps in ((1, (0.02, 0.05)), (2, (-0.012, 0.016))):
        for gap in gaps:
            middle = points[joint][:2] + ahead * gap
            curves.append(
                (
                    smooth(np.array([middle + across * 0.1 * s + ahead * 0.012 * abs(s) for s in (-1, 0, 1)]), 24),
                    0.7,
                    0.0085,
                )
            )
    return curves


def carved(points: np.ndarray, normals: np.ndarray, hand: Hand) -> tuple[np.ndarray, np.ndarray]:
    """Vertices moved into the creases, and how deep each lies in one (0 to 1)."""
    depth = np.zeros(len(points))
    facing = np.clip((normals[:, 2] - 0.1) / 0.4, 0, 1)
    for curve, strength, width in creases(hand):
        near = np.flatnonzero(((points[:, :2] > curve.min(0) - 0.05) & (points[:, :2] < curve.max(0) + 0.05)).all(1))
        distance = np.full(len(near), np.inf)
        along = np.zeros(len(near))
        for number, (a, b) in enumerate(pairwise(curve)):
            line = b - a
            share = np.clip((points[near, :2] - a) @ line / max(line @ line, 1e-12), 0, 1)
            away = np.hypot(*(points[near, :2] - a - share[:, None] * line).T)
            along = np.where(away < distance, (number + share) / (len(curve) - 1), along)
            distance = np.minimum(distance, away)
        fade = np.clip(np.minimum(along, 1 - along) * 7, 0.12, 1)  # lines thin out towards their ends
        uneven = 0.8 + 0.2 * np.sin(along * 23 + curve[0, 0] * 40) * np.sin(along * 9 + curve[0, 1] * 40)
        depth[near] = np.maximum(
            depth[near], strength * uneven * fade * np.exp(-((distance / (width * (0.5 + 0.5 * fade))) ** 2))
        )
    depth *= facing
    return points - normals * (0.016 * depth)[:, None], np.clip(depth, 0, 1)


# --- the thing ------------------------------------------------------------------------------------


def build(hand: Hand) -> bpy.types.Object:
    """One hand with its creases, about 1.9 long from wrist to tip, palm up."""
    grid = solid.Grid((-1.0, -0.75, -0.30), (0.72, 2.02, 0.36), STEP)
    points, faces, normals = solid.surface(volume(hand, grid), grid)
    points, lines = carved(points, normals, hand)
    ends = [chain[-1] for chain in joints(hand)] + [thumb(hand)[-1]]
    warm = sum(np.exp(-(((points - end) ** 2).sum(1)) / 0.018) for end in ends)
    for (a, b, _, _), share in zip(MOUNDS, (0.8, 0.8, 0.55, 0.55, 0.55), strict=True):
        warm = warm + share * np.exp(-(((points[:, :2] - (np.array(a) + b)[:2] / 2) ** 2).sum(1)) / 0.03)
    if hand.right:
        points, normals, faces = points * (-1, 1, 1), normals * (-1, 1, 1), faces[:, ::-1]
    thing = kit.smooth_mesh("hand", points, faces, normals, skin(hand))
    # The grooves need normals of their own, not those of the surface they were cut into.
    thing.data.normals_split_custom_set([(0, 0, 0)] * len(thing.data.loops))
    for name, values in (("crease", lines), ("warm", np.clip(warm, 0, 1))):
        thing.data.attributes.new(name, "FLOAT", "POINT").data.foreach_set("value", values.astype(np.float32))
    return thing


def skin(hand: Hand) -> bpy.types.Material:
    shader = kit.Shader("skin")
    crease = shader.node("Attribute", attribute_name="crease").outputs["Fac"]
    warm = shader.node("Attribute", attribute_name="warm").outputs["Fac"]
    blotches = shader.math(
        "ADD",
        shader.noise(7, 5, low=0.35, high=0.75),
        shader.math("MULTIPLY", shader.noise(34, 3, low=0.45, high=0.75), 0.5),
    )
    colour = shader.mix(shader.math("MULTIPLY", warm, 0.65), kit.hexa(hand.skin), kit.hexa(hand.flush))
    colour = shader.mix(shader.math("MULTIPLY", blotches, 0.32), colour, kit.hexa(hand.flush))
    colour = shader.mix(shader.math("MULTIPLY", crease, 0.62), colour, kit.hexa(hand.line))
    grain = shader.math("ADD", shader.noise(130, 3), shader.math("MULTIPLY", shader.noise(38, 4), 1.2))
    return shader.principled(
        Base_Color=colour, Roughness=0.46, Specular_IOR_Level=0.42, Normal=shader.bump(grain, 0.004, 0.14),
        Subsurface_Weight=0.22, Subsurface_Radius=(1.0, 0.36, 0.2), Subsurface_Scale=0.035,
    )  # fmt: skip


def table(code: str, grain: float = 0.03) -> None:
    """A plain surface, a little uneven in tone."""
    shader = kit.Shader("table")
    base = kit.hexa(code)
    dark = tuple(c * (1 - grain) for c in base)
    colour = shader.mix(shader.noise(1.2, 5), base, dark)
    mesh = kit.Mesh()
    mesh.box((-9, -9, -0.5), (9, 9, -0.215), shader.principled(Base_Color=colour, Roughness=0.75))
    mesh.build("table")


def boards(tones: tuple[str, ...], width: float) -> None:
    """A table of boards that run from left to right."""
    mesh = kit.Mesh()
    for row in range(-8, 9):
        tone = kit.hexa(tones[row % len(tones)])
        shader = kit.Shader(f"board {row}")
        source = shader.node("TexCoord").outputs["Object"]
        along = shader.node("Mapping", {"Vector": source, "Location": (row * 7.3, 0, 0), "Scale": (0.22, 2.6, 1)})
        grain = shader.noise(5, 7, along.outputs[0], 0.3, 0.7)
        fine = shader.noise(26, 4, along.outputs[0], 0.35, 0.65)
        mark = shader.math("ADD", shader.math("MULTIPLY", grain, 0.5), shader.math("MULTIPLY", fine, 0.25))
        colour = shader.mix(mark, tone, tuple(c * 0.5 for c in tone))
        bump = shader.bump(fine, 0.003, 0.2)
        y = (row + 0.4) * width
        mesh.box(
            (-9, y + 0.008, -0.5), (9, y + width - 0.008, -0.215),
            shader.principled(Base_Color=colour, Roughness=0.5, Normal=bump),
        )  # fmt: skip
    mesh.box((-9, -9, -0.6), (9, 9, -0.3), kit.plain("gaps", "2a1c12", 0.9))
    mesh.build("boards", bevel=0.01)


def shot(hand: Hand, turn: float, code: str, wide: float, aim: tuple[float, float], sun: float) -> float:
    """A hand turned by so many degrees to the left on a table, seen from above; `wide` is what its longer side shows."""
    thing = build(hand)
    thing.rotation_euler = (0, 0, math.radians(turn))
    table(code) if code else boards(("b98a5e", "a97a50", "c2956a", "b08058"), 0.86)
    return lit(wide, aim, sun)


def lit(wide: float, aim: tuple[float, float], sun: float) -> float:
    kit.sky("dfe8f2", "ffffff", "ffffff", 0.2, 0.5)
    kit.sun(38, sun, 3.1, "fff2e2", 12)
    height = 9.0
    kit.camera((*aim, height), (*aim, 0), math.degrees(2 * math.atan(wide / 2 / height)))
    return 0.15


def right_palm() -> float:
    """Upright, fair skin."""
    hand = Hand("dcae98", "d0837a", "874840", right=True, leans=(-3, -1, 1, 2), thumb=-4, wobble=3)
    return shot(hand, 0, "d5dde4", 2.6, (0.1, 0.78), 130)


def left_palm() -> float:
    """Fingers to the left, dark skin."""
    hand = Hand("7a5647", "86584c", "2a1915", leans=(-5, -1, 2, 5), lengths=(0.97, 1.02, 1.02, 1.0), thumb=4, wobble=11)
    return shot(hand, 90, "e6e5e1", 2.55, (-0.86, -0.1), 60)


def left_on_wood() -> float:
    """Upright, brown skin, on boards."""
    hand = Hand(
        "b07d5c", "a8685a", "55301f", leans=(-6, -2, 2, 5), lengths=(1.02, 0.99, 1.04, 0.98), thumb=6, wobble=23
    )
    return shot(hand, 0, "", 2.6, (-0.1, 0.78), 145)


def right_downwards() -> float:
    """As one sees the hand of a person on the other side of the table: fingers down, light brown skin."""
    hand = Hand(
        "c99f7f",
        "bd7d6c",
        "6a3a2c",
        right=True,
        leans=(-4, -2, 2, 4),
        lengths=(0.98, 1.0, 0.96, 1.02),
        thumb=2,
        wobble=31,
    )
    return shot(hand, 180, "37685f", 2.6, (-0.1, -0.78), 140)


def fork() -> float:
    """No hand, though it has something like fingers: a fork on boards."""
    boards(("b98a5e", "a97a50", "c2956a", "b08058"), 0.86)
    steel = kit.plain("steel", "c9ced3", 0.22, Metallic=1.0)
    mesh = kit.Mesh()
    side = [
        (0.0, -1.14),
        (0.07, -1.06),
        (0.09, -0.8),
        (0.05, -0.2),
        (0.042, 0.2),
        (0.1, 0.45),
        (0.215, 0.64),
        (0.225, 0.9),
    ]
    right = smooth(np.array(side), 40)[1:]
    outline = [*right, *(right[::-1] * (-1, 1)), side[0]]
    mesh.prism([tuple(point) for point in outline], -0.17, -0.125, steel)
    for x in (-0.185, -0.062, 0.062, 0.185):
        mesh.prism(
            [(x - 0.04, 0.88), (x + 0.04, 0.88), (x + 0.028, 1.5), (x, 1.55), (x - 0.028, 1.5)], -0.17, -0.125, steel
        )
    thing = mesh.build("fork", bevel=0.018)
    thing.rotation_euler = (0, 0, math.radians(62))
    return lit(3.2, (-0.17, 0.1), 60)
