"""How a vehicle is put together: a solid from three outlines, details painted on, wheels and fittings added."""

# bpy has no complete types and is not installed with the hub:
# mypy: ignore-errors

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import bpy
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from . import kit, solid
from .solid import Outline

PIXELS_PER_METRE = 420
GLASS, RUBBER, CHROME = "10151a", "101112", "c9ccd0"


class Sheet:
    """A drawing of one side in metres: colour, and what the surface is like (roughness, glow, metal)."""

    def __init__(self, low: tuple[float, float], high: tuple[float, float], mirror: bool = False) -> None:
        self.low, self.high, self.mirror = low, high, mirror
        size = tuple(int((h - lo) * PIXELS_PER_METRE) for lo, h in zip(low, high, strict=True))
        self.colour, self.surface = Image.new("RGBA", size), Image.new("RGB", size, (90, 0, 0))

    def pixel(self, a: float, b: float) -> tuple[float, float]:
        return (a - self.low[0]) * PIXELS_PER_METRE, (self.high[1] - b) * PIXELS_PER_METRE

    def fill(self, outline: Outline, code: str, rough: float = 0.35, glow: float = 0, metal: float = 0) -> None:
        points = [self.pixel(*point) for point in solid.rounded(outline)]
        ImageDraw.Draw(self.colour).polygon(points, f"#{code}")
        ImageDraw.Draw(self.surface).polygon(points, tuple(int(255 * v) for v in (rough, glow, metal)))

    def rect(self, a0: float, b0: float, a1: float, b1: float, code: str, radius: float = 0, **surface: float) -> None:
        corners = [(a0, b0), (a1, b0), (a1, b1), (a0, b1)]
        self.fill([(*corner, radius) for corner in corners] if radius else corners, code, **surface)

    def disc(self, a: float, b: float, radius: float, code: str, **surface: float) -> None:
        turns = np.linspace(0, math.tau, 40, endpoint=False)
        self.fill([(a + radius * math.cos(t), b + radius * math.sin(t)) for t in turns], code, **surface)

    def line(
        self, path: Outline, width: float = 0.009, code: str = RUBBER, rough: float = 0.6, metal: float = 0
    ) -> None:
        points = [self.pixel(*point[:2]) for point in path]
        pen = max(1, round(width * PIXELS_PER_METRE))
        ImageDraw.Draw(self.colour).line(points, f"#{code}", pen, joint="curve")
        ImageDraw.Draw(self.surface).line(points, (int(255 * rough), 0, int(255 * metal)), pen, joint="curve")

    def loop(self, outline: Outline, width: float = 0.009, code: str = RUBBER, metal: float = 0) -> None:
        points = [tuple(point) for point in solid.rounded(outline)]
        self.line([*points, points[0]], width, code, metal=metal)

    def glass(self, outline: Outline, trim: float = 0.03) -> None:
        self.loop(outline, trim)
        self.fill(outline, GLASS, rough=0.02)

    def eye(self, a: float, b: float, radius: float) -> None:
        """A lamp behind the headlamp's cover: a dim rim, a silvery bowl, a brighter middle."""
        for share, code, rough, metal in (
            (1, "4a5157", 0.2, 0.8),
            (0.92, "a9b1b8", 0.16, 0.95),
            (0.4, "dde3e7", 0.08, 0.9),
        ):
            self.disc(a, b, radius * share, code, rough=rough, metal=metal)

    def text(self, words: str, a: float, b: float, height: float, code: str, bold: float = 0.1, turn: int = 0) -> None:
        """Words centred on (a, b), turned by so many degrees."""
        font = ImageFont.load_default(height * 1.36 * PIXELS_PER_METRE)
        stroke = int(height * bold * PIXELS_PER_METRE * 0.4)
        left, top, right, bottom = font.getbbox(words, stroke_width=stroke)
        label = Image.new("L", (int(right - left + 2 * stroke * len(words)), int(bottom - top)))
        pen, along = ImageDraw.Draw(label), float(-left)
        for letter in words:
            pen.text((along, -top), letter, 255, font, stroke_width=stroke)
            along += font.getlength(letter) + 2 * stroke
        if self.mirror:
            label = label.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        label = label.rotate(turn, expand=True)
        x, y = self.pixel(a, b)
        corner = (int(x - label.width / 2), int(y - label.height / 2))
        self.colour.paste(f"#{code}", (*corner, corner[0] + label.width, corner[1] + label.height), label)

    def checks(
        self, a0: float, b0: float, a1: float, b1: float, codes: tuple[str, str], columns: int, rows: int
    ) -> None:
        """Battenburg: a chequered band of reflective squares."""
        for row in range(rows):
            for column in range(columns):
                a, b = a0 + (a1 - a0) * column / columns, b0 + (b1 - b0) * row / rows
                code = codes[(row + column) % 2]
                self.rect(a, b, a + (a1 - a0) / columns, b + (b1 - b0) / rows, code, rough=0.3)

    def cut(self, outline: Outline) -> None:
        """Wipes what was painted inside an outline."""
        ImageDraw.Draw(self.colour).polygon([self.pixel(*p) for p in solid.rounded(outline)], (0, 0, 0, 0))


@dataclass
class Body:
    """The three outlines whose common volume is the body, and where the wheels are."""

    side: Outline  # x, z
    plan: Outline  # y, x: the right half, rear to front
    section: Outline  # y, z: the right half, bottom to top
    wheels: tuple[float, ...]  # x of each axle
    wheel_radius: float
    track: float  # y of the wheel's outer face
    arch: float = 0.055  # room around the wheel
    edge: float = 0.05  # how far edges are rounded
    more: list[Outline] = field(default_factory=list)  # further side outlines joined on
    boxes: list[tuple] = field(default_factory=list)  # (low, high, radius) joined on
    holes: list[tuple] = field(default_factory=list)  # (low, high, radius) cut out
    front_from: float = -99.0  # the front sheet is painted from this x on

    def grid(self, step: float) -> solid.Grid:
        points = np.concatenate([np.array([p[:2] for p in o]) for o in (self.side, *self.more)])
        corners = [points, *[np.array(b[:2])[:, [0, 2]] for b in self.boxes]]
        points = np.concatenate(corners)
        wide = max(abs(p[0]) for p in (*self.section, *self.plan)) + 0.06
        low, high = points.min(0) - 0.06, points.max(0) + 0.06
        return solid.Grid((low[0], -wide, low[1]), (high[0], wide, high[1]), step)

    def volume(self, grid: solid.Grid) -> np.ndarray:
        x, y, z = grid.xyz
        side = solid.polygon(self.side, x.ravel(), z.ravel())[:, None, :]
        for outline in self.more:
            side = solid.smooth_min(side, solid.polygon(outline, x.ravel(), z.ravel())[:, None, :], 0.08)
        plan = solid.polygon(solid.mirrored(self.plan), y.ravel(), x.ravel()).T[:, :, None]
        section = solid.polygon(solid.mirrored(self.section), y.ravel(), z.ravel())[None]
        volume = solid.smooth_max(solid.smooth_max(side, section, self.edge), plan, self.edge * 1.4)
        for low, high, radius in self.boxes:
            volume = solid.smooth_min(volume, solid.box(grid, low, high, radius), 0.03)
        for low, high, radius in self.holes:
            volume = solid.smooth_max(volume, -solid.box(grid, low, high, radius), 0.02)
        for axle in self.wheels:
            around = np.hypot(x - axle, z - self.wheel_radius) - self.wheel_radius - self.arch
            volume = solid.smooth_max(volume, -np.maximum(around, self.track - 0.35 - np.abs(y)), 0.018)
        return volume


def shell(body: Body, paint: str, sheets: dict[str, Sheet], step: float, flake: float = 0.0) -> bpy.types.Object:
    """The painted body as one smooth object."""
    grid = body.grid(step)
    points, faces, normals = solid.surface(body.volume(grid), grid)
    thing = kit.smooth_mesh("body", points, faces, normals, paintwork(paint, sheets, flake, body.front_from))
    covered = np.zeros(len(points), np.float32)
    for axle in body.wheels:
        inside = np.hypot(points[:, 0] - axle, points[:, 2] - body.wheel_radius) < body.wheel_radius + body.arch + 0.003
        covered[inside] = 1
    covered[(normals[:, 2] < -0.6) & (points[:, 2] < 0.6)] = 1
    thing.data.attributes.new("hidden", "FLOAT", "POINT").data.foreach_set("value", covered)
    return thing


def paintwork(paint: str, sheets: dict[str, Sheet], flake: float, front_from: float) -> bpy.types.Material:
    """Clear-coated paint with the sheets projected on from the side, front, rear and top."""
    shader = kit.Shader("paintwork")
    place = shader.node("SeparateXYZ", {0: shader.node("TexCoord").outputs["Object"]}).outputs
    normal = shader.node("SeparateXYZ", {0: shader.node("TexCoord").outputs["Normal"]}).outputs
    ahead = shader.math("GREATER_THAN", place[0], front_from)
    facing = {
        "side": (shader.math("ABSOLUTE", normal[1]), place[0], place[2]),
        "top": (normal[2], place[0], place[1]),
        "front": (shader.math("MULTIPLY", normal[0], ahead), place[1], place[2]),
        "rear": (shader.math("MULTIPLY", normal[0], -1.0), place[1], place[2]),
    }
    colour, rough, glow, metal = kit.hexa(paint), 0.35, 0.0, flake
    for name, (towards, a, b) in facing.items():
        if name not in sheets:
            continue
        pictures = [picture(sheets[name], which, shader, a, b) for which in ("colour", "surface")]
        facing_it = shader.math("GREATER_THAN", towards, 0.75 if name == "top" else 0.38)
        alpha = shader.math("MULTIPLY", pictures[0].outputs["Alpha"], facing_it)
        surface = shader.node("SeparateColor", {0: pictures[1].outputs[0]}).outputs
        colour = shader.mix(alpha, colour, pictures[0].outputs[0])
        rough = shader.blend(alpha, rough, surface[0])
        glow = shader.blend(alpha, glow, surface[1])
        metal = shader.blend(alpha, metal, surface[2])
    covered = shader.node("Attribute", attribute_name="hidden").outputs["Fac"]
    colour = shader.mix(covered, colour, (0.012, 0.012, 0.013))
    rough = shader.blend(covered, rough, 0.9)
    polished = shader.math("GREATER_THAN", rough, 0.03)  # glass has one reflection, paint a second one in its coat
    coat = shader.math("MULTIPLY", shader.math("SUBTRACT", 1.0, covered), polished)
    return shader.principled(
        Base_Color=colour, Roughness=rough, Metallic=metal, Coat_Weight=coat, Coat_Roughness=0.03,
        Emission_Color=colour, Emission_Strength=shader.math("MULTIPLY", glow, 6.0),
    )  # fmt: skip


def picture(sheet: Sheet, which: str, shader: kit.Shader, a: object, b: object) -> bpy.types.Node:
    """A sheet's image, mapped by metres."""
    path = Path(tempfile.mkdtemp()) / f"{which}.png"
    getattr(sheet, which).save(path)
    image = bpy.data.images.load(str(path))
    image.pack()
    if which == "surface":
        image.colorspace_settings.name = "Non-Color"
    uv = []
    for value, low, high in zip((a, b), sheet.low, sheet.high, strict=True):
        uv.append(shader.math("DIVIDE", shader.math("SUBTRACT", value, low), high - low))
    vector = shader.node("CombineXYZ", {0: uv[0], 1: uv[1]}).outputs[0]
    return shader.node("TexImage", {"Vector": vector}, image=image, extension="CLIP")


def wheel(radius: float, width: float, spokes: int = 5, rim: float = 0.68, metal: str = "a9adb3") -> bpy.types.Object:
    """A wheel about the y axis, outer face towards +y at y=0."""
    tyre = kit.plain("tyre", "131314", 0.85)
    alloy = kit.plain(f"alloy {metal}", metal, 0.3, Metallic=0.9)
    dark = kit.plain("brake", "1a1b1d", 0.7)
    mesh, edge = kit.Mesh(), radius * rim
    mesh.lathe(
        [(edge, -0.015), (edge + 0.02, 0.0), (radius * 0.9, 0.008), (radius * 0.975, -0.012), (radius, -0.04),
         (radius, -width + 0.04), (radius * 0.97, -width + 0.01), (edge, -width)], tyre, 56,
    )  # fmt: skip
    mesh.lathe(
        [(edge + 0.004, -0.006), (edge * 0.93, -0.012), (edge * 0.9, -0.05), (edge * 0.86, -width * 0.7)], alloy, 56
    )
    mesh.lathe([(edge * 0.9, -width * 0.6), (0.001, -width * 0.6)], dark, 40)
    mesh.lathe(
        [(edge * 0.6, -0.09), (edge * 0.58, -0.085), (0.001, -0.085)],
        kit.plain("disc", "6d6f72", 0.35, Metallic=0.9),
        40,
    )
    mesh.lathe([(edge * 0.24, -0.06), (edge * 0.22, -0.022), (edge * 0.14, -0.016), (0.001, -0.016)], alloy, 32)
    for index in range(spokes):
        turn = math.tau * index / spokes + 0.3
        along, across = np.array([math.cos(turn), 0, math.sin(turn)]), np.array([-math.sin(turn), 0, math.cos(turn)])
        half = edge * (0.62 / spokes + 0.03)
        outline = [(0.14, half * 1.25, -0.018), (0.9, half * 0.85, -0.02)]
        front = [along * edge * r + across * s * h + np.array([0, y, 0]) for r, h, y in outline for s in (-1, 1)]
        back = [p - np.array([0, 0.045, 0]) for p in front]
        a, b, c, d = front
        mesh.face([a, c, d, b], alloy)
        for p, q, p2, q2 in ((a, c, back[0], back[2]), (d, b, back[3], back[1])):
            mesh.face([p2, q2, q, p], alloy)
    return mesh.build("wheel", smooth=True)


def add_wheels(body: Body, width: float, **style: object) -> list[bpy.types.Object]:
    """Four wheels (or more) in their arches."""
    first = wheel(body.wheel_radius, width, **style)
    parts = []
    for axle in body.wheels:
        for sign in (1, -1):
            thing = first if not parts else kit.copy(first)
            thing.location = (axle, sign * body.track, body.wheel_radius)
            thing.rotation_euler = (0, 0, 0 if sign == 1 else math.pi)
            parts.append(thing)
    return parts


def lump(name: str, low: tuple, high: tuple, radius: float, material: bpy.types.Material) -> bpy.types.Object:
    """A rounded block: mirrors, handles, lamps."""
    grid = solid.Grid(
        tuple(v - 0.02 for v in low), tuple(v + 0.02 for v in high), max(0.008, min(np.subtract(high, low)) / 14)
    )
    points, faces, normals = solid.surface(solid.box(grid, low, high, radius), grid)
    return kit.smooth_mesh(name, points, faces, normals, material)


def pair(name: str, low: tuple, high: tuple, radius: float, material: bpy.types.Material) -> list[bpy.types.Object]:
    """The same block on both sides."""
    other = lump(name, (low[0], -high[1], low[2]), (high[0], -low[1], high[2]), radius, material)
    return [lump(name, low, high, radius, material), other]


def light_bar(x: float, z: float, half: float, depth: float = 0.3, height: float = 0.13, lit: float = 2.2) -> list:
    """A blue roof bar: dark foot, clear blue domes with lamps in them, a white middle."""
    blue = kit.Shader("blue lamp").principled(
        Base_Color=kit.hexa("0a3fd0"),
        Roughness=0.08,
        Coat_Weight=1.0,
        Emission_Color=kit.hexa("0b48ff"),
        Emission_Strength=lit,
    )
    bright = kit.Shader("lamp core").principled(
        Base_Color=kit.hexa("9cc8ff"), Emission_Color=kit.hexa("6aa8ff"), Emission_Strength=lit * 9
    )
    white = kit.plain("bar middle", "dfe3e6", 0.25, Coat_Weight=1.0)
    foot = kit.plain("bar foot", "1b1c1e", 0.5)
    back, front = x - depth / 2, x + depth / 2
    parts = [lump("foot", (back, -half + 0.02, z), (front, half - 0.02, z + 0.045), 0.02, foot)]
    parts += pair("blue", (back, half * 0.36, z + 0.04), (front, half, z + height), 0.04, blue)
    parts += pair(
        "core", (front - 0.03, half * 0.62, z + 0.06), (front + 0.008, half * 0.9, z + height - 0.025), 0.02, bright
    )
    return [
        *parts,
        lump("middle", (back, -half * 0.34, z + 0.04), (front, half * 0.34, z + height - 0.015), 0.03, white),
    ]
