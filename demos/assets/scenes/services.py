"""Larger and emergency vehicles: police car, ambulance, van, fire engine. x is forward, y to the left, z up."""

# bpy has no complete types and is not installed with the hub:
# mypy: ignore-errors
# ruff: noqa: E501 - tables of coordinates read best as tables

from __future__ import annotations

import math

import bpy

from . import kit
from .body import CHROME, RUBBER, Body, Sheet, add_wheels, light_bar, lump, pair, shell
from .vehicles import HATCHBACK, SALOON, STEP, car, fittings, paint_screen, plates

YELLOW, BLUE, GREEN, RED = "e6ee12", "0a3fa8", "00793a", "c20d14"

VAN = Body(
    side=[(2.86, 0.24, 0.06), (2.96, 0.4, 0.1), (2.94, 0.85, 0.15), (2.74, 1.14, 0.2), (2.22, 1.36, 0.25), (1.42, 2.28, 0.3),
          (0.9, 2.66, 0.5), (-2.8, 2.68, 0.15), (-2.95, 2.4, 0.2), (-2.97, 0.5, 0.1), (-2.9, 0.3, 0.08)],
    plan=[(0.94, -2.98, 0.12), (1.0, -2.4, 0.3), (1.0, 1.6, 0.8), (0.95, 2.5, 0.4), (0.66, 2.99, 0.35)],
    section=[(0.85, 0.24, 0.06), (0.97, 0.32, 0.08), (1.0, 0.8, 0.3), (0.985, 1.35, 0.1), (0.9, 2.45, 0.12), (0.6, 2.7, 0.25)],
    wheels=(2.0, -1.68), wheel_radius=0.35, track=0.97, arch=0.06, edge=0.06,
)  # fmt: skip

ENGINE = Body(
    side=[(3.93, 0.42, 0.06), (4.02, 0.6, 0.08), (4.03, 1.4, 0.2), (3.9, 2.6, 0.3), (3.72, 2.86, 0.25), (1.0, 2.9, 0.06), (1.0, 0.5, 0.05)],
    plan=[(1.2, 0.95, 0.05), (1.22, 2.0, 0.5), (1.21, 3.6, 0.25), (1.0, 4.05, 0.3)],
    section=[(1.05, 0.42, 0.06), (1.2, 0.5, 0.06), (1.22, 1.2, 0.3), (1.2, 1.6, 0.3), (1.1, 2.8, 0.16), (0.6, 2.92, 0.3)],
    wheels=(2.45, -1.75), wheel_radius=0.49, track=1.19, arch=0.07, edge=0.05, front_from=3.2,
    boxes=[((-4.05, -1.22, 0.55), (0.93, 1.22, 3.0), 0.05)],
)  # fmt: skip


def police(left: bool = True, step: float = STEP) -> bpy.types.Object:
    """A white police hatchback with blue and yellow squares and a light bar."""

    def livery(sheets: dict[str, Sheet]) -> None:
        side, top = sheets["side"], sheets["top"]
        side.checks(-1.92, 0.38, 1.62, 0.92, (BLUE, YELLOW), 8, 2)
        side.rect(-1.95, 0.335, 1.62, 0.375, "e03a10", rough=0.3)
        side.rect(-0.98, 0.58, 0.62, 0.76, "f4f6f8", 0.02)
        side.text("POLICE", -0.18, 0.67, 0.125, BLUE, 0.25)
        top.text("POLICE", 1.35, 0, 0.15, BLUE, 0.25, turn=90)
        top.rect(0.98, -0.75, 1.72, -0.52, YELLOW, rough=0.3)
        top.rect(0.98, 0.52, 1.72, 0.75, YELLOW, rough=0.3)

    bar = kit.parent(light_bar(-0.15, 1.475, 0.6), "bar")
    return car(HATCHBACK, "eef1f3", "PO24 LCE", left, step, flake=0.0, livery=livery, more=(bar,))


def paramedic(left: bool = True, step: float = STEP) -> bpy.types.Object:
    """A yellow paramedic's car with green squares."""

    def livery(sheets: dict[str, Sheet]) -> None:
        side, top = sheets["side"], sheets["top"]
        side.checks(-2.2, 0.36, 1.85, 0.9, (GREEN, YELLOW), 8, 2)
        side.rect(-0.95, 0.56, 0.72, 0.74, "f4f6f8", 0.02)
        side.text("AMBULANCE", -0.11, 0.65, 0.12, GREEN, 0.22)
        top.text("PARAMEDIC", 1.5, 0, 0.15, GREEN, 0.25, turn=90)

    bar = kit.parent(light_bar(-0.15, 1.435, 0.62), "bar")
    return car(SALOON, "e9dd16", "PM23 RSP", left, step, flake=0.0, livery=livery, more=(bar,))


def star(sheet: Sheet, a: float, b: float, radius: float) -> None:
    """The blue six-armed star of ambulance services."""
    sheet.disc(a, b, radius * 1.15, "f4f6f8")
    for turn in (0, 60, 120):
        along = (math.sin(math.radians(turn)) * radius, math.cos(math.radians(turn)) * radius)
        across = (along[1] * 0.3, -along[0] * 0.3)
        corners = [
            (a + s * along[0] + t * across[0], b + s * along[1] + t * across[1])
            for s, t in ((1, 1), (1, -1), (-1, -1), (-1, 1))
        ]
        sheet.fill(corners, "0b4fb0")


def paint_van(sheets: dict[str, Sheet]) -> None:
    """Glass, doors, lamps and bumpers of the van."""
    side, front, rear = sheets["side"], sheets["front"], sheets["rear"]
    side.rect(-3.0, 0.2, 3.0, 0.42, RUBBER, rough=0.7)
    side.fill([(2.35, 0.42), (3.0, 0.42), (3.0, 0.62), (2.5, 0.62)], RUBBER, rough=0.6)
    window = [(2.16, 1.4, 0.06), (1.5, 2.1, 0.1), (0.92, 2.12, 0.08), (0.9, 1.36, 0.06)]
    side.glass(window, 0.05)
    side.fill([(1.78, 1.36), (1.84, 1.36), (1.84, 1.8), (1.78, 1.86)], RUBBER)
    side.line([(2.05, 1.3), (2.1, 0.95), (1.6, 0.8), (1.55, 0.45), (0.84, 0.45), (0.82, 2.2), (1.45, 2.2)])
    for x in (-0.55, -2.9):
        side.line([(x, 0.45), (x, 2.5)])
    side.line([(0.8, 2.42), (-2.9, 2.42)], 0.012)
    side.line([(-2.9, 1.18), (-0.6, 1.18)], 0.02, "26282a")
    side.fill(
        [(2.25, 1.0, 0.04), (3.0, 0.78, 0.02), (3.0, 1.12, 0.02), (2.28, 1.22, 0.06)], "59626a", rough=0.05, metal=0.6
    )
    side.rect(-2.99, 1.0, -2.86, 1.6, "a50d12", 0.02, rough=0.1)
    paint_screen(front, [(0.84, 1.4, 0.08), (0.74, 2.22, 0.12)])
    front.rect(-0.95, 0.22, 0.95, 0.6, "26282a", 0.06, rough=0.6)
    front.rect(-0.5, 0.28, 0.5, 0.4, "0d0e0f", 0.04, rough=0.8)
    front.fill([(-0.5, 0.72, 0.05), (0.5, 0.72, 0.05), (0.44, 1.02, 0.06), (-0.44, 1.02, 0.06)], "0b0c0d", rough=0.4)
    for z in (0.78, 0.86, 0.94):
        front.line([(-0.44, z), (0.44, z)], 0.012, CHROME, 0.15, 0.9)
    front.disc(0, 0.88, 0.09, CHROME, rough=0.1, metal=0.9)
    for sign in (1, -1):
        outline = [
            (sign * 0.56, 0.74, 0.05),
            (sign * 0.9, 0.8, 0.05),
            (sign * 0.93, 1.12, 0.06),
            (sign * 0.58, 1.02, 0.06),
        ]
        front.fill(outline, "3a4046", rough=0.08, metal=0.6)
        front.loop(outline, 0.014)
        for y, z, radius in ((0.76, 0.94, 0.09), (0.65, 0.84, 0.05)):
            front.eye(sign * y, z, radius)
        front.disc(sign * 0.74, 0.4, 0.055, "7f878d", rough=0.08, metal=0.9)
        rear.rect(sign * 0.94 - 0.05, 1.0, sign * 0.94 + 0.05, 1.6, "b30f14", 0.02, rough=0.08)
        rear.glass(
            [(sign * 0.1, 1.5, 0.05), (sign * 0.72, 1.5, 0.05), (sign * 0.68, 2.15, 0.06), (sign * 0.1, 2.15, 0.06)]
        )
    rear.line([(0, 0.5), (0, 2.5)], 0.014)
    rear.rect(-1, 0.22, 1, 0.45, "26282a", rough=0.7)


def van(
    paint: str = "f1f3f4",
    left: bool = True,
    step: float = STEP,
    livery=None,
    more: tuple = (),
    plate: str = "WV21 VAN",
    flake: float = 0.0,
) -> bpy.types.Object:
    """A high-roofed panel van."""
    sheets = {
        "side": Sheet((-3.1, 0.15), (3.1, 2.8), mirror=left),
        "front": Sheet((-1.1, 0.15), (1.1, 2.8)),
        "rear": Sheet((-1.1, 0.15), (1.1, 2.8), mirror=True),
        "top": Sheet((-3.1, -1.1), (3.1, 1.1)),
    }
    if livery:
        livery(sheets)
    paint_van(sheets)
    plates(sheets["front"], sheets["rear"], plate, 0.5, 0.7)
    parts = [shell(VAN, paint, sheets, step * 1.25, flake), *add_wheels(VAN, 0.24, spokes=8, rim=0.6)]
    handles = ((1.02, 0.985, 1.12), (-0.4, 0.995, 1.12))
    parts += fittings("1a1c1e", (1.92, 0.96, 1.42), (), 0.0, 1.5) + fittings("202224", (0, -9, -9), handles, 0.0)[-4:]
    return kit.parent([*parts, *more], "van")


def ambulance(left: bool = True, step: float = STEP) -> bpy.types.Object:
    """A yellow ambulance with green squares."""

    def livery(sheets: dict[str, Sheet]) -> None:
        side, front, rear = sheets["side"], sheets["front"], sheets["rear"]
        side.checks(-2.95, 0.56, 2.25, 1.32, (GREEN, YELLOW), 10, 2)
        side.rect(-2.99, 0.46, 2.4, 0.53, "d2321e", rough=0.3)
        side.text("AMBULANCE", -1.12, 1.62, 0.26, GREEN, 0.22)
        side.text("Emergency", -1.55, 2.16, 0.13, GREEN, 0.1)
        side.rect(-0.45, 1.98, 0.6, 2.34, GLASS_TINT, 0.05, rough=0.03)
        star(side, -2.45, 2.14, 0.17)
        sheets["top"].text("AMBULANCE", 2.47, 0, 0.17, GREEN, 0.25, turn=90)
        front.text("AMBULANCE", 0, 2.42, 0.13, GREEN, 0.25)
        for index in range(-6, 7):
            rear.fill(
                [(index * 0.3, 0.4), (index * 0.3 + 0.15, 0.4), (index * 0.3 + 0.75, 1.4), (index * 0.3 + 0.6, 1.4)],
                RED,
            )

    bar = kit.parent(light_bar(0.78, 2.655, 0.78, 0.42, 0.2, 3.0), "bar")
    grille = pair(
        "flash", (2.9, 0.3, 0.62), (2.97, 0.42, 0.68), 0.02, kit.plain("flash", "2a62ff", 0.1, Coat_Weight=1.0)
    )
    aft = kit.parent(light_bar(-2.72, 2.67, 0.7, 0.2, 0.13), "bar")
    return van("e9dd16", left, step, livery, (bar, aft, *grille), "AM68 BLU")


GLASS_TINT = "1a2126"


def paint_engine(sheets: dict[str, Sheet]) -> None:
    """Cab glass, lockers with roller shutters, chequers and chevrons of the fire engine."""
    side, front, rear = sheets["side"], sheets["front"], sheets["rear"]
    side.rect(-4.1, 0.4, 4.1, 0.62, "202224", rough=0.7)
    for a0, a1, low in ((0.8, -0.75, 0.72), (-0.9, -2.6, 1.42), (-2.75, -3.95, 0.72)):
        side.rect(a1, low, a0, 2.72, "aab0b4", rough=0.35, metal=0.75)
        for index in range(int((2.72 - low) / 0.062)):
            side.line([(a0, low + 0.062 * index), (a1, low + 0.062 * index)], 0.012, "72787c", 0.5, 0.5)
        side.loop([(a0, low), (a1, low), (a1, 2.72), (a0, 2.72)], 0.03, "3a3d40")
    side.checks(-4.05, 1.42, 0.92, 1.98, (YELLOW, RED), 9, 2)
    side.checks(1.0, 0.95, 1.95, 1.47, (YELLOW, RED), 2, 1)
    side.checks(3.02, 0.95, 3.98, 1.47, (YELLOW, RED), 2, 1)
    side.rect(1.0, 1.475, 3.98, 1.53, YELLOW, rough=0.3)
    side.rect(-4.05, 2.76, 0.92, 2.84, YELLOW, rough=0.3)
    side.text("FIRE & RESCUE", -1.55, 2.34, 0.27, RED, 0.16)
    side.glass([(3.88, 1.62, 0.08), (3.76, 2.5, 0.12), (2.95, 2.52, 0.06), (2.95, 1.62, 0.06)], 0.05)
    side.glass([(2.8, 1.72, 0.06), (2.8, 2.52, 0.06), (2.1, 2.52, 0.06), (2.1, 1.72, 0.06)], 0.05)
    side.glass([(1.95, 1.62, 0.06), (1.95, 2.52, 0.06), (1.15, 2.52, 0.06), (1.15, 1.62, 0.06)], 0.05)
    side.line([(3.9, 2.62), (2.88, 2.64), (2.88, 1.0), (3.1, 0.62)], 0.012)
    side.line([(2.03, 2.64), (1.08, 2.64), (1.08, 0.64), (1.98, 0.64), (2.03, 2.64)], 0.012)
    front.rect(-1.1, 1.5, 1.1, 2.62, RUBBER, 0.12)
    paint_screen(front, [(1.04, 1.56, 0.1), (0.98, 2.5, 0.12)])
    front.rect(-1.06, 2.5, 1.06, 2.64, "16181a", 0.03, rough=0.4)
    front.rect(-0.95, 2.66, 0.95, 2.86, "f4f4ee", 0.03)
    front.text("FIRE & RESCUE", 0, 2.76, 0.12, RED, 0.15)
    front.rect(-0.82, 0.98, 0.82, 1.4, "141516", 0.06, rough=0.5)
    for z in (1.05, 1.13, 1.27, 1.35):
        front.line([(-0.76, z), (0.76, z)], 0.014, "8a8f94", 0.3, 0.9)
    front.text("FIRE", 0, 1.2, 0.15, YELLOW, 0.15)
    front.rect(-1.2, 0.42, 1.2, 0.92, "f2f2ee", rough=0.3)
    for sign in (1, -1):
        for index in range(5):
            start = 0.3 * index
            front.fill(
                [
                    (sign * start, 0.42),
                    (sign * (start + 0.15), 0.42),
                    (sign * (start + 0.4), 0.92),
                    (sign * (start + 0.25), 0.92),
                ],
                RED,
            )
        front.rect(sign * 0.9 - 0.22, 0.56, sign * 0.9 + 0.22, 0.8, "2a2d30", 0.05, rough=0.2)
        for y in (0.8, 1.0):
            front.eye(sign * y, 0.68, 0.085)
        rear.fill([(0, 0.6), (sign * 1.2, 0.6), (sign * 1.2, 2.0), (0, 2.0)], YELLOW)
        for index in range(4):
            z = 0.6 + 0.45 * index
            rear.fill([(0, z + 0.2), (sign * 1.2, z - 0.3), (sign * 1.2, z - 0.08), (0, z + 0.42)], RED)


def fire_engine(left: bool = True, step: float = STEP) -> bpy.types.Object:
    """A red fire engine with lockers, ladders and light bars."""
    sheets = {
        "side": Sheet((-4.15, 0.35), (4.15, 3.05), mirror=left),
        "front": Sheet((-1.3, 0.35), (1.3, 3.05)),
        "rear": Sheet((-1.3, 0.35), (1.3, 3.05), mirror=True),
    }
    paint_engine(sheets)
    plates(sheets["front"], sheets["rear"], "FR22 ENG", 0.5, 0.8)
    parts = [
        shell(ENGINE, "b5090f", sheets, step * 1.4),
        *add_wheels(ENGINE, 0.32, spokes=10, rim=0.58, metal="c9cdd2"),
    ]
    dark = kit.plain("stalk", RUBBER, 0.5)
    parts += pair("mirror", (3.72, 1.3, 1.75), (3.82, 1.52, 2.35), 0.04, dark)
    parts += pair("arm", (3.74, 1.1, 2.38), (3.79, 1.45, 2.43), 0.02, dark)
    parts.append(lump("chassis", (-3.9, -0.9, 0.35), (3.7, 0.9, 0.9), 0.05, kit.plain("chassis", "1b1c1e", 0.8)))
    parts += pair(
        "flash", (4.0, 0.5, 0.94), (4.06, 0.72, 1.0), 0.02, kit.plain("flash", "2a62ff", 0.1, Coat_Weight=1.0)
    )
    parts += pair("handle", (2.95, 1.2, 1.56), (3.12, 1.235, 1.6), 0.012, dark)
    parts.append(lump("visor", (3.84, -1.08, 2.56), (4.08, 1.08, 2.62), 0.025, kit.plain("visor", "23272a", 0.25)))
    rails = kit.Mesh()
    steel = kit.plain("ladder", "c3c7cb", 0.35, Metallic=0.8)
    for x in (2.84, 2.06, 1.1):
        for y in (1.27, -1.27):
            rails.tube([(x, y * 0.95, 1.0), (x, y, 1.05), (x, y, 1.95), (x, y * 0.93, 2.0)], 0.018, steel)
    rails.box((-4.0, -1.25, 2.92), (0.9, -1.2, 3.08), steel)
    rails.box((-4.0, 1.2, 2.92), (0.9, 1.25, 3.08), steel)
    parts.append(rails.build("rails"))
    bars = [
        kit.parent(light_bar(3.35, 2.88, 0.95, 0.45, 0.22, 3.0), "bar"),
        kit.parent(light_bar(-3.85, 2.99, 0.9, 0.2, 0.15), "bar"),
    ]
    return kit.parent([*parts, *bars, ladders()], "fire engine")


def ladders() -> bpy.types.Object:
    """Two ladders on a roof gantry."""
    metal = kit.plain("ladder", "c3c7cb", 0.35, Metallic=0.8)
    mesh = kit.Mesh()
    for y, z in ((0.55, 3.28), (-0.45, 3.28)):
        for side in (-0.27, 0.27):
            for rise in (0.0, 0.14):
                mesh.box((-4.2, y + side - 0.022, z + rise - 0.025), (1.9, y + side + 0.022, z + rise + 0.025), metal)
        for index in range(20):
            x = -4.0 + 0.3 * index
            mesh.tube([(x, y - 0.27, z + 0.07), (x, y + 0.27, z + 0.07)], 0.017, metal)
    for x in (-3.2, -0.2):
        for y in (-0.95, 0.95):
            mesh.box((x - 0.03, y - 0.03, 2.95), (x + 0.03, y + 0.03, 3.24), metal)
        mesh.box((x - 0.03, -0.95, 3.19), (x + 0.03, 0.95, 3.25), metal)
    return mesh.build("ladders")
