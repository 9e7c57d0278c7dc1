"""What a `Plot` output holds: checked numbers, and the same drawn by Matplotlib for light and dark pages, or as SVG."""

from __future__ import annotations

import csv
import io
import math
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from hub.results.boxes import COLOURS, one_line
from hub.results.result import Picture
from hub.spec import Plot
from hub.texts import Sentence, say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Theme = Literal["light", "dark"]
SERIES_MOST, POINTS_MOST, TEXT_CHARS = 12, 2000, 60
COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
INCHES, DPI = (5.2, 3.3), 220
# Words, lines, and what is behind them, as on the hub's pages.
THEMES: dict[Theme, tuple[str, str, str]] = {
    "light": ("#1e293b", "#cbd5e1", "#ffffff"),
    "dark": ("#e9eef5", "#3b4a66", "#131c31"),
}
CONTRAST = 2.4  # of what is drawn to the background, at least
_DRAWING = threading.Lock()  # Matplotlib's fonts and texts are shared by all threads. Taken alone


@dataclass(frozen=True, slots=True)
class Looks:
    """How a plot is drawn: its axes' words, and bars or lines."""

    x: str
    y: str
    bars: bool

    @classmethod
    def of(cls, field: Plot) -> Looks:
        return cls(field.x, field.y, field.bars)


def read(value: Any, bars: bool) -> dict[str, Any]:
    """A plot's data as a page gives it, checked. Raises TypeError or ValueError that says what is wrong."""
    if not isinstance(value, Mapping) or not {"x", "series"} <= set(value) <= {"x", "series", "colours"}:
        raise TypeError('{"x": [...], "series": {name: [...]}} is wanted, and "colours" where there are any')
    x, series, colours = value["x"], value["series"], value.get("colours", {})
    if not isinstance(x, Sequence) or isinstance(x, str) or not isinstance(series, Mapping) or not series:
        raise TypeError("x is a list, and series a dict of at least one list by name")
    if len(x) > POINTS_MOST or len(series) > SERIES_MOST:
        raise ValueError(f"{len(series)} series of {len(x)} points; at most {SERIES_MOST} of {POINTS_MOST} are drawn")
    places = [_text(one) for one in x] if bars else [_number(one) for one in x]
    if None in places:
        raise ValueError("x has a gap")
    if any(not isinstance(points, Sequence) or len(points) != len(x) for points in series.values()):
        raise ValueError("each series must have as many points as x")
    wrong = [colour for colour in colours.values() if not isinstance(colour, str) or not COLOUR.fullmatch(colour)]
    if wrong:
        raise ValueError(f"the colour {wrong[0]!r} is not #rrggbb")
    names = {name: _text(name) for name in series}
    chosen = {name: colours.get(name, COLOURS[n % len(COLOURS)]) for n, name in enumerate(series)}
    return {
        "x": places,
        "series": {names[name]: [_number(one) for one in points] for name, points in series.items()},
        "colours": {names[name]: colour for name, colour in chosen.items()},
    }


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a name is text, got a {type(value).__name__}")
    return value if isinstance(value, Sentence) else one_line(value)[:TEXT_CHARS]


def _number(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} is no number that can be drawn; None is a gap")
    return round(number, 6)


def to_csv(data: Mapping[str, Any], looks: Looks) -> str:
    """One row for each place, one column for each series."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow([_cell(looks.x or "x"), *map(_cell, data["series"])])
    for number, place in enumerate(data["x"]):
        writer.writerow([_cell(place), *(points[number] for points in data["series"].values())])
    return file.getvalue()


def _cell(value: Any) -> Any:
    """What a spreadsheet would take for a formula gets an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value


def pictures(data: Mapping[str, Any], looks: Looks) -> tuple[Picture, Picture]:
    """As PNG for light pages and for dark ones."""
    return _png(data, looks, "light"), _png(data, looks, "dark")


def _png(data: Mapping[str, Any], looks: Looks, theme: Theme) -> Picture:
    file = io.BytesIO()
    with _DRAWING:
        figure = _figure(data, looks, theme)
        figure.savefig(file, format="png", dpi=DPI, facecolor=THEMES[theme][2], metadata={"Software": None})
    return Picture(file.getvalue(), "image/png", round(INCHES[0] * DPI), round(INCHES[1] * DPI))


def to_svg(data: Mapping[str, Any], looks: Looks, theme: Theme = "light") -> bytes:
    """As SVG, its letters as shapes."""
    import matplotlib

    file = io.BytesIO()
    with _DRAWING, matplotlib.rc_context({"svg.hashsalt": "hub"}):
        metadata = {"Date": None, "Creator": None}
        _figure(data, looks, theme).savefig(file, format="svg", facecolor=THEMES[theme][2], metadata=metadata)
    return file.getvalue()


def _figure(data: Mapping[str, Any], looks: Looks, theme: Theme) -> Figure:
    from matplotlib.figure import Figure  # without pyplot, which keeps every figure

    ink, line, ground = THEMES[theme]
    figure = Figure(figsize=INCHES, layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor(ground)
    (_draw_bars if looks.bars else _draw_lines)(axes, data, theme)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(line)
    axes.grid(axis="y", color=line, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=ink, labelsize=8.5, length=0)
    axes.set_xlabel(_plain(say(looks.x)), color=ink, fontsize=9)
    axes.set_ylabel(_plain(say(looks.y)), color=ink, fontsize=9)
    if len(data["series"]) > 1:
        handles, names = axes.get_legend_handles_labels()
        figure.legend(
            handles, names, loc="outside lower center", ncols=min(4, len(names)), frameon=False, fontsize=8.5,
            labelcolor=ink, handlelength=1.2, columnspacing=1.2,
        )  # fmt: skip
    return figure


def _draw_lines(axes: Axes, data: Mapping[str, Any], theme: Theme) -> None:
    x = [float(one) for one in data["x"]]
    for name, points in data["series"].items():
        y = [math.nan if one is None else one for one in points]
        colour = _visible(data["colours"][name], theme)
        marker = "o" if len(x) == 1 else ""
        axes.plot(x, y, label=_plain(say(name)), color=colour, linewidth=1.8, marker=marker)
    low = min((one for points in data["series"].values() for one in points if one is not None), default=0)
    if low >= 0:
        axes.set_ylim(bottom=0)
    axes.margins(x=0.01)


def _draw_bars(axes: Axes, data: Mapping[str, Any], theme: Theme) -> None:
    width = 0.8 / len(data["series"])
    for number, (name, points) in enumerate(data["series"].items()):
        places = [place - 0.4 + width * (number + 0.5) for place in range(len(points))]
        colour = _visible(data["colours"][name], theme)
        axes.bar(places, [one or 0 for one in points], width, label=_plain(say(name)), color=colour)
    axes.set_xticks(range(len(data["x"])), [_plain(say(one)) for one in data["x"]])
    if sum(map(len, data["x"])) > 40:
        axes.tick_params(axis="x", rotation=30)


def _plain(text: str) -> str:
    """A text that Matplotlib takes for no formula, nor a label that it leaves out."""
    text = text.replace("$", r"\$")
    return f"\u200b{text}" if text.startswith("_") else text


def _visible(colour: str, theme: Theme) -> str:
    """The colour, mixed with that of the words until it stands out from the background."""
    own, ink, ground = map(_channels, (colour, *THEMES[theme][::2]))
    share = 0.0
    while _contrast(mixed := _mix(own, ink, share), ground) < CONTRAST and share < 1:
        share += 0.1
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def _mix(a: Sequence[int], b: Sequence[int], share: float) -> list[int]:
    return [round(one + (other - one) * min(1.0, share)) for one, other in zip(a, b, strict=True)]


def _contrast(a: Sequence[int], b: Sequence[int]) -> float:
    """As WCAG has it, near enough: 1 for the same light, 21 for black on white."""
    light, dark = sorted((_light(a), _light(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _light(channels: Sequence[int]) -> float:
    red, green, blue = (math.pow(channel / 255, 2.2) for channel in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
