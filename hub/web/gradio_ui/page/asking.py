"""What a demo's page asks: its inputs, its examples, and what other weights change about them."""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr

from hub.decoding import budget
from hub.decoding.decode import decode
from hub.errors import HubError, InputError
from hub.hub import Hub
from hub.pages.hints import Hint
from hub.pages.inputs import read_file
from hub.pages.registry import Page
from hub.spec import Choice, Choices, FileInput, ImageInput, Slider
from hub.texts import say, sentence
from hub.web.gradio_ui import fields
from hub.web.gradio_ui.blocks import draw, translate_options
from hub.web.gradio_ui.live import Live
from hub.web.gradio_ui.page.drawing import Drawing
from hub.web.parts import html
from hub.weights import facts as weights_facts

EXAMPLE_CLICK = """element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-example]');
  if (button) trigger('click', {example: Number(button.dataset.example)});
});"""


class Asking:
    """One page's inputs: draws them, and has values for them."""

    def __init__(self, hub: Hub, page: Page, drawing: Drawing | None = None):
        self.hub, self.page, self.demo = hub, page, page.demo
        self.drawing = drawing or Drawing(page.demo, None)
        self.names = [f.name for f in self.demo.inputs] + (["weights"] if len(self.demo.weights) > 1 else [])
        self.following = [  # inputs of which other weights have other options, or another default
            f for f in self.demo.inputs
            if (isinstance(f, Choice | Choices) and f.options_from) or (isinstance(f, Slider) and f.default_from)
        ]  # fmt: skip

    def draw_fields(self, names: Container[str], drawn: dict[str, Any], live: Live) -> None:
        """Draws what asks for these inputs, and adds it to `drawn`."""
        options = self.options(self.demo.weights[0].name if self.demo.weights else "")
        own = weights_facts.own_defaults(self.hub.weights, self.page)
        for field in self.demo.inputs:
            if field.name in names:
                if isinstance(field, Slider) and field.name in own:
                    field = replace(field, default=own[field.name])
                drawn[field.name] = fields.input_component(field, options.get(field.name))
                if isinstance(field, ImageInput) and live.wanted:
                    live.camera(field)
                if isinstance(field, ImageInput) and field.draw:
                    self.drawing.build(field)

    def draw_settings(self, asked: Collection[str], drawn: dict[str, Any], live: Live) -> list[Any]:
        """Draws the inputs that were not asked first, and the weights where there is a choice.

        Returns all of them in declared order.
        """
        more = {*self.demo.more} - {*asked}
        self.draw_fields({f.name for f in self.demo.inputs} - {*asked} - more, drawn, live)
        weights = fields.weights_choice(self.demo)
        if more:
            with gr.Accordion("More settings", open=False):
                self.draw_fields(more, drawn, live)
        return [drawn[f.name] for f in self.demo.inputs] + ([weights] if weights else [])

    def options(self, weights: str) -> dict[str, tuple[str, ...]]:
        return weights_facts.options(self.hub.weights, self.page, weights)

    def draw_examples(self) -> gr.HTML | None:
        if not self.demo.examples:
            return None
        return draw(partial(html.examples, self.page), js_on_load=EXAMPLE_CLICK)

    def adapt(self, weights: str, *values: Any) -> Any:
        """Other weights were chosen: their defaults, and their options with what was chosen before if they have it."""
        options, own, updates = (
            self.options(weights),
            weights_facts.own_defaults(self.hub.weights, self.page, weights),
            [],
        )
        for field, value in zip(self.following, values, strict=True):
            if isinstance(field, Slider):
                updates.append(gr.update(value=own.get(field.name, field.default)))
                continue
            options_now = options.get(field.name, field.options)
            if isinstance(field, Choices):
                value = [one for one in value or () if one in options_now]
            else:
                value = value if value in options_now else field.default
            updates.append(gr.update(choices=translate_options(options_now), value=value))
        return updates[0] if len(updates) == 1 else updates

    def find_missing(self, inputs: Mapping[str, Any]) -> InputError | None:
        """What to say of an input that the page cannot do without, by the name that stands above it."""
        for field in self.demo.inputs:
            if field.required and inputs.get(field.name) in (None, ""):
                text = "{name} is missing: write it first."
                if isinstance(field, Hint):
                    text = "{name} is missing: draw on the picture first."
                elif isinstance(field, FileInput):
                    text = "{name} is missing: choose one first."
                return InputError(text, name=sentence(field.label), field=field.name)
        return None

    def find_unreadable(self, hint: str | None, inputs: Mapping[str, Any]) -> InputError | None:
        """What is wrong with the picture that `hint` is to be drawn on: nobody can draw on one that is not shown."""
        on = next((field.on for field in self.demo.inputs if isinstance(field, Hint) and field.name == hint), None)
        picture = next((f for f in self.demo.inputs if isinstance(f, ImageInput) and f.name == on), None)
        try:
            if picture is not None and inputs.get(picture.name):
                data = read_file(picture, inputs[picture.name], self.hub.limits)
                with budget.room():
                    decode(data, self.hub.limits, field=picture.name)
        except InputError as error:
            return error
        except HubError:  # no room to look: what is missing is said then
            pass
        return None

    def pick(self, event: gr.EventData) -> Any:
        """Fills the inputs with an example's; what it leaves out goes back to its default."""
        number = event._data.get("example") if isinstance(event._data, dict) else None
        if not isinstance(number, int) or not 0 <= number < len(self.demo.examples):
            raise gr.Error(say("There is no such example; reload the page."), print_exception=False)
        values = self.example_values(number)
        return values[0] if len(values) == 1 else values

    def example_values(self, number: int) -> list[Any]:
        """An example as values of the inputs' components."""
        example = self.demo.examples[number].inputs
        values: list[Any] = []
        weights = str(example.get("weights", self.demo.weights[0].name if self.demo.weights else ""))
        options, usual = self.options(weights), weights_facts.defaults(self.hub.weights, self.page, weights)
        for field in self.demo.inputs:
            value = example.get(field.name, usual.get(field.name))
            if isinstance(field, FileInput) and value:
                value = str(self.page.assets / value)
            elif isinstance(field, Choices):
                value = list(value)
            if field.name in options:
                value = gr.update(choices=translate_options(options[field.name]), value=value)
            values.append(value)
        if "weights" in self.names:
            values.append(example.get("weights", self.demo.weights[0].name))
        return values
