"""Streets: ground, house fronts, roofs and street furniture. Roads run along x; everything in metres."""

# bpy has no complete types and is not installed with the hub:
# mypy: ignore-errors

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import bpy
import numpy as np

from . import kit
from .kit import Mesh


def once(name: str, make) -> bpy.types.Material:
    """The material of that name, made if it is not there yet."""
    return bpy.data.materials.get(name) or make(kit.Shader(name))


def asphalt(tone: str = "5d5d5f", wet: float = 0.0) -> bpy.types.Material:
    def make(shader: kit.Shader) -> bpy.types.Material:
        dark = tuple(c * 0.72 for c in kit.hexa(tone))
        colour = shader.mix(shader.noise(0.35, 6, low=0.3, high=0.7), kit.hexa(tone), dark)
        grit = shader.noise(120, 2, low=0.3, high=0.75)
        colour = shader.mix(shader.math("MULTIPLY", grit, 0.45), colour, tuple(c * 1.7 for c in kit.hexa(tone)))
        stretched = shader.node(
            "Mapping", {0: shader.node("TexCoord").outputs["Object"], "Scale": (0.05, 1.1, 1)}
        ).outputs[0]
        tracks = shader.noise(1.0, 3, stretched, 0.35, 0.7)
        colour = shader.mix(shader.math("MULTIPLY", tracks, 0.3), colour, tuple(c * 0.5 for c in kit.hexa(tone)))
        rough = shader.blend(shader.noise(0.5, 4), 0.92 - wet, 0.8 - wet * 1.4)
        return shader.principled(Base_Color=colour, Roughness=rough, Normal=shader.bump(grit, 0.008, 0.7))

    return once(f"asphalt {tone}{wet}", make)


def brick(code: str, mortar: str = "a79f92") -> bpy.types.Material:
    def make(shader: kit.Shader) -> bpy.types.Material:
        uv = shader.node("UVMap", uv_map="metres").outputs[0]
        base = kit.hexa(code)
        pattern = shader.node(
            "TexBrick",
            {"Vector": uv, "Color1": base, "Color2": tuple(c * 0.62 for c in base),
             "Mortar": kit.hexa(mortar),
             "Scale": 1.0, "Mortar Size": 0.011, "Mortar Smooth": 0.2, "Bias": -0.2,
             "Brick Width": 0.225, "Row Height": 0.075},
        ).outputs  # fmt: skip
        dirt = shader.noise(0.5, 6, low=0.3, high=0.75)
        colour = shader.mix(shader.math("MULTIPLY", dirt, 0.45), pattern[0], tuple(c * 0.5 for c in base))
        return shader.principled(Base_Color=colour, Roughness=0.9, Normal=shader.bump(pattern[1], -0.006))

    return once(f"brick {code}", make)


def stained(
    name: str, code: str, scale: float = 0.6, amount: float = 0.35, rough: float = 0.85, fine: float = 40
) -> bpy.types.Material:
    """Render, stone, concrete: one tone with stains and grain."""

    def make(shader: kit.Shader) -> bpy.types.Material:
        dark = tuple(c * 0.6 for c in kit.hexa(code))
        colour = shader.mix(
            shader.math("MULTIPLY", shader.noise(scale, 7, low=0.3, high=0.8), amount), kit.hexa(code), dark
        )
        return shader.principled(Base_Color=colour, Roughness=rough, Normal=shader.bump(shader.noise(fine, 4), 0.004))

    return once(f"{name} {code}", make)


def slabs(code: str = "8f8b85") -> bpy.types.Material:
    def make(shader: kit.Shader) -> bpy.types.Material:
        uv = shader.node("UVMap", uv_map="metres").outputs[0]
        base = kit.hexa(code)
        pattern = shader.node(
            "TexBrick",
            {"Vector": uv, "Color1": base, "Color2": tuple(c * 0.8 for c in base),
             "Mortar": tuple(c * 0.4 for c in base),
             "Scale": 1.0, "Mortar Size": 0.008, "Brick Width": 0.75, "Row Height": 0.6},
        ).outputs  # fmt: skip
        colour = shader.mix(
            shader.math("MULTIPLY", shader.noise(0.7, 7), 0.35), pattern[0], tuple(c * 0.55 for c in base)
        )
        return shader.principled(Base_Color=colour, Roughness=0.88, Normal=shader.bump(pattern[1], -0.004))

    return once(f"slabs {code}", make)


def slate(code: str = "4b4f55") -> bpy.types.Material:
    def make(shader: kit.Shader) -> bpy.types.Material:
        uv = shader.node("UVMap", uv_map="metres").outputs[0]
        base = kit.hexa(code)
        pattern = shader.node(
            "TexBrick",
            {"Vector": uv, "Color1": base, "Color2": tuple(c * 0.7 for c in base),
             "Mortar": tuple(c * 0.35 for c in base),
             "Scale": 1.0, "Mortar Size": 0.01, "Brick Width": 0.3, "Row Height": 0.22},
        ).outputs  # fmt: skip
        return shader.principled(Base_Color=pattern[0], Roughness=0.7, Normal=shader.bump(pattern[1], -0.012))

    return once(f"slate {code}", make)


def window_glass() -> bpy.types.Material:
    """Dark panes; some rooms are lighter, some have curtains."""

    def make(shader: kit.Shader) -> bpy.types.Material:
        place = shader.node("TexCoord").outputs["Object"]
        cell = shader.node("VectorMath", {0: place, 1: (0.9, 0.9, 0.5)}, operation="MULTIPLY").outputs[0]
        cell = shader.node("VectorMath", {0: cell}, operation="FLOOR").outputs[0]
        chance = shader.node("TexWhiteNoise", {"Vector": cell}).outputs[0]
        colour = shader.mix(shader.math("POWER", chance, 4.0), kit.hexa("15191c"), kit.hexa("8d8a80"))
        return shader.principled(Base_Color=colour, Roughness=0.06, Specular_IOR_Level=0.9, Coat_Weight=0.6)

    return once("window glass", make)


def worn_paint(code: str = "e4e4de") -> bpy.types.Material:
    def make(shader: kit.Shader) -> bpy.types.Material:
        wear = shader.math("MULTIPLY", shader.noise(14, 6, low=0.48, high=0.72), 0.75)
        colour = shader.mix(wear, kit.hexa(code), kit.hexa("6a6a6a"))
        return shader.principled(Base_Color=colour, Roughness=0.75)

    return once(f"paint {code}", make)


# --- ground ---------------------------------------------------------------------------------------


def road(x0: float, x1: float, half: float, pavement: float, tone: str = "5d5d5f", slab: str = "8f8b85") -> None:
    """A straight road with gutters, kerbs and pavements."""
    mesh = Mesh()
    mesh.face([(x0, -half, 0), (x1, -half, 0), (x1, half, 0), (x0, half, 0)], asphalt(tone))
    kerb, stones = stained("kerb", "9c9991", 2.0), slabs(slab)
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
        stained("earth", code, 0.1),
    )
    mesh.build("ground")


def marks(strips: list[tuple[float, float, float, float]], code: str = "e4e4de") -> None:
    """Painted rectangles on the road: x0, y0, x1, y1."""
    mesh = Mesh()
    for x0, y0, x1, y1 in strips:
        mesh.face([(x0, y0, 0.004), (x1, y0, 0.004), (x1, y1, 0.004), (x0, y1, 0.004)], worn_paint(code))
    mesh.build("marks")


def dashes(x0: float, x1: float, y: float, length: float = 2.0, gap: float = 4.0, width: float = 0.11) -> list[tuple]:
    return [(x, y - width / 2, x + length, y + width / 2) for x in np.arange(x0, x1, length + gap)]


# --- house fronts ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wall:
    """A vertical plane: `point(along, out, up)`; `out` is towards the street."""

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
        wall.quad(mesh, (o.a0 + 0.15, o.a1 - 0.15), (o.z1 - 0.55, o.z1 - 0.15), -depth + 0.01, window_glass())
        wall.block(mesh, (o.a0 - 0.1, o.a1 + 0.1), (-depth, 0.3), (0.0, 0.14), trim)
        return
    wall.quad(mesh, (o.a0, o.a1), (o.z0, o.z1), -depth, window_glass())
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
    found, bay = [], house.width / house.bays
    for storey in range(house.storeys):
        z = storey * house.storey
        for column in range(house.bays):
            middle = bay * (column + 0.5)
            if storey == 0 and house.shop:
                continue
            if storey == 0 and column == (index % house.bays):
                found.append(Opening(middle - 0.5, middle + 0.5, 0.14, 2.35, "door", house.door))
            else:
                half = 0.52 if bay < 2.6 else 0.62
                found.append(Opening(middle - half, middle + half, z + 0.85, z + 0.85 + (1.6 if storey < 2 else 1.35)))
    if house.shop:
        split = house.width * 0.7
        found.append(Opening(0.35, split, 0.55, 2.45, "shop", house.shop))
        found.append(Opening(split + 0.3, house.width - 0.35, 0.12, 2.45, "door", house.shop))
    return found


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
    cover = slate("6a4a3c" if house.roof == "tile" else "4b4f55")
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
        words("20", Wall((x - 0.05, y), -90), 0, height - 0.11, 0.22, "111111", 0.012)
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
    mesh.box((x0, y - 0.17, height), (x1, y + 0.17, height + 0.08), stained("coping", "a8a296"))
    mesh.build("garden wall")
