"""Cars: a hatchback, a saloon and a pickup from one description. x is forward, y to the left, z up."""

# bpy has no complete types and is not installed with the hub:
# mypy: ignore-errors
# ruff: noqa: E501 - tables of coordinates read best as tables

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import bpy
import numpy as np

from . import kit
from .body import CHROME, RUBBER, Body, Sheet, add_wheels, pair, shell
from .solid import Outline

STEP = 0.016  # of the grid bodies are made on; streets use a coarser one
Livery = Callable[[dict[str, Sheet]], None]


@dataclass(frozen=True)
class Car:
    """What one model of car looks like, in metres."""

    body: Body
    windows: Outline  # side: the glass from the windscreen pillar to the rear one
    pillars: tuple[tuple[float, float], ...]  # side: (x at the bottom, x at the top)
    seams: tuple[Outline, ...]  # side: door and panel gaps
    sill: float
    screen: Outline  # front: right half of the windscreen, bottom first
    back: Outline  # rear: right half of the rear window
    lamp: Outline  # front: the left headlamp
    lamp_side: Outline
    eyes: tuple[tuple[float, float, float], ...]
    tail: Outline  # rear: the left lamp
    tail_side: Outline
    grille: tuple[float, float, float]  # half width, bottom, top
    intake: tuple[float, float, float]
    plates: tuple[float, float]  # heights, front and rear
    mirror: tuple[float, float, float]
    handles: tuple[tuple[float, float, float], ...]
    spokes: int = 5


HATCHBACK = Car(
    body=Body(
        side=[(2.0, 0.2, 0.08), (2.07, 0.36, 0.1), (2.05, 0.58, 0.1), (1.9, 0.76, 0.18), (0.98, 0.98, 0.35), (0.2, 1.4, 0.4),
              (-0.5, 1.49, 0.8), (-1.45, 1.42, 0.25), (-1.88, 1.0, 0.15), (-2.02, 0.86, 0.1), (-2.06, 0.45, 0.1), (-1.98, 0.24, 0.1)],
        plan=[(0.6, -2.07, 0.3), (0.85, -1.75, 0.5), (0.885, -0.8, 0.8), (0.885, 0.8, 0.8), (0.83, 1.7, 0.5), (0.58, 2.09, 0.35)],
        section=[(0.7, 0.18, 0.05), (0.84, 0.23, 0.08), (0.885, 0.5, 0.2), (0.88, 0.8, 0.07), (0.8, 0.95, 0.12),
                 (0.6, 1.42, 0.14), (0.3, 1.5, 0.3)],
        wheels=(1.28, -1.27), wheel_radius=0.325, track=0.875,
    ),
    windows=[(0.98, 0.985, 0.05), (0.22, 1.355, 0.1), (-0.5, 1.415, 0.3), (-1.15, 1.37, 0.12), (-1.48, 1.1, 0.08), (-1.3, 1.02, 0.1)],
    pillars=((-0.29, -0.33), (0.6, 0.56), (-1.14, -1.12)),
    seams=([(0.83, 0.96), (0.86, 0.6), (0.78, 0.3), (-0.3, 0.28), (-0.34, 0.98)],
           [(-0.3, 0.28), (-0.72, 0.3), (-0.92, 0.5), (-1.2, 0.75), (-1.22, 1.0)],
           [(1.64, 0.24), (1.7, 0.5), (2.02, 0.56)], [(-1.62, 0.24), (-1.7, 0.55), (-2.02, 0.6)]),
    sill=0.245,
    screen=[(0.74, 1.0, 0.05), (0.58, 1.385, 0.08)], back=[(0.68, 1.03, 0.06), (0.56, 1.37, 0.08)],
    lamp=[(0.55, 0.58, 0.05), (0.86, 0.62, 0.04), (0.84, 0.78, 0.05), (0.53, 0.7, 0.06)],
    lamp_side=[(1.56, 0.72, 0.03), (2.05, 0.6, 0.02), (2.05, 0.79, 0.02), (1.54, 0.79, 0.04)],
    eyes=((0.73, 0.69, 0.062), (0.6, 0.645, 0.04)),
    tail=[(0.62, 0.72, 0.03), (0.86, 0.72, 0.03), (0.8, 0.98, 0.04), (0.62, 0.94, 0.04)],
    tail_side=[(-1.72, 0.72, 0.03), (-2.04, 0.74, 0.02), (-1.98, 0.98, 0.03), (-1.78, 0.96, 0.05)],
    grille=(0.5, 0.56, 0.69), intake=(0.62, 0.27, 0.42), plates=(0.49, 0.74), mirror=(0.72, 0.86, 1.0),
    handles=((-0.14, 0.86, 0.83), (-1.0, 0.85, 0.84)),
)  # fmt: skip

SALOON = Car(
    body=Body(
        side=[(2.28, 0.2, 0.08), (2.36, 0.38, 0.1), (2.34, 0.58, 0.1), (2.2, 0.74, 0.16), (1.0, 0.95, 0.35), (0.2, 1.37, 0.4),
              (-0.55, 1.45, 0.8), (-1.1, 1.4, 0.4), (-1.72, 1.04, 0.25), (-2.28, 1.0, 0.12), (-2.38, 0.75, 0.1), (-2.38, 0.45, 0.1),
              (-2.28, 0.24, 0.1)],
        plan=[(0.6, -2.39, 0.3), (0.86, -2.0, 0.5), (0.91, -0.8, 0.8), (0.91, 0.8, 0.8), (0.86, 1.9, 0.5), (0.58, 2.38, 0.35)],
        section=[(0.7, 0.18, 0.05), (0.86, 0.23, 0.08), (0.91, 0.5, 0.2), (0.9, 0.8, 0.06), (0.82, 0.95, 0.12),
                 (0.6, 1.38, 0.14), (0.3, 1.46, 0.3)],
        wheels=(1.42, -1.4), wheel_radius=0.335, track=0.9,
    ),
    windows=[(1.0, 0.96, 0.05), (0.22, 1.32, 0.1), (-0.5, 1.375, 0.3), (-1.05, 1.33, 0.15), (-1.5, 1.08, 0.06), (-1.3, 1.0, 0.1)],
    pillars=((-0.25, -0.3), (0.62, 0.58), (-1.15, -1.1)),
    seams=([(0.86, 0.93), (0.9, 0.6), (0.82, 0.3), (-0.27, 0.28), (-0.3, 0.96)],
           [(-0.27, 0.28), (-0.8, 0.3), (-1.0, 0.5), (-1.2, 0.75), (-1.22, 0.97)],
           [(1.8, 0.24), (1.85, 0.5), (2.3, 0.55)], [(-1.78, 0.24), (-1.85, 0.55), (-2.35, 0.6)]),
    sill=0.235,
    screen=[(0.76, 0.98, 0.05), (0.58, 1.35, 0.08)], back=[(0.7, 1.07, 0.06), (0.56, 1.34, 0.08)],
    lamp=[(0.5, 0.6, 0.04), (0.88, 0.6, 0.04), (0.85, 0.74, 0.05), (0.48, 0.7, 0.04)],
    lamp_side=[(1.86, 0.69, 0.03), (2.36, 0.58, 0.02), (2.36, 0.75, 0.02), (1.84, 0.755, 0.04)],
    eyes=((0.74, 0.665, 0.055), (0.6, 0.65, 0.045)),
    tail=[(0.48, 0.76, 0.03), (0.88, 0.76, 0.03), (0.86, 0.96, 0.04), (0.48, 0.93, 0.04)],
    tail_side=[(-1.95, 0.8, 0.03), (-2.38, 0.76, 0.02), (-2.36, 0.95, 0.03), (-2.0, 0.94, 0.05)],
    grille=(0.4, 0.53, 0.7), intake=(0.66, 0.26, 0.38), plates=(0.44, 0.6), mirror=(0.74, 0.88, 0.97),
    handles=((-0.1, 0.89, 0.82), (-1.02, 0.88, 0.83)), spokes=7,
)  # fmt: skip

PICKUP = Car(
    body=Body(
        side=[(2.55, 0.42, 0.08), (2.66, 0.58, 0.08), (2.64, 1.02, 0.1), (2.5, 1.15, 0.14), (1.2, 1.24, 0.2), (0.55, 1.74, 0.25),
              (-0.1, 1.82, 0.5), (-0.9, 1.79, 0.1), (-1.04, 1.24, 0.02), (-2.62, 1.24, 0.03), (-2.67, 0.9, 0.05), (-2.66, 0.6, 0.05),
              (-2.55, 0.45, 0.05)],
        plan=[(0.86, -2.68, 0.12), (0.93, -2.3, 0.3), (0.95, -0.8, 0.8), (0.95, 0.8, 0.8), (0.92, 2.0, 0.5), (0.78, 2.68, 0.3)],
        section=[(0.75, 0.4, 0.05), (0.88, 0.44, 0.06), (0.95, 0.7, 0.15), (0.94, 1.08, 0.06), (0.87, 1.24, 0.1),
                 (0.68, 1.74, 0.12), (0.3, 1.84, 0.3)],
        wheels=(1.68, -1.6), wheel_radius=0.4, track=0.95, arch=0.075, edge=0.035,
        holes=[((-2.52, -0.74, 0.78), (-1.16, 0.74, 1.6), 0.04)],
    ),
    windows=[(1.1, 1.26, 0.05), (0.5, 1.68, 0.08), (-0.1, 1.745, 0.2), (-0.8, 1.72, 0.08), (-0.86, 1.28, 0.05)],
    pillars=((0.02, 0.0), (0.82, 0.8)),
    seams=([(1.0, 1.22), (1.02, 0.8), (0.98, 0.5), (0.04, 0.48), (0.02, 1.25)], [(0.04, 0.48), (-0.85, 0.5), (-0.93, 1.25)],
           [(-1.02, 0.45), (-1.02, 1.24)], [(2.1, 0.6), (2.6, 0.62)]),
    sill=0.47,
    screen=[(0.78, 1.28, 0.05), (0.66, 1.7, 0.07)], back=[(0.72, 1.3, 0.05), (0.62, 1.7, 0.07)],
    lamp=[(0.58, 0.86, 0.03), (0.9, 0.86, 0.03), (0.9, 1.08, 0.04), (0.58, 1.06, 0.03)],
    lamp_side=[(2.3, 0.88, 0.03), (2.66, 0.86, 0.02), (2.62, 1.07, 0.03), (2.26, 1.09, 0.05)],
    eyes=((0.74, 0.97, 0.085),),
    tail=[(0.76, 0.85, 0.02), (0.92, 0.85, 0.02), (0.92, 1.2, 0.02), (0.76, 1.2, 0.02)],
    tail_side=[(-2.55, 0.85, 0.02), (-2.68, 0.85, 0.02), (-2.66, 1.2, 0.02), (-2.55, 1.2, 0.02)],
    grille=(0.55, 0.84, 1.09), intake=(0.7, 0.46, 0.6), plates=(0.7, 0.66), mirror=(0.92, 0.92, 1.28),
    handles=((0.2, 0.92, 1.1), (-0.72, 0.92, 1.1)), spokes=6,
)  # fmt: skip


def car(
    model: Car, paint: str, plate: str = "KD19 HUB", left: bool = True, step: float = STEP, flake: float = 0.35,
    livery: Livery | None = None, more: tuple[bpy.types.Object, ...] = (), metal: str = "a9adb3",
) -> bpy.types.Object:  # fmt: skip
    """One car; `left`: seen from its left, which decides which way writing runs on its sides."""
    ends = [p[0] for p in model.body.side]
    sheets = {
        "side": Sheet((min(ends) - 0.1, 0.1), (max(ends) + 0.1, 1.95), mirror=left),
        "front": Sheet((-1.05, 0.1), (1.05, 1.95)),
        "rear": Sheet((-1.05, 0.1), (1.05, 1.95), mirror=True),
        "top": Sheet((min(ends) - 0.1, -1.05), (max(ends) + 0.1, 1.05)),
    }
    if livery:
        livery(sheets)
    paint_side(model, sheets["side"])
    paint_front(model, sheets["front"])
    paint_bonnet(model, sheets["top"])
    paint_rear(model, sheets["rear"])
    plates(sheets["front"], sheets["rear"], plate, *model.plates)
    parts = [
        shell(model.body, paint, sheets, step, flake),
        *add_wheels(model.body, 0.22, spokes=model.spokes, metal=metal),
    ]
    return kit.parent([*parts, *fittings(paint, model.mirror, model.handles, flake), *more], "car")


def paint_side(model: Car, sheet: Sheet) -> None:
    ends = [p[0] for p in model.body.side]
    sheet.rect(min(ends), 0.1, max(ends), model.sill, RUBBER, rough=0.7)
    sheet.glass(model.windows, 0.035)
    sheet.loop(model.windows, 0.012, CHROME, metal=0.9)
    top = max(p[1] for p in model.windows)
    bottom = min(p[1] for p in model.windows)
    for seat in (model.pillars[0][0] + 0.12, model.pillars[-1][0] + 0.2):
        sheet.rect(seat - 0.16, bottom + 0.06, seat + 0.02, bottom + 0.28, "1c2226", 0.06, rough=0.02)
    for low, high in model.pillars:
        sheet.fill([(low - 0.045, bottom), (low + 0.045, bottom), (high + 0.03, top), (high - 0.03, top)], RUBBER)
    for seam in model.seams:
        sheet.line(seam)
    sheet.fill(model.lamp_side, "59626a", rough=0.05, metal=0.6)
    sheet.loop(model.lamp_side, 0.01)
    sheet.fill(model.tail_side, "a50d12", rough=0.08)


def paint_front(model: Car, sheet: Sheet) -> None:
    paint_screen(sheet, model.screen)
    half, low, high = model.intake
    sheet.rect(-1.0, 0.1, 1.0, model.sill + 0.02, RUBBER, rough=0.7)
    sheet.rect(-half, low, half, high, RUBBER, 0.05, rough=0.7)
    for index in range(4):
        z = low + (high - low) * (index + 0.7) / 4.4
        sheet.line([(0.05 - half, z), (half - 0.05, z)], 0.007, "2b2d2f")
    for sign in (1, -1):
        sheet.rect(
            sign * 0.72 - 0.1,
            (low + high) / 2 - 0.07,
            sign * 0.72 + 0.1,
            (low + high) / 2 + 0.07,
            RUBBER,
            0.05,
            rough=0.6,
        )
    half, low, high = model.grille
    sheet.fill(
        [(-half, low, 0.04), (half, low, 0.04), (half - 0.04, high, 0.05), (0.04 - half, high, 0.05)],
        "0b0c0d",
        rough=0.4,
    )
    bars = max(3, int((high - low) / 0.045))
    for index in range(bars):
        z = low + (high - low) * (index + 0.5) / bars
        sheet.line([(0.05 - half, z), (half - 0.05, z)], 0.009, CHROME, 0.15, 0.9)
    for radius, code in ((0.058, CHROME), (0.042, "35393d")):
        sheet.disc(0, (low + high) / 2, radius, code, rough=0.12, metal=0.9)
    for sign in (1, -1):
        outline = [(sign * p[0], *p[1:]) for p in model.lamp]
        sheet.fill(outline, "3a4046", rough=0.08, metal=0.6)
        sheet.loop(outline, 0.012)
        for y, z, radius in model.eyes:
            sheet.eye(sign * y, z, radius)
        sheet.disc(sign * 0.72, (model.intake[1] + model.intake[2]) / 2, 0.045, "7f878d", rough=0.08, metal=0.9)


def paint_bonnet(model: Car, sheet: Sheet) -> None:
    """The bonnet's gaps and the dark strip before the windscreen."""
    nose, back, wide = max(p[0] for p in model.body.side), model.windows[0][0], model.screen[0][0]
    sheet.line([(back + 0.02, -wide - 0.02), (nose - 0.3, 0.1 - wide), (nose - 0.2, 0.16 - wide)])
    sheet.line([(back + 0.02, wide + 0.02), (nose - 0.3, wide - 0.1), (nose - 0.2, wide - 0.16)])
    sheet.fill(
        [(back - 0.06, -wide), (back + 0.05, -wide), (back + 0.08, 0), (back + 0.05, wide), (back - 0.06, wide)],
        RUBBER,
        rough=0.6,
    )
    for y in (-0.3, 0.3):
        sheet.line([(back + 0.15, y * 0.9), (nose - 0.32, y)], 0.006, "3a3c3e", 0.3)


def paint_screen(sheet: Sheet, half: Outline) -> None:
    """The windscreen: seats and a steering wheel dimly behind it, wipers before it."""
    sheet.glass(mirror_half(half), 0.035)
    (wide, low, *_), (_, high, *_) = half
    rise = high - low
    sheet.fill(
        [
            (-wide + 0.06, low + 0.01),
            (wide - 0.06, low + 0.01),
            (wide - 0.1, low + rise * 0.16),
            (0.1 - wide, low + rise * 0.16),
        ],
        "171c1f",
        rough=0.02,
    )
    for sign in (1, -1):
        sheet.rect(
            sign * wide * 0.48 - 0.12,
            low + rise * 0.42,
            sign * wide * 0.48 + 0.12,
            low + rise * 0.74,
            "1b2125",
            0.05,
            rough=0.02,
        )
        sheet.rect(
            sign * wide * 0.48 - 0.22,
            low + rise * 0.16,
            sign * wide * 0.48 + 0.22,
            low + rise * 0.46,
            "191e22",
            0.08,
            rough=0.02,
        )
        sheet.line([(sign * 0.1 - 0.3, low + 0.015), (sign * 0.1 + 0.22, low + rise * 0.12)], 0.014, "070809")
    ring = [
        (-wide * 0.48 + 0.17 * math.cos(t), low + rise * 0.24 + 0.13 * math.sin(t))
        for t in np.linspace(0, math.tau, 30)
    ]
    sheet.line(ring, 0.022, "0d1012", 0.02)
    sheet.rect(-0.09, high - rise * 0.13, 0.09, high - rise * 0.02, "0a0c0d", 0.02, rough=0.02)


def paint_rear(model: Car, sheet: Sheet) -> None:
    sheet.glass([*mirror_half(model.back)], 0.035)
    low = model.sill
    sheet.rect(-0.8, low - 0.03, 0.8, low + 0.1, RUBBER, 0.04, rough=0.7)
    half, lid = model.tail[0][0], model.back[0][1]
    sheet.line(
        [
            (-half, lid - 0.04),
            (0.02 - half, model.tail[0][1] - 0.15),
            (half - 0.02, model.tail[0][1] - 0.15),
            (half, lid - 0.04),
        ]
    )
    for sign in (1, -1):
        sheet.fill([(sign * p[0], *p[1:]) for p in model.tail], "b30f14", rough=0.06, glow=0.03)
        y, z = (model.tail[0][0] + model.tail[1][0]) / 2, model.tail[0][1] * 0.7 + model.tail[2][1] * 0.3
        sheet.disc(sign * y, z, 0.04, "f0ede8", rough=0.08)


def mirror_half(half: Outline) -> Outline:
    return [*half, *[(-p[0], *p[1:]) for p in reversed(half)]]


def plates(front: Sheet, rear: Sheet, words: str, height: float, rear_height: float) -> None:
    """British number plates: white in front, yellow behind."""
    for sheet, code, z in ((front, "f2f2ee", height), (rear, "f0c419", rear_height)):
        sheet.rect(-0.27, z - 0.062, 0.27, z + 0.062, RUBBER, 0.02)
        sheet.rect(-0.26, z - 0.055, 0.26, z + 0.055, code, 0.015, rough=0.3)
        sheet.text(words, 0, z, 0.066, "111111", 0.12)


def fittings(
    paint: str, mirror_at: tuple, handles: tuple = (), flake: float = 0.3, size: float = 1.0
) -> list[bpy.types.Object]:
    """Door mirrors and handles."""
    material = kit.Shader("fitting").principled(
        Base_Color=kit.hexa(paint), Roughness=0.35, Metallic=flake, Coat_Weight=1.0
    )
    x, y, z = mirror_at
    parts = pair(
        "mirror",
        (x - 0.06 * size, y + 0.03, z),
        (x + 0.07 * size, y + 0.03 + 0.2 * size, z + 0.15 * size),
        0.05 * size,
        material,
    )
    parts += pair(
        "stalk", (x - 0.03, y - 0.08, z + 0.01), (x + 0.04, y + 0.08, z + 0.05), 0.018, kit.plain("stalk", RUBBER, 0.5)
    )
    for hx, hy, hz in handles:
        parts += pair("handle", (hx - 0.1, hy - 0.005, hz), (hx + 0.1, hy + 0.028, hz + 0.032), 0.012, material)
    return parts
