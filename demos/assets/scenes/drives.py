"""Streets through the windscreen, for `camvid_segmentation`. The camera drives along +x on the left."""

# bpy has no complete types and is not installed with the hub:
# mypy: ignore-errors
# ruff: noqa: E501 - tables of coordinates read best as tables

from __future__ import annotations

import numpy as np

from . import houses, kit, people, plants, services, street, surfaces, vehicles
from .houses import House, Wall
from .portraits import materials

COARSE = 0.03
PLATES = ("KD19 HUB", "EA12 WLK", "AV57 RTE", "CB21 CAM", "MK66 JNR", "LS08 OAK", "EX15 FEN", "HG20 ELM")


def through_windscreen(y: float, aim: tuple[float, float, float], view: float = 56, height: float = 1.35) -> None:
    kit.camera((0, y, height), aim, view)


def traffic(cars: list[tuple]) -> None:
    """Cars at (x, y, direction, paint, model)."""
    for index, (x, y, turn, paint, model) in enumerate(cars):
        kit.place(vehicles.car(model, paint, PLATES[index % len(PLATES)], step=COARSE), x, y, turn=turn)


def arrow(x: float, y: float) -> None:
    """A straight-ahead arrow painted in a lane."""
    mesh = kit.Mesh()
    for outline in (
        [(x, y - 0.08), (x + 2.2, y - 0.08), (x + 2.2, y + 0.08), (x, y + 0.08)],
        [(x + 2.2, y - 0.35), (x + 3.6, y), (x + 2.2, y + 0.35)],
    ):
        mesh.face([(a, b, 0.0045) for a, b in outline], surfaces.worn_paint())
    mesh.build("arrow")


def covers(spots: list[tuple[float, float]], patches: list[tuple[float, float, float, float]]) -> None:
    """Manholes, and places where the road was mended."""
    mesh, iron = kit.Mesh(), surfaces.stained("iron cover", "3b3a39", 6.0)
    for x, y in spots:
        ring = [
            (x + 0.33 * np.cos(t), y + 0.33 * np.sin(t), 0.003) for t in np.linspace(0, 2 * np.pi, 24, endpoint=False)
        ]
        mesh.face(ring, iron)
    for x0, y0, x1, y1 in patches:
        mesh.face([(x0, y0, 0.002), (x1, y0, 0.002), (x1, y1, 0.002), (x0, y1, 0.002)], surfaces.asphalt("4a4a4c"))
    mesh.build("covers")


def walkers(spots: list[tuple], base: float = 0.115) -> None:
    """People at (x, y, direction, coat, trousers)."""
    for index, (x, y, turn, coat, trousers) in enumerate(spots):
        kit.place(people.person(coat, trousers, 0.22 + 0.06 * (index % 3), index % 3, ("2a1d14", "59402a", "191512")[index % 3], ("", "3b4a63", "")[index % 3]),
                  x, y, base, turn, 0.96 + 0.03 * (index % 3))  # fmt: skip


def high_street() -> float:
    """Shops and old houses on both sides, cars parked on the left."""
    m = materials()
    street.ground()
    plants.treeline((175, -70), (190, 70), 9)
    street.road(-10, 140, 3.9, 2.4, "56575a")
    street.marks(street.dashes(-8, 130, 0.0))
    street.marks([(-8, 3.62, 130, 3.7), (-8, -3.7, 130, -3.62)], "cdb04a")
    left = [
        House(6, 3, m["buff"], m["stone"], shop="22402e", sign="GREENGROCER"), House(5, 3, m["red"], m["stone"], shop="1f3350", sign="BOOKS"),
        House(6, 2, m["white"], m["stone"], shop="6b1f24", sign="BAKERY"), House(5.6, 3, m["brown"], m["stone"], shop="1f2224", sign="CYCLES"),
    ]  # fmt: skip
    right = [
        House(6, 3, m["cream"], m["stone"], shop="2d4a4a", sign="COFFEE"), House(7, 3, m["red"], m["stone"], shop="37202c", sign="BANK", bays=3),
        House(5.4, 3, m["buff"], m["stone"], "27406b"), House(5.4, 2, m["buff"], m["stone"], "22402e"), House(6, 3, m["white"], m["stone"], shop="7a5a22", sign="TOYS"),
    ]  # fmt: skip
    houses.terrace(Wall((-4, 6.5), 0, False), left * 5)
    houses.terrace(Wall((-6, -6.5), 0, True), (right * 5)[1:])
    traffic([(9.5, 2.95, 0, "7d8185", vehicles.SALOON), (15.4, 2.95, 0, "1b2b45", vehicles.HATCHBACK), (21, 2.95, 0, "8c1518", vehicles.HATCHBACK), (27.5, 2.95, 0, "c9ccce", vehicles.HATCHBACK),
             (46, 2.95, 0, "24272a", vehicles.SALOON), (33, 1.05, 0, "5d1a1d", vehicles.HATCHBACK), (24, -1.9, 180, "2b4a3a", vehicles.SALOON)])  # fmt: skip
    kit.place(services.van(step=COARSE), 52, -1.9, turn=180)
    kit.place(people.cyclist("b0302a", "23262b"), 13.2, -2.95, turn=180)
    walkers([(12.5, 5.4, 180, "3d4a3a", "20242c"), (13.5, 5.0, 0, "7a2f2b", "2a2d33"), (19, 5.5, 180, "2b3550", "38332e"), (29, 5.2, 0, "9a8f7a", "23262b"),
             (11.5, -5.2, 0, "22262b", "3a4250"), (15.5, -4.8, 180, "74808c", "23262b"), (16.1, -5.4, 180, "8a5a3a", "1d2026"), (27, -5.1, 0, "4a2d4a", "23262b")])  # fmt: skip
    for x in (17, 47, 77, 107):
        street.lamp_post(x, -4.3, 1)
    for x in (32, 62, 92):
        street.lamp_post(x, 4.3, -1)
    street.sign(18.5, 4.35, "speed")
    street.sign(21.5, -4.35, "speed")
    for x in np.arange(5.5, 12, 1.6):
        street.bollard(x, -4.25)
    plants.scatter([plants.tree(71, 9)], [(118, 4), (124, -3), (130, 2), (126, 8), (128, -8)])
    kit.sky("6f9fd2", "e6edf4", "ffffff", 0.5, 1.0, 1.1)
    kit.sun(38, 158, 2.8, "ffeed6", size=3)
    covers([(8, 0.3), (14, -1.2), (23, 0.6)], [(6, -2.9, 24, -2.0), (11, 0.5, 13, 1.9)])
    through_windscreen(0.9, (30, 0.4, 2.3))
    return 0.55


def leafy_road() -> float:
    """Trees, hedges, garden walls and railings; houses behind."""
    m = materials()
    street.ground(300, "55603a")
    plants.treeline((175, -70), (190, 70), 9)
    street.road(-10, 170, 3.7, 2.2, "5b5b5d")
    street.marks(street.dashes(-8, 150, 0.0))
    plants.hedge((-10, 6.25, 0.0), (60, 7.2, 1.5), 4, 520)
    street.railings(-10, 34, -6.3, 1.15, z=0.1)
    street.garden_wall(34, 120, -6.3, 1.3, m["red"])
    plants.hedge((-10, -8.2, 0), (34, -7.2, 1.3), 6, 420)
    plants.lawn((-10, -60), (170, -6.2), 0.06)
    plants.lawn((-10, 6.2), (170, 60), 0.06)
    villa = [
        House(7, 2, m["buff"], m["stone"], "27406b", bays=3),
        House(6.4, 3, m["red"], m["stone"], "22402e"),
        House(6.4, 2, m["brown"], m["stone"], "6b1f24", roof="tile"),
    ]
    houses.terrace(Wall((2, 10.5), 0, False), villa * 4)
    houses.terrace(Wall((22, -11), 0, True), villa[::-1] * 4)
    kinds = [
        plants.tree(81, 10, 30000),
        plants.tree(82, 9, 30000, dark="233814", light="7d9040"),
        plants.tree(83, 9.5, 30000),
    ]
    plants.scatter(kinds, [(12, -8.6), (23, -9), (16, 8.3), (33, 8.2), (46, 8.4), (42, -8.4), (58, -8.6), (70, 8), (75, -8.2), (92, 7.8), (98, -8), (120, 7), (124, -7), (140, 2), (146, -4), (150, 6), (144, 12), (146, -12)])  # fmt: skip
    traffic([(11, -2.75, 180, "33475e", vehicles.HATCHBACK), (17.5, -2.75, 180, "a9adb1", vehicles.SALOON), (26, 2.75, 0, "7c1a1c", vehicles.HATCHBACK),
                                     (32, 2.75, 0, "1d1f22", vehicles.HATCHBACK), (42, -1.7, 180, "d8d9d6", vehicles.HATCHBACK), (47, 1.6, 0, "57606a", vehicles.SALOON)])  # fmt: skip
    kit.place(people.cyclist("d0a21f", "23262b", helmet="c03a2a"), 12.5, 2.7)
    walkers(
        [
            (9.5, 5.1, 180, "5a2630", "23262b"),
            (21, 4.9, 0, "2d3b55", "40382f"),
            (14, -5.2, 180, "46523a", "1d2026"),
            (20, -5.0, 0, "8b8478", "2b3550"),
        ]
    )
    for x, side in ((20, -1), (50, 1), (80, -1), (110, 1)):
        street.lamp_post(x, side * 4.2, -side, 6.5)
    street.sign(16.5, 4.2, "warning")
    kit.sky("6fa3dc", "e6eef5", "ffffff", 0.4, 1.0, 1.15)
    kit.sun(40, -145, 3.4, "ffefd8", size=3)
    covers([(9, -0.9), (17, 1.4)], [(7, 0.7, 26, 1.5), (10, -2.6, 12, -1.3)])
    through_windscreen(1.2, (30, 0.3, 2.2))
    return 0.5


def junction() -> float:
    """A wide road at the traffic lights, offices and bare trees."""
    m = materials()
    street.ground()
    plants.treeline((175, -70), (190, 70), 9)
    street.road(-10, 180, 6.6, 3.0, "5f5f61", "969188")
    street.marks(
        [
            *street.dashes(8, 160, 3.3, 1.5, 3.5),
            *street.dashes(8, 160, -3.3, 1.5, 3.5),
            (8.0, 0.1, 8.35, 6.4),
            (8.4, -0.06, 60, 0.06),
        ]
    )
    office = [
        House(9, 4, m["buff"], m["stone"], roof="flat", bays=4, storey=3.3),
        House(10, 3, m["concrete"], m["white"], roof="flat", bays=5, storey=3.4),
        House(7, 3, m["red"], m["stone"], bays=3, shop="1f3350", sign="LIBRARY"),
    ]
    houses.terrace(Wall((10, 10.5), 0, False), [*office, *office, *office], 14)
    houses.terrace(Wall((26, -11), 0, True), [office[2], office[0], office[1], office[2], office[0]], 14)
    plants.hedge((-10, -12.5, 0), (24, -10.5, 1.2), 6, 350)
    plants.lawn((-10, -40), (25, -9.7), 0.13)
    bare = [plants.tree(91, 9, 0, spread=0.5), plants.tree(92, 10, 0, spread=0.5)]
    plants.scatter([*bare, plants.tree(93, 8, 12000)], [(13, -11.5), (19, -13), (22, -11.8), (30, 8.9), (44, 8.9), (58, 8.9), (40, -9.2), (54, -9.2), (150, 3), (156, -6), (160, 9), (154, -14), (152, 14)])  # fmt: skip
    traffic([(13.5, 4.9, 0, "8b9095", vehicles.HATCHBACK), (20, 1.6, 0, "23375a", vehicles.SALOON), (36, 4.9, 0, "7a1517", vehicles.HATCHBACK),
                                     (17, -4.9, 180, "d5d6d3", vehicles.HATCHBACK), (30, -1.7, 180, "3a3d40", vehicles.SALOON), (27, -4.9, 180, "8c1518", vehicles.HATCHBACK), (60, -4.9, 180, "36506b", vehicles.HATCHBACK)])  # fmt: skip
    kit.place(services.van(step=COARSE), 48, 1.7)
    street.traffic_light(8.6, 7.0, 2)
    street.traffic_light(24, 7.1, 2)
    street.traffic_light(9.2, -7.0, 2)
    for x in (11.5, 21):
        arrow(x, 4.95)
        arrow(x, 1.7)
    street.sign(12.5, -7.1, "blue")
    street.railings(12, 22, 6.95)
    street.railings(10, 22, -6.95)
    for x, side in ((16, -1), (28, 1), (46, -1), (64, 1), (88, -1)):
        street.lamp_post(x, side * 7.2, -side, 8.5)
    walkers(
        [
            (10.5, 8.4, 180, "2b3550", "23262b"),
            (16, 8.8, 0, "6e3a34", "20242c"),
            (17, 8.2, 0, "3d4a3a", "38332e"),
            (13, -8.2, 0, "83796a", "23262b"),
            (25, -8.4, 180, "22262b", "3a4250"),
        ]
    )
    kit.place(people.cyclist("2f5f8f", "23262b", "5a1d20"), 15.5, 6.05)
    kit.sky("a9c3df", "f0f2f3", "ffffff", 0.75, 1.0, 1.2)
    kit.sun(32, 150, 2.4, "fff3e2", size=6)
    covers([(7, -1.2), (15, 3.6), (19, -2.4)], [(9, -3.9, 30, -2.9), (5, 4.6, 7.5, 6.0)])
    through_windscreen(1.9, (30, 0.6, 2.5), 57)
    return 0.5
