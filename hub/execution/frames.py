"""A page of pictures over a video: each frame goes to the model as a picture does, in batches with everybody else's."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from hub.decoding.played.video import IN_WORK, Clip
from hub.execution.batching import Outcome
from hub.images import shrink
from hub.pages import outputs, over_video
from hub.pages.calls import call
from hub.results.videos import Writer
from hub.spec import Demo, ImageInput, Progress
from hub.texts import Sentence

AT_ONCE = IN_WORK - 2  # frames on their way to the model: it is never without work, and others' pictures get between
PREVIEW_PX, PREVIEW_GAP_S = 480, 0.25


@dataclass(frozen=True, slots=True)
class Answered:
    """One frame's answer."""

    frame: Image.Image
    presented: Mapping[str, Any]
    remarks: list[Sentence]
    outcome: Outcome
    prepare_ms: float
    present_ms: float


@dataclass(frozen=True, slots=True)
class OverFrames:
    """What came of a video."""

    presented: dict[str, Any]
    remarks: list[Sentence]
    outcome: Outcome
    prepare_ms: float
    present_ms: float


class FrameRun:
    """One video on its way. `submit` takes a frame's item to the model; `check` raises where nobody waits any more."""

    def __init__(
        self,
        demo: Demo,
        config: Mapping[str, Any] | None,
        submit: Callable[[Any], Outcome],
        tell: Callable[[Progress], object],
        check: Callable[[], object],
    ):
        self.demo, self.config, self.submit, self.tell, self.check = demo, config, submit, tell, check
        assert demo.video is not None
        self.video = demo.video
        self.image = next(f.name for f in demo.inputs if isinstance(f, ImageInput))
        self.times, self.shares = list[float](), list[dict[str, float]]()
        self.colours, self.remarks = dict[str, str](), dict[Sentence, None]()
        self.outcomes, self.prepare_ms, self.present_ms = list[Outcome](), 0.0, 0.0
        self.begin = self.shown_at = time.monotonic()

    def run(self, clip: Clip, settings: Mapping[str, Any]) -> OverFrames:
        """All frames, in order. Raises HubError."""
        writer = Writer(min(clip.rate, max(0.1, clip.count / max(clip.seconds, 0.1)))) if self.video.picture else None
        waiting: deque[tuple[float, Future[Answered]]] = deque()
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="frames") as threads:
            try:
                for at, frame in clip.frames():
                    self.check()
                    one = threads.submit(copy_context().run, self._answer, frame, settings)
                    waiting.append((at, one))
                    if len(waiting) >= AT_ONCE:
                        self._take(*waiting.popleft(), writer, clip.count)
                while waiting:
                    self.check()
                    self._take(*waiting.popleft(), writer, clip.count)
                presented = over_video.over_time(self.times, self.shares, self.colours)
                if writer is not None:
                    presented[over_video.CLIP] = writer.finish()
            finally:
                for _, one in waiting:
                    one.cancel()
                if writer is not None:
                    writer.close()
        return OverFrames(presented, [*self.remarks], self._outcome(), self.prepare_ms, self.present_ms)

    def _answer(self, frame: Image.Image, settings: Mapping[str, Any]) -> Answered:
        """In a thread: the way of a picture."""
        begin, values = time.perf_counter(), {**settings, self.image: frame}
        item = call(self.demo.prepare, self.config, **values)
        prepared = time.perf_counter()
        outcome = self.submit(item)
        answered = time.perf_counter()
        presented, remarks = outputs.split(self.demo, call(self.demo.present, self.config, outcome.output, **values))
        outcome = replace(outcome, output=None)
        end = time.perf_counter()
        return Answered(frame, presented, remarks, outcome, (prepared - begin) * 1000, (end - answered) * 1000)

    def _take(self, at: float, one: Future[Answered], writer: Writer | None, count: int) -> None:
        """Adds a frame's answer to what there is of the whole, and tells how far it is."""
        answer = one.result()
        shares, colours = over_video.shares_of(self.demo, answer.presented)
        self.times.append(at)
        self.shares.append(shares)
        self.colours |= colours
        self.remarks |= dict.fromkeys(answer.remarks)
        self.outcomes.append(answer.outcome)
        self.prepare_ms, self.present_ms = self.prepare_ms + answer.prepare_ms, self.present_ms + answer.present_ms
        picture = answer.frame
        if self.video.picture:
            drawn = answer.presented[self.video.picture]
            picture = drawn[0] if isinstance(drawn, tuple) else drawn
        if writer is not None:
            writer.add(picture)
        self._tell(picture, count)

    def _tell(self, picture: Image.Image, count: int) -> None:
        done, now = len(self.times), time.monotonic()
        if done == 1:
            self.begin = now  # the model has come by now
        if now - self.shown_at < PREVIEW_GAP_S and 1 < done < count:
            return
        self.shown_at = now
        left_s = (now - self.begin) / (done - 1) * max(0, count - done) if done > 1 else None
        self.tell(Progress(done, max(count, done), (shrink(picture, PREVIEW_PX),), left_s))

    def _outcome(self) -> Outcome:
        """What all frames' passes took."""
        outcomes = self.outcomes
        return Outcome(
            None,
            queue_ms=outcomes[0].queue_ms,
            load_ms=max(one.load_ms for one in outcomes),
            infer_ms=sum(one.infer_ms / max(1, one.batch_size) for one in outcomes),
            cold=any(one.cold for one in outcomes),
            batch_size=max(one.batch_size for one in outcomes),
            backend=outcomes[-1].backend,
        )
