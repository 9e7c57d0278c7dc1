"""What pages open with: the first example's answer, made while nobody waits; and what a page asks for first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hub.hub import Hub
from hub.pages import kinds
from hub.spec import Example, ImageInput, Slider
from tests.fakes import Calls, counting_demo, shade_demo, wait_until

EXAMPLES = (Example({"number": 3}, title="Three"), Example({"number": 4}, title="Four"))


def test_the_first_example_is_answered_once_in_idle_time_and_is_nobodys_run(make_hub: Callable[..., Hub]) -> None:
    calls = Calls()
    hub = make_hub(doubler=counting_demo(calls, examples=EXAMPLES))
    page = hub.registry.get("doubler")
    assert hub.first_answers.get(page) is None, "no visitor waits for it"
    wait_until(lambda: hub.first_answers.get(page) is not None, "the example is answered")
    assert hub.first_answers.get(page) == hub.first_answers.get(page)
    assert calls.batches == [1]


def test_an_example_that_fails_is_not_tried_again(make_hub: Callable[..., Hub]) -> None:
    tries = list[int]()

    def prepare(number: int, shown: float, seed: int) -> Any:
        tries.append(number)
        raise ValueError("no")

    hub = make_hub(doubler=counting_demo(Calls(), prepare=prepare, examples=EXAMPLES))
    page = hub.registry.get("doubler")
    assert hub.first_answers.get(page) is None
    wait_until(lambda: bool(tries), "it is tried")
    wait_until(lambda: hub.first_answers._thread is None, "the thread ends")
    assert hub.first_answers.get(page) is None and hub.first_answers._thread is None
    assert tries == [3]


@pytest.mark.parametrize("examples", [(), EXAMPLES])
def test_nothing_is_run_without_an_example_or_once_the_hub_closes(
    make_hub: Callable[..., Hub], examples: tuple[Example, ...]
) -> None:
    calls = Calls()
    hub = make_hub(doubler=counting_demo(calls, examples=examples))
    if examples:
        hub.first_answers.close()
    assert hub.first_answers.get(hub.registry.get("doubler")) is None
    assert hub.first_answers._thread is None and not calls.batches


def test_a_page_asks_first_for_what_a_run_needs_and_runs_at_once_with_one_picture() -> None:
    shade = shade_demo()
    assert kinds.asked_first(shade) == ["image"] and kinds.runs_at_once(shade)
    free = counting_demo(Calls(), more=("shown",))
    assert kinds.asked_first(free) == ["number", "seed"] and not kinds.runs_at_once(free)
    two = shade_demo(
        inputs=(ImageInput("image", "Photo"), ImageInput("other", "Other"), Slider("level", "L", 0, 1, 0, 1))
    )
    assert kinds.asked_first(two) == ["image", "other"] and not kinds.runs_at_once(two)
    assert not kinds.runs_at_once(shade_demo(infer=lambda model, items: (yield)))
