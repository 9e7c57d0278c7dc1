"""The hub's look: a Gradio theme, and style.css for the hub's own pieces. The font is named as Gradio names it."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from hub.web.parts.pieces import piece, script

STYLE = Path(__file__).parents[1] / "style.css"
RADIUS = "10px"  # of every corner but those of boxes to tick, chips and bars; style.css has it, too
LAYOUT, SCRIPTS = "gradio/layout.css", ("gradio/page.js", "gradio/over.js", "files/boxes.js")
RELOADS = "gradio/reloads.js"


def head(*, reloads: bool = False) -> str:
    """What stands in the head of every page: scripts, and what stands where.

    `reloads`: a page looks whether its demo was written anew, and is then loaded again.
    """
    scripts = (*SCRIPTS, RELOADS) if reloads else SCRIPTS
    return piece("heads", "gradio", script(LAYOUT), [script(name) for name in scripts])


def make() -> gr.themes.Base:
    """Teal on warm greys, IBM Plex, soft corners; the same contrast in light and dark."""
    theme = gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        secondary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.Size("2px", "4px", *[RADIUS] * 5, name="one"),
        spacing_size=gr.themes.sizes.spacing_md,
        text_size=gr.themes.sizes.text_md,
        # Of these two weights the hub has smaller files in Gradio's place (gradio_door/routes.py).
        font=(gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "system-ui", "sans-serif"),
        font_mono=("ui-monospace", "monospace"),  # the machine's own: Gradio would load a font for every page
    )
    return theme.set(
        body_background_fill="#f6f7f9",
        body_background_fill_dark="#0b1120",
        body_text_color="*neutral_800",
        body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        background_fill_primary="white",
        background_fill_primary_dark="#111a2e",
        background_fill_secondary="*neutral_50",
        background_fill_secondary_dark="#0e1627",
        block_background_fill="white",
        block_background_fill_dark="#111a2e",
        block_border_color="*neutral_200",
        block_border_color_dark="#22304a",
        border_color_primary="*neutral_200",
        border_color_primary_dark="#22304a",
        block_border_width="1px",
        block_shadow="none",
        block_label_background_fill="white",
        block_label_background_fill_dark="#111a2e",
        checkbox_border_radius="4px",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_300",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_200",
        block_title_text_weight="600",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
        input_background_fill="white",
        input_background_fill_dark="#0e1627",
        input_border_width="1px",
        input_border_color="*neutral_300",
        input_border_color_dark="#334155",
        input_border_color_focus="*primary_700",
        input_border_color_focus_dark="*primary_400",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_500",
        button_primary_background_fill_hover_dark="*primary_400",
        button_primary_text_color="white",
        button_primary_text_color_dark="#06211e",
        button_large_text_weight="600",
        slider_color="*primary_700",
        slider_color_dark="*primary_400",
        link_text_color="*primary_800",
        link_text_color_dark="*primary_300",
        link_text_color_hover="*primary_700",
        link_text_color_hover_dark="*primary_200",
        link_text_color_visited="*primary_800",
        link_text_color_visited_dark="*primary_300",
    )
