"""What every picture needs from Blender: materials, meshes from numbers, sky, camera, render."""

# bpy has no complete types and is not installed with the hub:
# mypy: ignore-errors

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector

Colour = tuple[float, float, float]


def hexa(code: str) -> Colour:
    """`rrggbb` as people see it -> the linear colour Blender wants."""
    parts = [int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return red, green, blue


class Shader:
    """A material's node tree with a shorthand: `node(type, inputs..., settings...)`, links by passing sockets."""

    def __init__(self, name: str) -> None:
        self.material = bpy.data.materials.new(name)
        self.tree = self.material.node_tree
        self.tree.nodes.clear()
        self.output = self.tree.nodes.new("ShaderNodeOutputMaterial")

    def node(self, kind: str, inputs: dict[str | int, object] | None = None, **settings: object) -> bpy.types.Node:
        node = self.tree.nodes.new(f"ShaderNode{kind}")
        for key, value in settings.items():
            setattr(node, key, value)
        for key, value in (inputs or {}).items():
            self.put(value, node.inputs[key])
        return node

    def put(self, value: object, socket: bpy.types.NodeSocket) -> None:
        if isinstance(value, bpy.types.NodeSocket):
            self.tree.links.new(value, socket)
        elif socket.type == "RGBA" and isinstance(value, tuple):
            socket.default_value = (*value[:3], 1.0)
        else:
            socket.default_value = value

    def math(self, operation: str, a: object, b: object = 0.0, clamp: bool = False) -> bpy.types.NodeSocket:
        return self.node("Math", {0: a, 1: b}, operation=operation, use_clamp=clamp).outputs[0]

    def mix(self, factor: object, a: object, b: object) -> bpy.types.NodeSocket:
        node = self.node("Mix", data_type="RGBA")
        for index, value in ((0, factor), (6, a), (7, b)):
            self.put(value, node.inputs[index])
        return node.outputs[2]

    def blend(self, factor: object, a: object, b: object) -> bpy.types.NodeSocket:
        node = self.node("Mix", data_type="FLOAT")
        for index, value in ((0, factor), (2, a), (3, b)):
            self.put(value, node.inputs[index])
        return node.outputs[0]

    def noise(self, scale: float, detail: float = 4, vector: object = None, low: float = 0.35, high: float = 0.65):
        """Noise in metres (object coordinates), stretched to fill 0..1."""
        source = vector or self.node("TexCoord").outputs["Object"]
        noise = self.node("TexNoise", {"Vector": source, "Scale": scale, "Detail": detail})
        ramp = self.node("MapRange", {0: noise.outputs[0], 1: low, 2: high})
        return ramp.outputs[0]

    def bump(self, height: object, distance: float = 0.01, strength: float = 1.0) -> bpy.types.NodeSocket:
        return self.node("Bump", {"Height": height, "Distance": distance, "Strength": strength}).outputs[0]

    def principled(self, **inputs: object) -> bpy.types.Material:
        node = self.node("BsdfPrincipled", {key.replace("_", " "): value for key, value in inputs.items()})
        self.tree.links.new(node.outputs[0], self.output.inputs[0])
        return self.material


def plain(name: str, code: str, roughness: float = 0.6, **inputs: object) -> bpy.types.Material:
    """One colour; made once per name."""
    if name in bpy.data.materials:
        return bpy.data.materials[name]
    return Shader(name).principled(Base_Color=hexa(code), Roughness=roughness, **inputs)


class Mesh:
    """Collects boxes, quads and tubes with a material each, then becomes one object. UVs are in metres."""

    def __init__(self) -> None:
        self.points: list[Sequence[float]] = []
        self.faces: list[tuple[int, ...]] = []
        self.slots: list[int] = []
        self.materials: list[bpy.types.Material] = []

    def face(self, corners: Sequence[Sequence[float]], material: bpy.types.Material) -> None:
        start = len(self.points)
        self.points.extend(corners)
        self.faces.append(tuple(range(start, start + len(corners))))
        if material not in self.materials:
            self.materials.append(material)
        self.slots.append(self.materials.index(material))

    def box(self, low: Sequence[float], high: Sequence[float], material: bpy.types.Material) -> None:
        self.prism(
            [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])], low[2], high[2], material
        )

    def prism(self, base: Sequence[Sequence[float]], z0: float, z1: float, material: bpy.types.Material) -> None:
        """An upright block over a counter-clockwise outline."""
        self.face([(x, y, z0) for x, y in reversed(base)], material)
        self.face([(x, y, z1) for x, y in base], material)
        for (x0, y0), (x1, y1) in zip(base, [*base[1:], base[0]], strict=True):
            self.face([(x0, y0, z0), (x1, y1, z0), (x1, y1, z1), (x0, y0, z1)], material)

    def tube(
        self,
        path: Sequence[Sequence[float]],
        radius: float | Sequence[float],
        material: bpy.types.Material,
        sides: int = 8,
    ) -> None:
        """A round bar along a path, with one radius or one per point."""
        radii = [radius] * len(path) if isinstance(radius, (int, float)) else radius
        rings = []
        for index, (point, r) in enumerate(zip(path, radii, strict=True)):
            ahead = Vector(path[min(index + 1, len(path) - 1)]) - Vector(path[max(index - 1, 0)])
            turn = ahead.to_track_quat("Z", "Y")
            ring = [
                Vector((r * math.cos(a), r * math.sin(a), 0)) for a in np.linspace(0, math.tau, sides, endpoint=False)
            ]
            rings.append([Vector(point) + turn @ spoke for spoke in ring])
        for lower, upper in pairwise(rings):
            for i in range(sides):
                self.face([lower[i - 1], lower[i], upper[i], upper[i - 1]], material)
        self.face(list(reversed(rings[0])), material)
        self.face(rings[-1], material)

    def lathe(self, profile: Sequence[tuple[float, float]], material: bpy.types.Material, sides: int = 40) -> None:
        """A surface of revolution about the y axis from (radius, y) pairs."""
        for (r0, y0), (r1, y1) in pairwise(profile):
            for a0, a1 in pairwise(np.linspace(0, math.tau, sides + 1)):
                ring = [(r0, y0, a0), (r0, y0, a1), (r1, y1, a1), (r1, y1, a0)]
                self.face([(r * math.cos(a), y, r * math.sin(a)) for r, y, a in ring], material)

    def build(self, name: str, bevel: float = 0.0, smooth: bool = False) -> bpy.types.Object:
        mesh = bpy.data.meshes.new(name)
        mesh.from_pydata([tuple(p) for p in self.points], [], self.faces)
        for material in self.materials:
            mesh.materials.append(material)
        mesh.polygons.foreach_set("material_index", self.slots)
        metres(mesh)
        if smooth:
            weld(mesh)
        thing = bpy.data.objects.new(name, mesh)
        bpy.context.scene.collection.objects.link(thing)
        if bevel:
            weld(mesh, smooth=False)
            modifier = thing.modifiers.new("bevel", "BEVEL")
            modifier.width, modifier.segments, modifier.limit_method = bevel, 2, "ANGLE"
            modifier.harden_normals = True
        return thing


def weld(mesh: bpy.types.Mesh, smooth: bool = True) -> None:
    """Joins corners that touch, and shades smoothly below 40 degrees."""
    import bmesh

    work = bmesh.new()
    work.from_mesh(mesh)
    bmesh.ops.remove_doubles(work, verts=work.verts, dist=1e-5)
    work.to_mesh(mesh)
    work.free()
    if smooth:
        mesh.shade_smooth()
        mesh.set_sharp_from_angle(angle=math.radians(40))


def metres(mesh: bpy.types.Mesh) -> None:
    """UVs in metres: along the wall and up for upright faces, x and y for level ones."""
    layer = mesh.uv_layers.new(name="metres")
    uv = np.empty((len(mesh.loops), 2), np.float32)
    for face in mesh.polygons:
        normal = face.normal
        for loop in face.loop_indices:
            point = mesh.vertices[mesh.loops[loop].vertex_index].co
            if abs(normal.z) > 0.7:
                uv[loop] = point.x, point.y
            elif abs(normal.x) > abs(normal.y):
                uv[loop] = point.y, point.z
            else:
                uv[loop] = point.x, point.z
    layer.data.foreach_set("uv", uv.ravel())


def smooth_mesh(name: str, points, faces, normals, material: bpy.types.Material) -> bpy.types.Object:
    """A mesh from arrays with given vertex normals."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(points.tolist(), [], faces.tolist())
    mesh.materials.append(material)
    mesh.shade_smooth()
    mesh.normals_split_custom_set_from_vertices(normals.tolist())
    thing = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(thing)
    return thing


def parent(parts: Sequence[bpy.types.Object], name: str) -> bpy.types.Object:
    """Parts as one movable thing."""
    root = bpy.data.objects.new(name, None)
    bpy.context.scene.collection.objects.link(root)
    for part in parts:
        part.parent = root
    return root


def place(thing: bpy.types.Object, x: float, y: float, z: float = 0.0, turn: float = 0.0, size: float = 1.0):
    """Moves, turns (degrees) and scales; returns the thing."""
    thing.location, thing.rotation_euler, thing.scale = (x, y, z), (0, 0, math.radians(turn)), (size,) * 3
    return thing


def copy(thing: bpy.types.Object) -> bpy.types.Object:
    """Another one that shares the mesh, children included."""
    twin = thing.copy()
    bpy.context.scene.collection.objects.link(twin)
    for child in thing.children:
        copy(child).parent = twin
    return twin


# --- the picture ----------------------------------------------------------------------------------


def start() -> None:
    """An empty scene."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.world = bpy.data.worlds.new("world")


def sun(elevation: float, azimuth: float, strength: float, colour: str = "fff1dc", size: float = 0.6) -> None:
    """Sunlight; azimuth is where the sun stands, in degrees from +x towards +y; `size` softens shadows."""
    lamp = bpy.data.lights.new("sun", "SUN")
    lamp.energy, lamp.color, lamp.angle = strength, hexa(colour), math.radians(size)
    thing = bpy.data.objects.new("sun", lamp)
    up, around = math.radians(elevation), math.radians(azimuth)
    where = Vector((math.cos(up) * math.cos(around), math.cos(up) * math.sin(around), math.sin(up)))
    thing.rotation_euler = where.to_track_quat("Z", "Y").to_euler()
    bpy.context.scene.collection.objects.link(thing)


def sky(top: str, horizon: str, cloud: str, cover: float, strength: float = 1.0, seen: float = 1.0) -> None:
    """A gradient with soft clouds; `cover` 0 (clear) to 1 (overcast); `seen` scales only what the camera sees."""
    shader = Shader.__new__(Shader)
    shader.tree = bpy.context.scene.world.node_tree
    shader.tree.nodes.clear()
    way = shader.node("TexCoord").outputs["Generated"]
    parts = shader.node("SeparateXYZ", {0: way}).outputs
    height = shader.math("MAXIMUM", parts[2], 0.0)
    base = shader.mix(shader.math("POWER", height, 0.45), hexa(horizon), hexa(top))
    lift = shader.math("ADD", height, 0.12)
    flat = shader.node(
        "CombineXYZ", {0: shader.math("DIVIDE", parts[0], lift), 1: shader.math("DIVIDE", parts[1], lift)}
    ).outputs[0]
    edge = 0.68 - 0.4 * cover
    clouds = shader.noise(0.55, 6, flat, edge, edge + 0.22)
    clouds = shader.math("MULTIPLY", clouds, shader.math("MULTIPLY", height, 9.0, clamp=True))
    shade = shader.mix(shader.noise(0.9, 3, flat, 0.3, 0.8), hexa(cloud), tuple(c * 0.72 for c in hexa(cloud)))
    colour = shader.mix(shader.math("MULTIPLY", clouds, 0.92), base, shade)
    camera = shader.node("LightPath").outputs[0]
    power = shader.blend(camera, strength, strength * seen)
    background = shader.node("Background", {0: colour, 1: power})
    output = shader.tree.nodes.new("ShaderNodeOutputWorld")
    shader.tree.links.new(background.outputs[0], output.inputs[0])


def camera(
    position: Sequence[float], target: Sequence[float], view_degrees: float, blur_at: float = 0.0, stop: float = 5.6
) -> None:
    """A camera by its horizontal field of view; `blur_at` is the distance in focus, 0 for all sharp."""
    lens = bpy.data.cameras.new("camera")
    lens.angle = math.radians(view_degrees)
    lens.clip_end = 2000
    if blur_at:
        lens.dof.use_dof, lens.dof.focus_distance, lens.dof.aperture_fstop = True, blur_at, stop
    thing = bpy.data.objects.new("camera", lens)
    thing.location = position
    thing.rotation_euler = (Vector(target) - Vector(position)).to_track_quat("-Z", "Y").to_euler()
    bpy.context.scene.collection.objects.link(thing)
    bpy.context.scene.camera = thing


def frame(thing: bpy.types.Object, fill: float, aspect: float = 0.75, middle: float = 0.52) -> None:
    """Zooms and shifts the camera so that a thing takes up that share of the width (and is not too high)."""
    bpy.context.view_layer.update()
    seat = bpy.context.scene.camera
    corners = [
        part.matrix_world @ Vector(c)
        for part in thing.children_recursive
        if part.type == "MESH"
        for c in part.bound_box
    ]
    local = [seat.matrix_world.inverted() @ corner for corner in corners]
    across, up = np.array([-p.x / p.z for p in local]), np.array([-p.y / p.z for p in local])
    width = max(np.ptp(across) / fill, np.ptp(up) / (0.74 * aspect))
    seat.data.angle = 2 * math.atan(width / 2)
    seat.data.shift_x = (across.max() + across.min()) / 2 / width
    seat.data.shift_y = (up.max() + up.min()) / 2 / width + (0.5 - middle) * aspect


def render(path: Path, width: int, height: int, samples: int, exposure: float = 0.0, look: str = "") -> None:
    """Cycles on the CPU with the denoiser, to a PNG."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples, scene.cycles.seed = samples, 1
    scene.cycles.use_adaptive_sampling, scene.cycles.adaptive_threshold = True, 0.03
    scene.cycles.use_denoising, scene.cycles.denoiser = True, "OPENIMAGEDENOISE"
    scene.cycles.max_bounces, scene.cycles.transparent_max_bounces = 6, 12
    scene.cycles.sample_clamp_indirect = 4.0
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = width, height, 100
    scene.view_settings.view_transform = "Filmic"
    scene.view_settings.look = look or "High Contrast"
    scene.view_settings.exposure = exposure
    scene.render.image_settings.file_format = "PNG"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
