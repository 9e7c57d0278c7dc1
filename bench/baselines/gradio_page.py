"""A bare Gradio app with one page: gr.Interface around the same function, defaults everywhere."""

from __future__ import annotations

import gradio as gr

from bench.baselines.components import input_component, output_component, runner
from bench.baselines.plain import demo_of, options, predictor

given = options()
(slug,) = given.slugs
demo = demo_of(slug)

app = gr.Interface(
    runner(demo, predictor(slug, given)),
    [input_component(field) for field in demo.inputs],
    [output_component(field) for field in demo.outputs],
    title=demo.title,
    description=demo.summary,
    api_name=slug,
)

if __name__ == "__main__":
    app.launch()
