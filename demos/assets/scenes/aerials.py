"""The pictures of `satellite_labels`: places seen from straight above, 77 m across."""

# bpy has no complete types and is not installed with the hub:
# mypy: ignore-errors

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise, product

import bpy
import numpy as np

from . import kit, plants, street, surfaces, vehicles
from .kit import Mesh

ACROSS = 77.0  # metres from the left to the right border
FAR = 60.0  # the ground goes on until here, so that the camera can be turned
ALL = (-FAR, -FAR), (FAR, FAR)
COARSE = 0.045  # of the grid that car bodies are made on
PAINTS = ("e6e6e2", "a9adb0", "2b2e31", "8c1d1b", "dedcd4", "26354f", "5d6266", "c2b89f", "17191b", "4b5650")


def straight_down(turn: float, elevation: float = 48) -> float:
    """A camera without perspective, turned by some degrees, and a mild afternoon; returns the exposure."""
    lens = bpy.data.cameras.new("camera")
    lens.type, lens.ortho_scale, lens.clip_end = "ORTHO", ACROSS, 400
    seat = bpy.data.objects.new("camera", lens)
    seat.location, seat.rotation_euler = (0, 0, 150), (0, 0, math.radians(turn))
    bpy.context.scene.collection.objects.link(seat)
    bpy.context.scene.camera = seat
    kit.sky("6f9bd0", "d6e2ec", "ffffff", 0.5, 0.75)
    kit.sun(elevation, 125 + turn, 5.2, "fff0dc", 1.5)
    return 0.2


def patchy(name: str = "grass", light: str = "6c7450", dark: str = "4d5a39", bare: str = "7f8259", scale: float = 0.12):
    """Grass or roofing: two tones in large and small patches, a third one where it is worn."""

    def make(shader: kit.Shader) -> bpy.types.Material:
        colour = shader.mix(shader.noise(scale, 6, low=0.3, high=0.7), kit.hexa(light), kit.hexa(dark))
        fine = shader.noise(4.0, 3, low=0.25, high=0.8)
        colour = shader.mix(shader.math("MULTIPLY", fine, 0.45), colour, tuple(c * 0.5 for c in kit.hexa(dark)))
        worn = shader.noise(scale * 0.7, 8, low=0.5, high=0.72)
        colour = shader.mix(shader.math("MULTIPLY", worn, 0.55), colour, kit.hexa(bare))
        return shader.principled(Base_Color=colour, Roughness=0.95, Normal=shader.bump(fine, 0.06, 0.6))

    return surfaces.once(f"patchy {name}", make)


def water() -> bpy.types.Material:
    def make(shader: kit.Shader) -> bpy.types.Material:
        tone = shader.mix(shader.noise(0.06, 5), kit.hexa("16302f"), kit.hexa("22413c"))
        ripples = shader.math("ADD", shader.noise(0.9, 5), shader.noise(3.5, 3))
        tone = shader.mix(shader.math("MULTIPLY", ripples, 0.22), tone, kit.hexa("35615a"))
        return shader.principled(Base_Color=tone, Roughness=0.22, Normal=shader.bump(ripples, 0.09))

    return surfaces.once("water", make)


def sheet(low: tuple[float, float], high: tuple[float, float], z: float, material: bpy.types.Material) -> None:
    """A level rectangle of ground."""
    sheets([(*low, *high)], z, material)


def sheets(spans: Sequence[tuple[float, float, float, float]], z: float, material: bpy.types.Material) -> None:
    """Level rectangles x0, y0, x1, y1."""
    mesh = Mesh()
    for x0, y0, x1, y1 in spans:
        mesh.face([(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)], material)
    mesh.build("sheet")


def path(start: tuple[float, float], end: tuple[float, float], sway: float, waves: float) -> None:
    """A footpath that swings to the side on its way."""
    t = np.linspace(0, 1, 60)[:, None]
    along = np.subtract(end, start)
    across = np.array([-along[1], along[0]]) / np.hypot(*along)
    middle = start + t * along + np.sin(t * math.pi * waves) * sway * across
    mesh = Mesh()
    for a, b in pairwise(middle):
        corners = a - across * 1.3, a + across * 1.3, b + across * 1.3, b - across * 1.3
        mesh.face([(*corner, 0.05) for corner in reversed(corners)], surfaces.stained("walk", "b0aa9d", 0.5))
    mesh.build("path")


def crown(seed: int, radius: float, dark: str, light: str, leaves: int = 5000) -> bpy.types.Object:
    """A tree as one sees it from above: leaves on a heap of rounded boughs."""
    rng = np.random.default_rng(seed)
    boughs = int(9 + radius * 3)
    out, around = radius * 0.72 * np.sqrt(rng.random(boughs)), rng.uniform(0, math.tau, boughs)
    high = radius * (1.75 - 0.75 * (out / radius) ** 2 + rng.normal(0, 0.1, boughs))
    middles = np.column_stack([out * np.cos(around), out * np.sin(around), high])
    size = radius * rng.uniform(0.26, 0.42, boughs)
    which = rng.integers(0, boughs, leaves)
    way = rng.normal(size=(leaves, 3))
    way[:, 2] = np.abs(way[:, 2] + 0.3)
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    spots = middles[which] + way * (size[which] * rng.uniform(0.75, 1.08, leaves))[:, None]
    return plants.cards(spots, radius * 0.17, rng, plants.leaf_material(f"leaf {dark}{light}", dark, light))


def trees(spots: list[tuple[float, float]], seed: int, size: tuple[float, float] = (0.7, 1.15)) -> None:
    greens = (("36482a", "869662"), ("42502e", "969c6c"), ("2f4529", "74885a"), ("3c4a2c", "8b9268"))
    kinds = [crown(seed + i, radius, *greens[i]) for i, radius in enumerate((3.6, 3.1, 4.2, 3.4))]
    plants.scatter(kinds, spots, seed, size)


def park(places: Sequence[tuple[float, float, float]], seed: int, kinds: int = 10) -> None:
    """Cars at (x, y, direction); the paints and models repeat."""
    rng = np.random.default_rng(seed)
    models = (vehicles.SALOON, vehicles.HATCHBACK, vehicles.PICKUP, vehicles.HATCHBACK, vehicles.SALOON)
    cars = [vehicles.car(models[i % 5], PAINTS[i], step=COARSE, flake=0.1) for i in range(min(kinds, len(places)))]
    for index, (x, y, turn) in enumerate(places):
        thing = cars[index] if index < len(cars) else kit.copy(cars[rng.integers(len(cars))])
        kit.place(thing, x + rng.normal(0, 0.1), y + rng.normal(0, 0.2), 0.01, turn + rng.normal(0, 1.2))


def hip(mesh: Mesh, low: tuple[float, float], high: tuple[float, float], roof: str, eaves: float = 2.8) -> None:
    """A house: walls, a hipped roof with pale ridge tiles, a vent."""
    (x0, y0), (x1, y1) = low, high
    tiles = patchy(f"roof {roof}", roof, roof, roof, 0.5)
    walls, half = surfaces.stained("render", "c9c0ae"), min(x1 - x0, y1 - y0) / 2
    top = eaves + half * 0.5
    mesh.box((x0 + 0.5, y0 + 0.5, 0), (x1 - 0.5, y1 - 0.5, eaves), walls)
    a, b, c, d = ((x, y, eaves) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1)))
    first, last = (x0 + half, y0 + half, top), (x1 - half, y1 - half, top)
    if x1 - x0 < y1 - y0:
        a, b, c, d = b, c, d, a
    for slope in ([a, b, last, first], [b, c, last], [c, d, first, last], [d, a, first]):
        mesh.face(slope, tiles)
    for ends in ((first, last), (a, first), (d, first), (b, last), (c, last)):
        mesh.tube(ends, 0.13, surfaces.stained(f"ridge {roof}", roof, 2.0, 0.1), 6)
    mesh.face([d, c, b, a], walls)
    x, y = x0 + half * 0.9, y0 + half * 0.5
    mesh.box((x, y, eaves), (x + 0.5, y + 0.5, top), kit.plain("vent", "8b8a86"))


def home(mesh: Mesh, x: float, y: float, way: int, roof: str, mirror: bool) -> None:
    """A house with a wing and a drive on its plot; `way` 1: the street lies towards -y."""
    side = -1 if mirror else 1

    def at(a0: float, b0: float, a1: float, b1: float) -> tuple[tuple[float, float], tuple[float, float]]:
        xs, ys = sorted((x + side * a0, x + side * a1)), sorted((y + way * b0, y + way * b1))
        return (xs[0], ys[0]), (xs[1], ys[1])

    hip(mesh, *at(-6.2, 1.5, 5.8, 9.8), roof)
    hip(mesh, *at(0.6, -2.2, 6.4, 6.0), roof, 2.75)
    for low, high in (at(1.2, -9.2, 5.4, -1.6), at(-1.6, -9.2, -0.6, 2), at(-4.5, 9, 0.5, 12.5)):
        sheet(low, high, 0.03, surfaces.stained("drive", "a39f96", 0.5, 0.4))


def boat(kind: int, length: float) -> bpy.types.Object:
    """A motor boat (0, 1) or a yacht (2) at its berth: x is forward."""
    beam = length * (0.16 if kind < 2 else 0.14)
    shape = ((-0.5, 0.82), (-0.2, 1.0), (0.1, 0.96), (0.3, 0.7), (0.42, 0.38), (0.5, 0.0))
    hull = [*shape, *[(a, -b) for a, b in reversed(shape[:-1])]]
    mesh = Mesh()
    white, deck = kit.plain("gel coat", "e9e8e2", 0.35), surfaces.stained("deck", "cbc3b0", 1.5, 0.2)
    glass, teak = kit.plain("boat glass", "12181d", 0.1), surfaces.stained("teak", "9c7a52", 2.0)
    for scale, z, material in ((1.0, -0.2, white), (0.86, 0.95, deck if kind else white)):
        mesh.prism([(a * length * scale, -b * beam * scale) for a, b in hull], z, z + 0.05 + scale // 1, material)
    mesh.box((-0.46 * length, -beam * 0.62, 1.0), (-0.16 * length, beam * 0.62, 1.03), deck if kind == 1 else teak)
    if kind < 2:
        for z, grow, material in ((1.0, 0.0, white), (1.45, 0.06, glass), (1.8, -0.1, white)):
            low, front = (-0.2 - grow / 4) * length, (0.14 + grow - 0.05 * kind) * length
            mesh.prism([(low, -beam * 0.66), (front * 0.6, -beam * 0.66), (front, -beam * 0.3), (front, beam * 0.3),
                        (front * 0.6, beam * 0.66), (low, beam * 0.66)], z, z + 0.4, material)  # fmt: skip
        mesh.box((-0.41 * length, -beam * 0.55, 1.0), (-0.37 * length, beam * 0.55, 1.5), white)
    else:
        mesh.box((-0.1 * length, -beam * 0.4, 1.0), (0.22 * length, beam * 0.4, 1.4), white)
        mesh.tube([(0.1 * length, 0, 1), (0.1 * length, 0, length * 1.05)], 0.09, kit.plain("mast", "d8d8d4"), 6)
        mesh.tube([(0.09 * length, 0, 2.2), (-0.36 * length, 0, 2.1)], 0.2, kit.plain("sail cover", "27466f", 0.8))
    mesh.box((0.25 * length, -0.25, 1.0), (0.3 * length, 0.25, 1.06), glass)
    return mesh.build("boat", 0.05)


def jetty(x: float, y0: float, y1: float, berths: Sequence[float], reach: float) -> None:
    """A walkway along y with fingers to both sides and piles at their ends."""
    mesh, planks, pile = Mesh(), surfaces.stained("planks", "a89a86", 3.0, 0.5), kit.plain("pile", "4c4237", 0.9)
    mesh.box((x - 1.2, y0, 0.2), (x + 1.2, y1, 0.7), planks)
    for y in berths:
        mesh.box((x - reach, y - 0.4, 0.3), (x + reach, y + 0.4, 0.65), planks)
        for side in (-1, 1):
            mesh.tube([(x + side * reach, y, 0), (x + side * reach, y, 2.2)], 0.22, pile)
            mesh.box((x + side - 0.2, y - 0.2, 0.7), (x + side + 0.2, y + 0.2, 1.5), kit.plain("box", "dedad0"))
    mesh.build("jetty")


def car_park() -> float:
    """Four and a half double rows of cars, a walkway and a strip of grass."""
    rng = np.random.default_rng(4)
    sheet(*ALL, 0, surfaces.asphalt("626263"))
    middles, bays = (-39.5, -23.0, -6.5, 10.0, 26.5), np.arange(-FAR, FAR, 2.6)
    lines = [(x - 0.07, c - 5, x + 0.07, c + (5 if c < 26 else 0)) for c in middles for x in bays]
    street.marks([*lines, *[(-FAR, c - 0.07, FAR, c + 0.07) for c in middles]])
    islands, spots, places = Mesh(), [], []
    for row, c in enumerate(middles):
        for index, x in enumerate(bays):
            if index % 19 == (3, 24, 9, 34, 14)[row] % 19:
                islands.box((x + 0.2, c - 4.6, 0), (x + 2.4, c + (4.6 if row < 4 else -0.2), 0.15), patchy())
                spots.append((x + 1.3, c - 2.4))
                continue
            for side in (-1, 1) if row < 4 else (-1,):
                if rng.random() < 0.92:
                    places.append((x + 1.3, c + side * 2.5, 90 + 180 * int(rng.random() < 0.5)))
    islands.build("islands", 0.1)
    park([*places, (-9, -14.9, 0), (24, 17.6, 180)], 2)
    sheet((-FAR, 27), (FAR, 29.2), 0.12, surfaces.stained("walk", "a8a49a", 0.5))
    sheet((-FAR, 29.2), (FAR, FAR), 0.1, patchy())
    for y, gap in ((34, 12), (41, 8)):
        spots += [(x + rng.normal(0, 1), y + rng.uniform(-2, 3)) for x in range(-46, 49, gap)]
    trees(spots, 11, (0.55, 0.9))
    return straight_down(9)


def houses() -> float:
    """A street with homes, their drives, lawns and trees."""
    rng = np.random.default_rng(8)
    sheet(*ALL, 0, patchy())
    sheet((-FAR, -4.2), (FAR, 4.2), 0.02, surfaces.asphalt("6a6968"))
    sheets([(-FAR, -4.6, FAR, -4.2), (-FAR, 4.2, FAR, 4.6)], 0.05, surfaces.stained("kerb", "a9a59c", 2.0))
    sheets([(-FAR, -7.8, FAR, -6.4), (-FAR, 6.4, FAR, 7.8)], 0.035, surfaces.stained("walk", "a8a49a", 0.5))
    roofs = ("6b5d52", "7d7b78", "857060", "565a5e", "75685c")
    mesh, spots, low_spots, places, fence = Mesh(), [], [], [], kit.plain("fence", "8a7a66", 0.9)
    for row, way in ((15.5, 1), (-15.5, -1), (53, -1), (-53, 1)):
        for index, x in enumerate(np.arange(-48, 50, 17.5) + (4 if way < 0 else 0)):
            mirror = bool(rng.random() < 0.5)
            home(mesh, x, row, way, roofs[int(rng.integers(5))], mirror)
            near, far = sorted((row + way * 4, row + way * 17.5))
            mesh.box((x + 8.7, near, 0), (x + 8.8, far, 1.2), fence)
            spots += [(x + rng.uniform(-6, 6), row + way * rng.uniform(13.5, 17)) for _ in range(2)]
            spots.append((x + (5 if mirror else -5) + rng.normal(0, 0.6), row - way * 5.5))
            low_spots += [(x + rng.uniform(-7, 7), row + way * rng.uniform(12, 17)) for _ in range(4)]
            low_spots += [(x + a * (1 if mirror else -1), row + way * 0.6) for a in (1.5, 3, 4.6)]
            if index % 2 or way < 0:
                places.append((x + (-3.3 if mirror else 3.3), row - way * 5.2, 90 * way))
    for y in (34.2, -34.2):
        mesh.box((-FAR, y - 0.05, 0), (FAR, y + 0.05, 1.2), fence)
    mesh.build("homes")
    park([*places, (-20, 3.1, 180), (7, -3.1, 0), (26, 3.1, 180), (-2, 1.6, 180)], 5)
    trees(spots, 21, (0.55, 1.0))
    plants.scatter([crown(31, 1.2, "37462c", "838c60", 900)], low_spots, 31, (0.5, 1.1))
    return straight_down(-14)


def harbour() -> float:
    """Two jetties with boats at their berths."""
    rng = np.random.default_rng(3)
    sheet(*ALL, 0, water())
    kinds = [boat(kind, length) for kind, length in ((0, 9.5), (2, 10.5), (1, 8.5), (2, 9.0), (0, 11.0), (1, 10))]
    for thing in kinds:
        kit.place(thing, -500, 0)
    for x, y0, y1 in ((-22, -FAR, 24), (19, -30, FAR)):
        edges = np.arange(y0 + 1.0, y1, 9.2)
        jetty(x, y0, y1, edges, 10.5)
        for y, off, side in product(edges, (2.5, 6.7), (-1, 1)):
            if rng.random() < 0.87 and y + off < y1 - 1:
                turn = 180 * int(rng.integers(2)) + rng.normal(0, 1.2)
                boat_here = kit.copy(kinds[rng.integers(len(kinds))])
                kit.place(boat_here, x + side * (7 + rng.normal(0, 0.25)), y + off, 0, turn)
    kit.place(kit.copy(kinds[0]), -1.5, -7, 0, 84)
    return straight_down(24, 44)


def courts() -> float:
    """Three tennis courts in a park, a path around them, a few cars."""
    rng = np.random.default_rng(6)
    sheet(*ALL, 0, patchy())
    sheet((-28, -17), (28, 19), 0.03, surfaces.stained("surround", "614840", 0.2, 0.3))
    green, lines, mesh = surfaces.stained("court", "4a5c78", 0.25, 0.25), [], Mesh()
    for x in (-18.2, 0, 18.2):
        sheet((x - 6.6, -13.2), (x + 6.6, 15.2), 0.04, green)
        for a, long in ((-5.485, 11.885), (-4.115, 11.885), (0, 6.4), (4.115, 11.885), (5.485, 11.885)):
            lines.append((x + a - 0.07, 1 - long, x + a + 0.07, 1 + long))
        for b, wide in ((-11.885, 5.485), (-6.4, 4.115), (6.4, 4.115), (11.885, 5.485)):
            lines.append((x - wide, 1 + b - 0.07, x + wide, 1 + b + 0.07))
        mesh.box((x - 6.4, 0.96, 0.05), (x + 6.4, 1.04, 0.5), kit.plain("net", "26302c", 0.9))
        mesh.box((x + 7.2, 0, 0), (x + 7.7, 2.4, 0.5), kit.plain("bench", "b9b2a2"))
    sheets(lines, 0.05, kit.plain("line", "dfe2da", 0.8))
    for (x0, y0), (x1, y1) in pairwise([(-28, -17), (28, -17), (28, 19), (-28, 19), (-28, -17)]):
        for z in (1.2, 2.4, 3.6):
            mesh.tube([(x0, y0, z), (x1, y1, z)], 0.05, kit.plain("rail", "3c4642", 0.7), 4)
        for x, y in np.linspace((x0, y0), (x1, y1), 13):
            mesh.tube([(x, y, 0), (x, y, 3.6)], 0.07, kit.plain("rail", "3c4642", 0.7), 5)
    mesh.build("fittings")
    path((-60, 24.5), (60, 30), 3, 2.0)
    path((-34, 27), (-36, -60), -3, 1.0)
    sheet((-FAR, -FAR), (FAR, -28.5), 0.03, surfaces.asphalt("6a6968"))
    sheet((-FAR, -28.5), (FAR, -28.1), 0.08, surfaces.stained("kerb", "a9a59c", 2.0))
    bays = np.arange(-FAR, FAR, 2.7)
    sheets([(x, -33.5, x + 0.12, -28.6) for x in bays], 0.04, surfaces.worn_paint())
    park([(x + 1.4, -31, 90 if rng.random() < 0.6 else -90) for x in bays if rng.random() < 0.5], 9, 8)
    spots = [(x + rng.normal(0, 1.5), -22.8 + rng.normal(0, 0.8)) for x in range(-46, 50, 8)]
    spots += [(x + rng.normal(0, 2), 36 + rng.normal(0, 2.5)) for x in range(-48, 50, 9)]
    spots += [(36 + rng.normal(0, 2.5), y) for y in range(-14, 24, 10)] + [(-44, y) for y in range(-16, 24, 8)]
    trees(spots, 41, (0.6, 1.05))
    return straight_down(-7)
