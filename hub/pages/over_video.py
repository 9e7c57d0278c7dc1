"""The page that a page of pictures has over videos: what it takes, what it answers, and how answers become curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

from hub.errors import HubError, InputError
from hub.pages import inputs
from hub.spec import Demo, ImageInput, ImageOutput, Input, Json, Labels, OverVideo, Plot, VideoInput, VideoOutput

END = "_video"
VIDEO, CLIP, CURVE, AVERAGE = "video", "clip", "curve", "average"
SERIES_MOST = 12  # that a plot has
CURVE_KINDS = "a Labels output, or a Json table with a column that ends in percent"


def slug_of_videos(slug: str) -> str:
    return slug + END


def slug_of_pictures(slug: str) -> str:
    return slug.removesuffix(END)


def problems(demo: Demo) -> list[str]:
    """What is wrong with `Demo.video`, each with its fix."""
    video = demo.video
    if not isinstance(video, OverVideo):
        return [f"video must be an OverVideo or None, got {video!r}."]
    pictures = [f.name for f in demo.inputs if isinstance(f, ImageInput)]
    if len(pictures) != 1:
        return ["video is for a demo with one image input."]
    if any(isinstance(f, ImageInput) and f.draw for f in demo.inputs):
        return ["video is for a demo whose picture nobody draws on."]
    faults = []
    if VIDEO in {f.name for f in demo.inputs}:
        faults.append(f"video: the input {VIDEO!r} is what the page over videos takes; rename it.")
    names = [f.name for f in demo.outputs if isinstance(f, ImageOutput)]
    if video.picture and video.picture not in names:
        faults.append(f"video: picture={video.picture!r} is not an image output; there is: {names}.")
    if not any(f.name == video.curve and _has_shares(f) for f in demo.outputs):
        faults.append(f"video: curve={video.curve!r} is not {CURVE_KINDS}.")
    try:
        inputs.parameters(demo, video.defaults)
    except InputError as error:
        faults.append(f"video: defaults: {error.message}")
    return faults


def _has_shares(field: object) -> bool:
    return isinstance(field, Labels) or (isinstance(field, Json) and field.table)


def declare(demo: Demo) -> Demo:
    """The page over videos. Its model is that of the page over pictures, and so are its other inputs."""
    video = demo.video
    assert video is not None
    taken = VideoInput(VIDEO, "Video", max_seconds=video.max_seconds, rate=video.rate)
    others = tuple(_with_default(f, video.defaults) for f in demo.inputs if not isinstance(f, ImageInput))
    clip = (VideoOutput(CLIP, "Video with answers"),) if video.picture else ()
    return replace(
        demo,
        title=video.title,
        summary=video.summary,
        inputs=(taken, *others),
        outputs=(
            *clip,
            Plot(CURVE, "Over time", x="seconds", y="percent"),
            Json(AVERAGE, "Average of the frames", table=True),
        ),
        prepare=_by_frames,
        present=_by_frames,
        examples=video.examples,
        cover=video.examples[0].picture if video.examples else "",
        live={},
        similar=False,
        headline=None,
        video=None,
    )


def _with_default(field: Input, defaults: Mapping[str, Any]) -> Input:
    return replace(field, default=defaults[field.name]) if field.name in defaults else field


def _by_frames(*arguments: Any, **named: Any) -> NoReturn:
    """In the place of `prepare` and `present`: those of the page over pictures are called for each frame."""
    raise HubError("A page over videos works frame by frame; hub/execution/frames.py calls the page of its pictures.")


# --- answers --------------------------------------------------------------------------------------


def shares_of(demo: Demo, presented: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, str]]:
    """Percents by name in one frame's answer, and the colours that go with them."""
    assert demo.video is not None
    value = presented[demo.video.curve]
    if isinstance(value, Mapping):
        return {str(name): 100 * float(share) for name, share in value.items()}, {}
    shares, colours = dict[str, float](), dict[str, str]()
    for row in value:
        name = next((cell for key, cell in row.items() if isinstance(cell, str) and key != "colour"), "")
        share = next((cell for key, cell in row.items() if key.endswith("percent")), None)
        if name and isinstance(share, int | float) and row.get("shown", True):
            shares[name] = float(share)
            if isinstance(row.get("colour"), str):
                colours[name] = row["colour"]
    return shares, colours


def over_time(
    times: Sequence[float], frames: Sequence[Mapping[str, float]], colours: Mapping[str, str]
) -> dict[str, Any]:
    """The outputs `curve` and `average` of all frames' shares; what a frame does not have is 0 there."""
    names = dict.fromkeys(name for frame in frames for name in frame)
    average = {name: sum(frame.get(name, 0.0) for frame in frames) / len(frames) for name in names}
    ordered = sorted(names, key=lambda name: -average[name])
    drawn = ordered[:SERIES_MOST]
    return {
        CURVE: {
            "x": [round(at, 3) for at in times],
            "series": {name: [round(frame.get(name, 0.0), 2) for frame in frames] for name in drawn} or {"": []},
            "colours": {name: colours[name] for name in drawn if name in colours},
        },
        AVERAGE: [
            {
                **({"colour": colours[name]} if colours else {}),
                "name": name,
                "percent": round(average[name], 2),
                "lowest": round(min(frame.get(name, 0.0) for frame in frames), 2),
                "highest": round(max(frame.get(name, 0.0) for frame in frames), 2),
            }
            for name in ordered
        ],
    }
