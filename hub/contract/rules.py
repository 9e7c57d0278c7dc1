"""The rules that `demo-hub check` holds one page to. Each returns a few words on what was tried, or raises.

What a rule raises, of whatever kind, is what is wrong with the page: none of it is caught here.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from hub.contract.answers import BrokenError, check, check_outputs, compare
from hub.contract.inputs import SHAPES, bad_values, opened, picture, quick_inputs, usual_inputs
from hub.contract.parts import Parts, fingerprint
from hub.errors import HubError, InputError
from hub.execution import devices
from hub.execution.batching import signature
from hub.hub import Hub
from hub.pages import inputs, kinds, outputs
from hub.pages.hints import picture_of
from hub.pages.registry import Page
from hub.results.result import Result
from hub.settings import CODE
from hub.spec import Demo, ImageInput

HEAVY = ("torch", "torchvision", "timm", "transformers", "diffusers", "gradio", "streamlit", "cv2", "matplotlib")
IMPORT = """import importlib.util, sys, time
begin = time.perf_counter()
spec = importlib.util.spec_from_file_location("page", sys.argv[1])
spec.loader.exec_module(importlib.util.module_from_spec(spec))
print(round((time.perf_counter() - begin) * 1000), *(n for n in sys.argv[2:] if n in sys.modules))
"""
IMPORT_S = 60.0


@dataclass
class Case:
    """One page in a hub of its own, and what was learnt of it on the way."""

    hub: Hub
    page: Page
    weights: str | None  # None: the page has none
    results: list[Result] = field(default_factory=list)

    @property
    def demo(self) -> Demo:
        return self.page.demo

    @cached_property
    def parts(self) -> Parts:
        """The functions with a model in single precision on the CPU, where answers are compared."""
        return Parts(self.hub, self.page.slug, self.weights, "float32")

    def run(self, values: Mapping[str, Any]) -> Result:
        """One run as any door has it, whose answer is looked at."""
        named = {"weights": self.weights} if self.weights and len(self.demo.weights) > 1 else {}
        result = self.hub.engine.run(self.page.slug, {**values, **named})
        decoded = opened(self.demo, inputs.read(self.demo, values, None, self.config_of))
        check_outputs(
            self.demo,
            result,
            {
                name: picture_of(value).size
                for name, value in decoded.items()
                if isinstance(picture_of(value), Image.Image)
            },
        )
        self.results.append(result)
        return result

    def config_of(self, weights: str) -> Mapping[str, Any]:
        """The config.json of weights."""
        return self.hub.weights.find(weights).config


Rule = Callable[[Case], str]


def importing_is_free(case: Case) -> str:
    """A hub lists a hundred pages without loading what they need."""
    path = Path(case.page.source)
    if not path.is_file():
        return "an installed page: not looked at"
    command = [sys.executable, "-c", IMPORT, str(path.resolve()), *HEAVY]
    done = subprocess.run(command, capture_output=True, text=True, timeout=IMPORT_S, cwd=CODE.parent, check=False)
    check(done.returncode == 0, (done.stderr.strip().splitlines() or ["it ends at once"])[-1])
    took_ms, *heavy = done.stdout.split()
    check(not heavy, f"importing the file imports {', '.join(heavy)}: put that inside of the functions that need it")
    return f"{took_ms} ms"


def wrong_inputs_are_refused(case: Case) -> str:
    """By the name of the field, in words, before the model runs."""
    count = 0
    for one in case.demo.inputs:
        for bad in bad_values(one):
            values = {**usual_inputs(case.demo), one.name: bad}
            try:
                opened(case.demo, inputs.read(case.demo, values, None, case.config_of))
            except InputError as error:
                check(error.field == one.name, f"{one.name} = {bad!r:.60} is refused as {error.field!r}")
                count += 1
            else:
                raise BrokenError(f"{one.name} = {bad!r:.60} is not refused")
    return f"{count} of them"


def examples_run(case: Case) -> str:
    """Every example, with what live frames have."""
    files = kinds.file_inputs(case.demo)
    for example in case.demo.examples:
        values = {n: case.page.assets / str(v) if n in files else v for n, v in example.inputs.items()}
        if case.weights in (None, values.pop("weights", case.weights)):
            case.run(values)
    return f"{len(case.demo.examples)} of them" if case.demo.examples else "there are none"


def pictures_of_all_kinds_work(case: Case) -> str:
    """Tiny ones, strips, grey ones, such with transparency."""
    if not any(isinstance(one, ImageInput) for one in case.demo.inputs):
        case.run(quick_inputs(case.demo))
        return "it takes none"
    for make in SHAPES.values():
        case.run(quick_inputs(case.demo, make()))
    return ", ".join(SHAPES)


def functions_are_pure(case: Case) -> str:
    """`prepare` and `present` write into nothing that they get, and say the same twice."""
    parts, values = case.parts, case.parts.values()
    before = fingerprint(values)
    items = [parts.call("prepare", **values) for _ in range(2)]
    check(outputs.digest(items[0]) == outputs.digest(items[1]), "prepare returns something else the second time")
    (output,) = parts.infer(items[:1])
    digest = outputs.digest(output)
    encoded = [
        outputs.encode(case.page.slug, case.demo, parts.split(parts.call("present", output, **values))[0])
        for _ in range(2)
    ]
    check(fingerprint(values) == before, "prepare or present writes into its inputs: make a copy")
    check(outputs.digest(output) == digest, "present writes into what infer returned: make a copy")
    check(encoded[0] == encoded[1], "present returns something else the second time")
    return ""


def batches_answer_as_single_runs(case: Case) -> str:
    """Requests that come together share a pass of the model, so that must change nothing."""
    parts = case.parts
    requests = [parts.values(seed) for seed in range(3)]
    items = [parts.call("prepare", **values) for values in requests]
    kinds = {repr(signature(item)) for item in items}
    check(len(kinds) == 1, f"equal pictures give items of different shapes, which never share a batch: {kinds}")
    for values, item, together in zip(requests, items, parts.infer(items), strict=True):
        (alone,) = parts.infer([item])
        compare(case.demo, "float32", *(parts.call("present", output, **values) for output in (alone, together)))
    return f"{len(items)} together"


def the_model_says_how_large_it_is(case: Case) -> str:
    """Else the hub cannot tell how many fit into memory."""
    size = devices.model_bytes(case.parts.model)
    check(size > 0 or not case.demo.weights, "load returns no torch module, and nothing that holds one")
    return f"{size / 1e6:.1f} MB" if size else "it has none"


def equal_runs_give_equal_answers(case: Case) -> str:
    """Anybody's answer can be made again."""
    parts, values = case.parts, case.parts.values()
    both = [parts.infer([parts.call("prepare", **values)])[0] for _ in range(2)]
    compare(case.demo, "float32", *(parts.call("present", output, **values) for output in both))
    return ""


RULES: Mapping[str, Rule] = {
    "Importing the file is free": importing_is_free,
    "Wrong inputs are refused": wrong_inputs_are_refused,
    "Every example runs": examples_run,
    "Pictures of all kinds work": pictures_of_all_kinds_work,
    "prepare and present are pure": functions_are_pure,
    "A batch answers as single runs do": batches_answer_as_single_runs,
    "Equal runs give equal answers": equal_runs_give_equal_answers,
    "The model says how large it is": the_model_says_how_large_it_is,
}


def run_alone(case: Case) -> Result | None:
    """A run as people wait for it: the model is there, nothing of the answer is. None: it fails, as a rule has told."""
    try:
        return case.run(quick_inputs(case.demo, picture(640, 480, seed=1)))
    except (HubError, BrokenError):
        return None
