"""Trees, hedges and grass: branches as tubes, leaves as thousands of small cards."""

# bpy has no complete types and is not installed with the hub:
# mypy: ignore-errors

from __future__ import annotations

import math

import bpy
import numpy as np

from . import kit


def leaf_material(name: str, dark: str, light: str) -> bpy.types.Material:
    """Leaves that let some light through, each with its own shade."""
    if name in bpy.data.materials:
        return bpy.data.materials[name]
    shader = kit.Shader(name)
    shade = shader.node("Attribute", attribute_name="shade").outputs["Fac"]
    colour = shader.mix(shade, kit.hexa(dark), kit.hexa(light))
    matt = shader.node("BsdfPrincipled", {"Base Color": colour, "Roughness": 0.55}).outputs[0]
    through = shader.node("BsdfTranslucent", {"Color": colour}).outputs[0]
    mixed = shader.node("MixShader", {0: 0.3, 1: matt, 2: through}).outputs[0]
    shader.tree.links.new(mixed, shader.output.inputs[0])
    return shader.material


def bark(code: str = "4a4038") -> bpy.types.Material:
    name = f"bark {code}"
    if name in bpy.data.materials:
        return bpy.data.materials[name]
    shader = kit.Shader(name)
    grain = shader.noise(9, 6)
    return shader.principled(
        Base_Color=shader.mix(grain, kit.hexa(code), tuple(c * 0.45 for c in kit.hexa(code))),
        Roughness=0.9,
        Normal=shader.bump(grain, 0.03),
    )


def cards(
    centres: np.ndarray, size: float, rng: np.random.Generator, material: bpy.types.Material, upright: float = 0.0
) -> bpy.types.Object:
    """One leaf (a bent quad) at each centre, turned at random; `upright` 1 makes blades of grass."""
    count = len(centres)
    along = rng.normal(size=(count, 3)) * (1, 1, 1 - 0.3 * upright)
    along[:, 2] = along[:, 2] * (1 - upright) + upright * 2.4
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.cross(along, rng.normal(size=(count, 3)))
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    length = size * rng.uniform(0.6, 1.3, (count, 1))
    width = length * (0.42 if not upright else 0.07)
    corners = np.stack(
        [
            centres,
            centres + along * length * 0.5 + across * width,
            centres + along * length,
            centres + along * length * 0.5 - across * width,
        ],
        1,
    )
    mesh = bpy.data.meshes.new("leaves")
    mesh.from_pydata(corners.reshape(-1, 3).tolist(), [], np.arange(count * 4).reshape(-1, 4).tolist())
    mesh.materials.append(material)
    shade = np.repeat(np.clip(rng.normal(0.45, 0.25, count), 0, 1), 4).astype(np.float32)
    mesh.attributes.new("shade", "FLOAT", "POINT").data.foreach_set("value", shade)
    thing = bpy.data.objects.new("leaves", mesh)
    bpy.context.scene.collection.objects.link(thing)
    return thing


def tree(
    seed: int,
    height: float = 8.0,
    leaves: int = 14000,
    dark: str = "1d3312",
    light: str = "6d8a35",
    spread: float = 0.62,
) -> bpy.types.Object:
    """A broad-leaved tree; `leaves=0` gives a bare winter one."""
    rng = np.random.default_rng(seed)
    mesh, tips = kit.Mesh(), []
    wood = bark()

    def grow(base: np.ndarray, way: np.ndarray, length: float, radius: float, depth: int) -> None:
        middle = base + way * length * 0.5 + rng.normal(0, 0.035, 3) * length
        end = base + way * length + rng.normal(0, 0.05, 3) * length
        mesh.tube([base, middle, end], [radius, radius * 0.85, radius * 0.66], wood, 8 if depth < 2 else 4)
        if depth >= (4 if leaves else 6):
            tips.append((end, length))
            return
        if depth >= 3:
            tips.append((middle, length))
        for _ in range(rng.integers(3, 5) if depth < 3 else 2 + int(not leaves or rng.random() < 0.6)):
            turn = way + rng.normal(0, spread, 3) * (1, 1, 0.75) + (0, 0, 0.16)
            grow(
                end,
                turn / np.linalg.norm(turn),
                length * rng.uniform(0.62, 0.86),
                radius * rng.uniform(0.45, 0.66),
                depth + 1,
            )

    grow(np.zeros(3), np.array([0.02, 0, 1.0]), height * 0.27, height * 0.024, 0)
    parts = [mesh.build("wood", smooth=True)]
    if leaves:
        each = leaves // len(tips) + 1
        clouds = [end + rng.normal(0, 0.27 * length + 0.12, (each, 3)) for end, length in tips]
        parts.append(
            cards(
                np.concatenate(clouds),
                height * 2.5 / leaves**0.5,
                rng,
                leaf_material(f"leaf {dark}{light}", dark, light),
            )
        )
    return kit.parent(parts, "tree")


def hedge(
    low: tuple,
    high: tuple,
    seed: int = 1,
    density: float = 900,
    dark: str = "16260f",
    light: str = "4d6b2a",
    size: float = 0.075,
) -> None:
    """A clipped hedge or a shrub bed between two corners."""
    rng = np.random.default_rng(seed)
    low, high = np.array(low, float), np.array(high, float)
    spans = high - low
    core = kit.Mesh()
    core.box(low + 0.06, high - (0.1, 0.1, 0.12), kit.plain("hedge core", "0d130a", 1.0))
    core.build("hedge core")
    areas = np.array([spans[1] * spans[2], spans[0] * spans[2], spans[0] * spans[1]])
    count = int(density * areas.sum() * 2)
    points = low + rng.random((count, 3)) * spans
    axis = rng.choice(3, count, p=areas / areas.sum())
    ends = np.where(rng.random(count) < 0.5, low[axis], high[axis])
    points[np.arange(count), axis] = np.where(axis == 2, high[2], ends)
    lumpy = np.sin(points @ (1.7, 2.3, 2.9)) * 0.06 + np.sin(points @ (5.1, 4.3, 3.9)) * 0.04
    points += rng.normal(0, 0.045, (count, 3)) + lumpy[:, None] * rng.random((count, 1))
    cards(points, size, rng, leaf_material(f"leaf {dark}{light}", dark, light))


def lawn(low: tuple[float, float], high: tuple[float, float], z: float = 0.1, blades: int = 0, seed: int = 3) -> None:
    """Grass: a mottled ground, and blades where the camera comes near."""
    name = "lawn"
    if name not in bpy.data.materials:
        shader = kit.Shader(name)
        tone = shader.mix(shader.noise(0.8, 5), kit.hexa("3d5220"), kit.hexa("66793a"))
        tone = shader.mix(shader.noise(30, 3), tone, kit.hexa("2c3d18"))
        shader.principled(Base_Color=tone, Roughness=0.95, Normal=shader.bump(shader.noise(45, 4), 0.05))
    mesh = kit.Mesh()
    mesh.box((*low, z - 0.2), (*high, z), bpy.data.materials[name])
    mesh.build("lawn")
    if blades:
        rng = np.random.default_rng(seed)
        spots = np.column_stack(
            [rng.uniform(low[0], high[0], blades), rng.uniform(low[1], high[1], blades), np.full(blades, z)]
        )
        cards(spots, 0.09, rng, leaf_material("blade", "3a5220", "7d9445"), upright=1.0)


def treeline(
    low: tuple[float, float],
    high: tuple[float, float],
    height: float = 8,
    seed: int = 7,
    dark: str = "25351c",
    light: str = "5c7440",
) -> None:
    """Woods far away, to close the horizon: mounds of large cards."""
    rng = np.random.default_rng(seed)
    span = np.subtract(high, low)
    centres = np.column_stack(
        [
            rng.uniform(low[0], high[0], crowns := int(span.max() / 2.2)),
            rng.uniform(low[1], high[1], crowns),
            rng.uniform(0.45, 0.75, crowns) * height,
        ]
    )
    which = rng.integers(0, crowns, crowns * 420)
    spots = centres[which] + rng.normal(0, 1, (len(which), 3)) * (1.3, 1.3, height * 0.17)
    spots[:, 2] = np.abs(spots[:, 2])
    low_growth = np.column_stack(
        [
            rng.uniform(low[0], high[0], crowns * 120),
            rng.uniform(low[1], high[1], crowns * 120),
            rng.uniform(0, height * 0.45, crowns * 120),
        ]
    )
    cards(np.concatenate([spots, low_growth]), 0.75, rng, leaf_material(f"leaf {dark}{light}", dark, light))


def scatter(
    make: list[bpy.types.Object],
    spots: list[tuple[float, float]],
    seed: int = 5,
    size: tuple[float, float] = (0.85, 1.2),
) -> None:
    """Copies of some plants at given places, turned and scaled at random."""
    rng = np.random.default_rng(seed)
    kinds = set()
    for index, (x, y) in enumerate(spots):
        kind = index % len(make)
        thing = make[kind] if kind not in kinds else kit.copy(make[kind])
        kinds.add(kind)
        kit.place(thing, x, y, 0, math.degrees(rng.uniform(0, math.tau)), rng.uniform(*size))
    for kind, thing in enumerate(make):
        if kind not in kinds:
            kit.place(thing, -500, 0)
