"""Houses along a street: fronts with recessed windows and doors, shops, roofs. Everything in metres."""

# bpy has no complete types and is not installed with the hub:
# mypy: ignore-errors

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import bpy

from . import kit, surfaces
from .kit import Mesh


@dataclass(frozen=True)
class Wall:
    """A vertical plane: `point(along, out, up)`; `out` is towards the surfaces."""

    origin: tuple[float, float]
    along: float  # direction in degrees
    flip: bool = False  # the street is to the left of the direction, else to the right

    def point(self, a: float, out: float, z: float) -> tuple[float, float, float]:
        turn = math.radians(self.along)
        side = 1 if self.flip else -1
        nx, ny = -math.sin(turn) * side, math.cos(turn) * side
        return self.origin[0] + a * math.cos(turn) + out * nx, self.origin[1] + a * math.sin(turn) + out * ny, z

    def block(
        self, mesh: Mesh, a: tuple[float, float], out: tuple[float, float], z: tuple[float, float], material
    ) -> None:
        base = [self.point(s, o, 0)[:2] for s, o in ((a[0], out[0]), (a[1], out[0]), (a[1], out[1]), (a[0], out[1]))]
        mesh.prism(base if self.flip else base[::-1], *z, material)

    def quad(self, mesh: Mesh, a: tuple[float, float], z: tuple[float, float], out: float, material) -> None:
        mesh.face(
            [
                self.point(a[0], out, z[0]),
                self.point(a[1], out, z[0]),
                self.point(a[1], out, z[1]),
                self.point(a[0], out, z[1]),
            ],
            material,
        )


@dataclass(frozen=True)
class Opening:
    a0: float
    a1: float
    z0: float
    z1: float
    kind: str = "sash"  # sash, door, shop
    colour: str = "e9e8e2"


def front(mesh: Mesh, wall: Wall, width: float, height: float, openings: list[Opening], material, trim) -> None:
    """A wall with real recesses for its openings."""
    stops_a = sorted({0.0, width, *[v for o in openings for v in (o.a0, o.a1)]})
    stops_z = sorted({0.0, height, *[v for o in openings for v in (o.z0, o.z1)]})
    for a0, a1 in pairwise(stops_a):
        for z0, z1 in pairwise(stops_z):
            middle = ((a0 + a1) / 2, (z0 + z1) / 2)
            if not any(o.a0 < middle[0] < o.a1 and o.z0 < middle[1] < o.z1 for o in openings):
                wall.quad(mesh, (a0, a1), (z0, z1), 0, material)
    for opening in openings:
        recess(mesh, wall, opening, material, trim)


def recess(mesh: Mesh, wall: Wall, o: Opening, material, trim, depth: float = 0.12) -> None:
    """Reveals, frame and panes (or a door) of one opening."""
    for corners in (
        ((o.a0, o.z0), (o.a0, o.z1)),
        ((o.a1, o.z0), (o.a1, o.z1)),
        ((o.a0, o.z0), (o.a1, o.z0)),
        ((o.a0, o.z1), (o.a1, o.z1)),
    ):
        (a, z), (b, y) = corners
        mesh.face(
            [wall.point(a, 0, z), wall.point(b, 0, y), wall.point(b, -depth, y), wall.point(a, -depth, z)], material
        )
    frame = kit.plain(f"frame {o.colour}", o.colour, 0.4)
    if o.kind == "door":
        wall.quad(mesh, (o.a0, o.a1), (o.z0, o.z1), -depth, frame)
        wall.block(mesh, (o.a0 + 0.12, o.a1 - 0.12), (-depth, -depth + 0.02), (o.z0 + 0.2, o.z0 + 0.9), frame)
        wall.quad(mesh, (o.a0 + 0.15, o.a1 - 0.15), (o.z1 - 0.55, o.z1 - 0.15), -depth + 0.01, surfaces.window_glass())
        wall.block(mesh, (o.a0 - 0.1, o.a1 + 0.1), (-depth, 0.3), (0.0, 0.14), trim)
        return
    wall.quad(mesh, (o.a0, o.a1), (o.z0, o.z1), -depth, surfaces.window_glass())
    bar, face = 0.06, (-depth, -depth + 0.05)
    for a in (o.a0, o.a1 - bar):
        wall.block(mesh, (a, a + bar), face, (o.z0, o.z1), frame)
    levels = (o.z0, o.z1 - bar) if o.kind == "shop" else (o.z0, (o.z0 + o.z1) / 2, o.z1 - bar)
    for z in levels:
        wall.block(mesh, (o.a0, o.a1), face, (z, z + bar), frame)
    uprights = int((o.a1 - o.a0) / 1.3) if o.kind == "shop" else 1
    for index in range(1, uprights + 1):
        a = o.a0 + (o.a1 - o.a0) * index / (uprights + 1)
        wall.block(mesh, (a - bar * 0.35, a + bar * 0.35), face, (o.z0, o.z1), frame)
    if o.kind == "sash":
        wall.block(mesh, (o.a0 - 0.08, o.a1 + 0.08), (-depth, 0.07), (o.z0 - 0.09, o.z0), trim)
        wall.block(mesh, (o.a0 - 0.08, o.a1 + 0.08), (-0.02, 0.025), (o.z1, o.z1 + 0.2), trim)


@dataclass(frozen=True)
class House:
    """One plot of a terrace."""

    width: float
    storeys: int
    material: object
    trim: object
    door: str = "22402e"
    shop: str = ""  # fascia colour: a shop on the ground floor
    sign: str = ""
    roof: str = "slate"  # or "flat"
    bays: int = 2
    storey: float = 2.9


def terrace(wall: Wall, houses: list[House], depth: float = 9.0) -> None:
    """Houses side by side along a wall line, from its origin on."""
    offset = 0.0
    for index, house in enumerate(houses):
        at = wall.point(offset, 0, 0)[:2]
        here = Wall(at, wall.along, wall.flip)
        mesh = Mesh()
        height = house.storeys * house.storey + 0.4
        front(mesh, here, house.width, height, openings_of(house, index), house.material, house.trim)
        for a in (0, house.width):
            corners = [(a, 0, 0), (a, -depth, 0), (a, -depth, height), (a, 0, height)]
            mesh.face([here.point(*c) for c in corners], house.material)
        here.block(mesh, (0, house.width), (-0.05, 0.16), (height - 0.06, height + 0.16), house.trim)
        top(mesh, here, house, height, depth)
        if house.shop:
            shopfront(mesh, here, house)
        mesh.build("house")
        offset += house.width


def openings_of(house: House, index: int) -> list[Opening]:
    openings, bay = [], house.width / house.bays
    for storey in range(house.storeys):
        z = storey * house.storey
        for column in range(house.bays):
            middle = bay * (column + 0.5)
            if storey == 0 and house.shop:
                continue
            if storey == 0 and column == (index % house.bays):
                openings.append(Opening(middle - 0.5, middle + 0.5, 0.14, 2.35, "door", house.door))
            else:
                half = 0.52 if bay < 2.6 else 0.62
                openings.append(
                    Opening(middle - half, middle + half, z + 0.85, z + 0.85 + (1.6 if storey < 2 else 1.35))
                )
    if house.shop:
        split = house.width * 0.7
        openings.append(Opening(0.35, split, 0.55, 2.45, "shop", house.shop))
        openings.append(Opening(split + 0.3, house.width - 0.35, 0.12, 2.45, "door", house.shop))
    return openings


def shopfront(mesh: Mesh, wall: Wall, house: House) -> None:
    """A fascia with a name, and an awning strip."""
    paint = kit.plain(f"fascia {house.shop}", house.shop, 0.4)
    wall.block(mesh, (0.1, house.width - 0.1), (0, 0.16), (2.55, 3.1), paint)
    wall.block(mesh, (0.05, house.width - 0.05), (0, 0.24), (3.1, 3.18), house.trim)
    for a in (0.1, house.width - 0.35):
        wall.block(mesh, (a, a + 0.25), (0, 0.1), (0.1, 2.55), paint)
    if house.sign:
        words(house.sign, wall, house.width / 2, 2.7, 0.3, "f3efe2")


def words(text: str, wall: Wall, a: float, z: float, size: float, code: str, out: float = 0.175) -> None:
    """Letters on a wall."""
    curve = bpy.data.curves.new("words", "FONT")
    curve.body, curve.size, curve.align_x, curve.extrude = text, size * 1.35, "CENTER", 0.01
    curve.materials.append(kit.plain(f"letters {code}", code, 0.5))
    thing = bpy.data.objects.new("words", curve)
    thing.location = wall.point(a, out, z)
    turn = wall.along + (180 if wall.flip else 0)
    thing.rotation_euler = (math.pi / 2, 0, math.radians(turn))
    bpy.context.scene.collection.objects.link(thing)


def top(mesh: Mesh, wall: Wall, house: House, height: float, depth: float) -> None:
    """A pitched slate roof with a chimney, or a parapet."""
    if house.roof == "flat":
        wall.block(mesh, (0, house.width), (-depth, 0.02), (height, height + 0.5), house.material)
        wall.block(mesh, (0, house.width), (-0.3, 0.1), (height + 0.5, height + 0.6), house.trim)
        return
    rise = depth * 0.36
    cover = surfaces.slate("6a4a3c" if house.roof == "tile" else "4b4f55")
    w = house.width
    mesh.face(
        [
            wall.point(0, 0.25, height),
            wall.point(w, 0.25, height),
            wall.point(w, -depth / 2, height + rise),
            wall.point(0, -depth / 2, height + rise),
        ],
        cover,
    )
    mesh.face(
        [
            wall.point(0, -depth, height),
            wall.point(w, -depth, height),
            wall.point(w, -depth / 2, height + rise),
            wall.point(0, -depth / 2, height + rise),
        ],
        cover,
    )
    for a in (0, w):
        mesh.face(
            [wall.point(a, 0, height), wall.point(a, -depth, height), wall.point(a, -depth / 2, height + rise)],
            house.material,
        )
    stack = (w - 0.8, w - 0.1)
    wall.block(mesh, stack, (-depth / 2 - 0.6, -depth / 2 + 0.6), (height, height + rise + 1.1), house.material)
    for out in (-0.35, 0.0, 0.35):
        x, y, z = wall.point(w - 0.45, -depth / 2 + out, height + rise + 1.1)
        mesh.tube([(x, y, z), (x, y, z + 0.4)], [0.13, 0.1], kit.plain("pot", "9a5b3e", 0.8))


# --- furniture ------------------------------------------------------------------------------------
