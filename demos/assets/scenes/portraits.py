"""One vehicle in a pleasant place, seen from its front corner: the pictures of `vehicle_classifier`."""

# bpy has no complete types and is not installed with the hub:
# mypy: ignore-errors
# ruff: noqa: E501 - tables of coordinates read best as tables

from __future__ import annotations

import math

import bpy
import numpy as np

from . import houses, kit, plants, services, street, surfaces, vehicles
from .houses import House, Wall


def look(
    vehicle: bpy.types.Object, azimuth: float, distance: float, height: float, aim: float, fill: float = 0.92
) -> None:
    """A camera around the vehicle, 0 degrees straight ahead of it, that fits it in the frame; the far background is a little soft."""
    turn = math.radians(azimuth)
    kit.camera((distance * math.cos(turn), distance * math.sin(turn), height), (0, 0, aim), 40, distance - 1.2, 4.0)
    kit.frame(vehicle, fill)


def materials() -> dict:
    return {
        "red": surfaces.brick("8a4a38"), "buff": surfaces.brick("b29a72"), "brown": surfaces.brick("6e4a3c"),
        "white": surfaces.stained("render", "dcd8cc"), "cream": surfaces.stained("render", "d3c6a4"), "stone": surfaces.stained("stone", "b5ad9c", 1.2),
        "concrete": surfaces.stained("concrete", "a3a19b", 0.5),
    }  # fmt: skip


def ambulance() -> float:
    """In a hospital yard."""
    m = materials()
    street.ground()
    plants.treeline((-125, -70), (-110, 90), 9)
    plants.treeline((-110, 60), (-30, 75), 9, 8)
    street.road(-60, 40, 4.4, 2.6, "57585a")
    street.marks([*street.dashes(-50, 30, 2.6), *[(x, -3.9, x + 0.1, -1.7) for x in np.arange(-30, 20, 3.2)]])
    row = [House(6.4, 3, m["buff"], m["stone"], roof="flat", bays=3, door="2c4c63") for _ in range(7)]
    houses.terrace(Wall((-40, -9.5), 0, True), row, 12)
    plants.hedge((-40, -8.6, 0), (-1, -7.6, 1.0), 2)
    plants.hedge((1.8, -8.6, 0), (20, -7.6, 0.9), 3)
    plants.scatter(
        [plants.tree(4, 7.5), plants.tree(9, 8.5)],
        [(-13, -7.2), (-25, -7.4), (-34, -6.8), (-46, 1), (-52, 7), (-50, -6), (-60, 4)],
    )
    street.lamp_post(-9.5, -5.2, 1)
    vehicle = services.ambulance()
    kit.sky("3c78c8", "cfe2f2", "ffffff", 0.45, 0.85, 1.1)
    kit.sun(42, 66, 6.4)
    look(vehicle, 31, 9.6, 1.75, 1.3)
    return 0.4


def fire_station(m: dict) -> None:
    """Five red doors under a name, and a wing of offices, along y = -8.2."""
    houses.terrace(
        Wall((-36, -8.2), 0, True), [House(12, 2, m["red"], m["stone"], bays=4, roof="flat", storey=3.4)], 10
    )
    wall, mesh = Wall((-24, -8.2), 0, True), kit.Mesh()
    doors = [houses.Opening(1 + 5.2 * i, 5.2 + 5.2 * i, 0.02, 4.3, "shop", "b3141b") for i in range(5)]
    houses.front(mesh, wall, 30, 7.2, doors, m["red"], m["stone"])
    wall.block(mesh, (0, 30), (-8, 0.12), (7.2, 7.7), m["stone"])
    red = kit.plain("door red", "a5161c", 0.35)
    for left in (door.a0 + offset for door in doors for offset in (0.15, 2.15)):
        for level in (0, 1, 2, 4, 5, 6):  # the fourth panel is glass
            wall.block(mesh, (left, left + 1.85), (-0.12, -0.05), (0.1 + 0.6 * level, 0.62 + 0.6 * level), red)
    wall.block(mesh, (0, 30), (0, 0.1), (4.75, 5.6), kit.plain("fascia", "ece9df", 0.5))
    houses.words("FIRE STATION", wall, 19.5, 4.97, 0.5, "a5161c")
    mesh.build("station")


def fire_engine() -> float:
    """Before the doors of the station."""
    street.ground()
    plants.treeline((-125, -70), (-110, 90), 9)
    plants.treeline((-110, 60), (-30, 75), 9, 8)
    street.road(-60, 40, 5.2, 3.0, "6a6a6a")
    street.marks([(-12, 3.6, 14, 3.75)], "e3c53a")
    fire_station(materials())
    spots = [(-44, -3), (-50, 4), (-47, 10), (-56, -8), (-60, 3), (-62, 12)]
    plants.scatter([plants.tree(12, 9), plants.tree(5, 8)], spots)
    plants.hedge((-60, 8.5, 0), (-30, 9.5, 1.3), 8)
    vehicle = services.fire_engine()
    kit.sky("4684cf", "d5e6f3", "ffffff", 0.35, 0.85, 1.1)
    kit.sun(45, 70, 6.4)
    look(vehicle, 30, 13.4, 1.9, 1.62)
    return 0.4


def police_car() -> float:
    """At the kerb of a terraced street."""
    m = materials()
    street.ground()
    plants.treeline((-125, -70), (-110, 90), 9)
    plants.treeline((-110, 60), (-30, 75), 9, 8)
    street.road(-60, 40, 4.4, 2.2, "5a5b5d")
    street.marks([*street.dashes(-50, 30, 2.3)])
    street.marks([(-60, -4.05, 40, -3.97), (-60, -4.25, 40, -4.17)], "d8b53a")
    row = [
        House(5.2, 2, m["red"], m["stone"], "27406b"), House(5.2, 2, m["buff"], m["stone"], "6b1f24"), House(5.6, 3, m["white"], m["stone"], "22402e"),
        House(5.2, 2, m["red"], m["white"], "1f2224"), House(5.4, 2, m["brown"], m["stone"], "7a5a22"), House(5.2, 3, m["cream"], m["white"], "3a2a55"),
        House(5.4, 2, m["red"], m["stone"], "22402e"),
    ]  # fmt: skip
    houses.terrace(Wall((-31, -7.0), 0, True), row)
    plants.scatter([plants.tree(21, 8)], [(-36, -5.5), (-44, -4), (-40, 6), (-52, 2), (-58, -3), (-60, 6)])
    street.lamp_post(-6.4, -4.9, 1)
    street.bollard(3.0, -4.8)
    vehicle = services.police()
    kit.place(vehicles.car(vehicles.SALOON, "5c6166", "LM17 TRE"), -12.5, -3.2)
    kit.sky("5b8fcf", "dbe7f0", "ffffff", 0.5, 0.85, 1.1)
    kit.sun(48, 75, 5.9, size=1.5)
    look(vehicle, 33, 6.3, 1.5, 0.72)
    return 0.4


def hatchback() -> float:
    """In a leafy street."""
    m = materials()
    street.ground()
    plants.treeline((-125, -70), (-110, 90), 9)
    plants.treeline((-110, 60), (-30, 75), 9, 8)
    street.road(-60, 40, 4.0, 1.9, "606062")
    street.garden_wall(-60, 40, -6.1, 0.7, m["red"])
    plants.hedge((-60, -7.4, 0.2), (40, -6.4, 1.75), 4, 500)
    plants.lawn((-60, -40), (40, -6.0), 0.05)
    houses.terrace(
        Wall((-34, -15), 0, True),
        [House(8, 2, m["white"], m["stone"], "27406b", bays=3, roof="tile"), House(8, 2, m["red"], m["stone"], bays=3)]
        * 2,
    )
    plants.scatter([plants.tree(31, 9), plants.tree(32, 8, dark="24380f", light="8a9a3a")],
                   [(-6.5, -9.5), (-17, -9), (-27, -9.5), (-38, -8.5), (3, -10.5), (-46, 6), (-50, -2), (-58, 3), (-42, 10)])  # fmt: skip
    vehicle = vehicles.car(vehicles.HATCHBACK, "123a80", "KD19 HUB")
    kit.sky("4a88d2", "d2e4f2", "ffffff", 0.3, 0.85, 1.1)
    kit.sun(47, 62, 6.4, size=1.0)
    look(vehicle, 36, 6.2, 1.45, 0.68)
    return 0.4


def pickup() -> float:
    """On a country lane."""
    street.ground(300, "5b6a3a")
    plants.treeline((-125, -70), (-110, 90), 9)
    plants.treeline((-110, 60), (-30, 75), 9, 8)
    street.road(-90, 40, 3.6, 0.1, "6d6b68")
    plants.lawn((-90, -60), (40, -3.75), 0.12, 60000)
    plants.lawn((-90, 3.75), (40, 40), 0.12)
    mesh, wood = kit.Mesh(), surfaces.stained("timber", "8a7a62", 3.0)
    for x in np.arange(-60, 14, 2.2):
        mesh.box((x - 0.06, -5.96, 0), (x + 0.06, -5.84, 1.25), wood)
    for z in (0.45, 0.8, 1.12):
        mesh.box((-60, -5.84, z), (14, -5.8, z + 0.1), wood)
    mesh.build("fence")
    spots = [(x, -22 - 3 * math.sin(x)) for x in range(-75, 22, 6)] + [
        (-52, 9),
        (-60, 14),
        (-70, 7),
        (-11, -12),
        (-30, -11),
    ]
    plants.scatter([plants.tree(41, 9), plants.tree(42, 10, dark="203512", light="7c8f38"), plants.tree(43, 8)], spots)
    vehicle = vehicles.car(vehicles.PICKUP, "8d1014", "TR20 UCK", flake=0.3)
    kit.sky("3b7ccf", "cfe3f2", "ffffff", 0.5, 0.85, 1.1)
    kit.sun(44, 66, 6.7)
    look(vehicle, 35, 7.6, 1.6, 0.88)
    return 0.4


def saloon() -> float:
    """In a car park by a park."""
    street.ground()
    plants.treeline((-125, -70), (-110, 90), 9)
    plants.treeline((-110, 60), (-30, 75), 9, 8)
    street.road(-60, 40, 6.2, 2.0, "4f5052")
    street.marks(
        [(x, -6.0, x + 0.1, -1.3) for x in np.arange(-40.15, 20, 5.6)]
        + [(x, 1.6, x + 0.1, 6.0) for x in np.arange(-40.15, -10, 5.6)]
    )
    plants.hedge((-60, -9.4, 0), (20, -8.4, 1.25), 5, 500)
    plants.lawn((-60, -60), (20, -9.4), 0.1)
    spots = [
        (-7.5, -11),
        (-17, -12),
        (-27, -10.8),
        (2, -13),
        (-38, -11),
        (-12, -19),
        (-40, 4),
        (-47, 7),
        (-45, -5),
        (-55, 0),
    ]
    plants.scatter([plants.tree(51, 8.5), plants.tree(52, 9), plants.tree(53, 8, dark="203512", light="7c8f38")], spots)
    vehicle = vehicles.car(vehicles.SALOON, "858c92", "SA15 LON", flake=0.6)
    kit.sky("5a92d4", "dbe8f2", "ffffff", 0.55, 0.85, 1.1)
    kit.sun(45, 66, 5.9, size=1.5)
    look(vehicle, 34, 6.9, 1.5, 0.7)
    return 0.4


def paramedic() -> float:
    """At the edge of a park."""
    street.ground(300, "5b6a3a")
    street.road(-90, 40, 4.0, 2.0, "59595b")
    street.marks(street.dashes(-60, 30, 2.1))
    plants.treeline((-125, -70), (-110, 90), 9)
    plants.lawn((-90, -60), (40, -6.2), 0.1, 30000)
    plants.lawn((-90, 6.2), (40, 40), 0.1)
    street.railings(-60, 20, -6.35, 1.2)
    plants.hedge((-60, -8.2, 0), (20, -7.2, 1.0), 4, 420)
    spots = [
        (-9, -11),
        (-20, -12),
        (-31, -10.5),
        (-44, -11),
        (5, -13),
        (-60, -9),
        (-50, 8),
        (-62, 10),
        (-38, -17),
        (-15, -18),
        (-4, -18),
    ]
    plants.scatter(
        [plants.tree(101, 9), plants.tree(102, 10, dark="203512", light="7c8f38"), plants.tree(103, 8.5)], spots
    )
    vehicle = services.paramedic()
    kit.sky("3c78c8", "cfe2f2", "ffffff", 0.4, 0.85, 1.1)
    kit.sun(44, 66, 6.2)
    look(vehicle, 34, 6.9, 1.5, 0.7)
    return 0.4
