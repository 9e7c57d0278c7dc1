"""A bare Gradio app with a page per demo, its models loaded at import: the usual app.py of a model zoo."""

from __future__ import annotations

import gradio as gr

from bench.baselines.components import input_component, output_component, runner
from bench.baselines.plain import demo_of, options, predictor

given = options()
predictors = {slug: predictor(slug, given) for slug in given.slugs}

with gr.Blocks(title="Models") as app:
    gr.Markdown("# Models\n" + "\n".join(f"- [{demo_of(slug).title}](/{slug})" for slug in predictors))
for slug, predict in predictors.items():
    demo = demo_of(slug)
    with app.route(demo.title, f"/{slug}"):
        gr.Markdown(f"# {demo.title}\n{demo.summary}")
        with gr.Row():
            with gr.Column():
                inputs = [input_component(field) for field in demo.inputs]
                button = gr.Button("Run", variant="primary")
            with gr.Column():
                outputs = [output_component(field) for field in demo.outputs]
        button.click(runner(demo, predict), inputs, outputs, api_name=slug)

if __name__ == "__main__":
    app.launch()
