// What is read aloud of pictures. A picture laid over another: its handle is reached and moved by keyboard and read aloud, and both pictures have words.
// Gradio's handle knows the mouse only, so a key presses it where it is to be.
(() => {
  const STEPS = {ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10, Home: -100, End: 100};

  // Where the picture lies, in px of the window: it may be narrower than its frame.
  function span(handle) {
    const frame = handle.parentElement.getBoundingClientRect(), image = handle.parentElement.querySelector("img");
    const whole = (frame.height * image.naturalWidth) / image.naturalHeight;
    const width = Math.min(frame.width, whole || frame.width);
    return {frame, left: frame.left + (frame.width - width) / 2, width};
  }

  function at(handle) {
    const {frame, left, width} = span(handle);
    const share = (frame.left + new DOMMatrix(handle.style.transform).m41 - left) / width;
    return Math.round(100 * Math.min(Math.max(share || 0, 0), 1));
  }

  function tell(handle) {
    handle.setAttribute("aria-valuenow", at(handle));
    handle.setAttribute("aria-valuetext", `${at(handle)} %`);
  }

  function move(event) {
    const step = STEPS[event.key], handle = event.currentTarget;
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const {frame, left, width} = span(handle);
    const share = Math.min(Math.max(at(handle) + step, 0), 100) / 100;
    const there = {clientX: left + share * width, clientY: frame.top + frame.height / 2};
    for (const [type, target] of [["mousedown", handle], ["mouseup", window]])
      target.dispatchEvent(new MouseEvent(type, {...there, view: window, bubbles: true, cancelable: true}));
  }

  function begin(handle) {
    for (const [name, value] of [["role", "slider"], ["tabindex", 0], ["aria-valuemin", 0], ["aria-valuemax", 100]])
      handle.setAttribute(name, value);
    handle.addEventListener("keydown", move);
    new MutationObserver(() => tell(handle)).observe(handle, {attributes: true, attributeFilter: ["style"]});
    tell(handle);
  }

  const label = (block) => block?.querySelector("[data-testid=block-label]")?.textContent.trim() ?? "";

  // What the left and the right picture are: two answers that are compared, or an input and its answer.
  function words(block) {
    const sides = block.previousElementSibling?.querySelectorAll(".hub-sides > .hub-side") ?? [];
    if (sides.length === 2) return [...sides].map((side) => side.textContent.trim());
    const input = [...block.classList].find((name) => name.startsWith("hub-over-"));
    return [input ? label(document.querySelector(input.replace("hub-over-", ".hub-field-"))) : "", label(block)];
  }

  new MutationObserver(() => {
    // A caption that stands on a picture's button is read once.
    for (const image of document.querySelectorAll(".grid-wrap button img"))
      if (image.alt && image.closest("button").textContent.trim() === image.alt.trim()) image.alt = "";
    // A table wider than its panel is scrolled by keyboard, too.
    for (const panel of document.querySelectorAll(".hub-answers .hub-panel:has(table):not([tabindex])"))
      if (panel.scrollWidth > panel.clientWidth) panel.tabIndex = 0;
    for (const wrap of document.querySelectorAll(".slider-wrap")) {
      const said = words(wrap.closest(".block")), handle = wrap.querySelector("[data-testid=slider]");
      wrap.querySelectorAll("img").forEach((image, side) => { image.alt = said[side] ?? ""; });
      if (!handle) continue;
      handle.setAttribute("aria-label", said.filter(Boolean).join(" | "));
      if (!handle.hasAttribute("role") || handle.getAttribute("role") === "none") begin(handle);
    }
  }).observe(document.documentElement, {childList: true, subtree: true});
})();
