"""A bare Gradio app with one page: gr.Interface around the same function, defaults everywhere."""

from __future__ import annotations

from typing import Any

import gradio as gr

from bench.baselines.components import input_component, output_component
from bench.baselines.plain import demo_of, options, predictor

given = options()
(slug,) = given.slugs
demo = demo_of(slug)
predict = predictor(slug, given)


def run(*values: Any) -> Any:
    shown = predict(**{field.name: value for field, value in zip(demo.inputs, values, strict=True)})
    answers = [shown[field.name] for field in demo.outputs]
    return answers if len(answers) > 1 else answers[0]


app = gr.Interface(
    run,
    [input_component(field) for field in demo.inputs],
    [output_component(field) for field in demo.outputs],
    title=demo.title,
    description=demo.summary,
    api_name=slug,
)

if __name__ == "__main__":
    app.launch()
