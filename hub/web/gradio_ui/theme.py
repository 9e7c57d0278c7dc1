"""The hub's look: a Gradio theme, and style.css for the hub's own pieces. All fonts come with Gradio."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

STYLE = Path(__file__).parents[1] / "style.css"
OVER = Path(__file__).parents[1] / "templates" / "over.js"

# Runs once per page: names the tab after the demo; shows the result on a phone, where it is below the examples;
# on the home page, search filters the cards as people type; the links to other languages keep the address's values.
# An address with values fills the page in a moment after it is shown: a run asked for before waits for that.
# In another site's frame: tells its height (embed.js).
# That has its own bar and margins; Gradio would make the rules for it look inside its container only.
HEAD = """<meta name="color-scheme" content="light dark"><style>
.hub-framed .hub-bar { display: none !important; }
.hub-framed .gradio-container .main.fillable.app { max-width: none !important; padding: 0 !important; }
.hub-framed .gradio-container main.contain { padding: 4px 16px 20px !important; }
</style><script>
document.addEventListener("input", (event) => {
  const field = event.target.closest(".hub-search input");
  if (!field) return;
  const words = field.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let shown = 0;
  document.querySelectorAll(".hub-card").forEach((card) => {
    const match = words.every((word) => card.dataset.words.includes(word));
    card.hidden = !match;
    shown += match;
  });
  document.querySelector(".hub-none").hidden = shown > 0;
});
document.addEventListener("click", (event) => {
  if (window.innerWidth > 700 || !event.target.closest(".hub-run, [data-example]")) return;
  setTimeout(() => document.querySelector(".hub-status")?.scrollIntoView({behavior: "smooth", block: "start"}), 200);
});
document.addEventListener("click", (event) => {
  const link = event.target.closest(".hub-language");
  if (!link) return;
  event.preventDefault();
  const here = new URL(location.href);  // with the values that its address has
  here.searchParams.set("lang", link.lang);
  location.assign(here);
});
let early = null;
if (location.search) document.documentElement.classList.add("hub-filling");
function hubFilled() {
  document.documentElement.classList.remove("hub-filling");
  if (early) setTimeout((button) => button.click(), 100, early);
  early = null;
}
setTimeout(hubFilled, 30000);
for (const kind of ["click", "keydown"]) document.addEventListener(kind, (event) => {
  if (!document.documentElement.classList.contains("hub-filling")) return;
  const field = event.key === "Enter" && event.target.closest("input, textarea");
  const asked = kind === "click" ? event.target.closest(".hub-run") : field;
  if (!asked) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  early = document.querySelector(".hub-run");
}, true);
new MutationObserver((_, observer) => {
  const heading = document.querySelector(".hub-title h1");
  if (!heading) return;
  document.title = heading.textContent + " · Demo Hub";
  observer.disconnect();
}).observe(document.documentElement, {childList: true, subtree: true});
if (window.top !== window.self) {
  document.documentElement.classList.add("hub-framed");
  let told = 0;
  setInterval(() => {
    const main = document.querySelector(".gradio-container main");
    const height = main ? Math.ceil(main.getBoundingClientRect().bottom + window.scrollY) : 0;
    if (height && height !== told) window.parent.postMessage({demoHubHeight: told = height}, "*");
  }, 300);
}
</script>"""
HEAD += f"<script>{OVER.read_text(encoding='utf-8')}</script>"


def make() -> gr.themes.Base:
    """Teal on warm greys, IBM Plex, soft corners; the same contrast in light and dark."""
    theme = gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        secondary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_lg,
        spacing_size=gr.themes.sizes.spacing_md,
        text_size=gr.themes.sizes.text_md,
        # Gradio's copies of these two weights hold the whole alphabet; its semi-bold ones do not.
        font=(gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "system-ui", "sans-serif"),
        font_mono=(gr.themes.LocalFont("IBM Plex Mono", weights=(400, 700)), "ui-monospace", "monospace"),
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
