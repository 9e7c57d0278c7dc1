"""What streets and houses are made of: asphalt, brick, render, slabs, slate, glass, paint."""

# bpy has no complete types and is not installed with the hub:
# mypy: ignore-errors

from __future__ import annotations

import bpy

from . import kit


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
