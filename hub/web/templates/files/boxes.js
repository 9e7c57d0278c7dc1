// Boxes over a picture: those with a score below the slider's are hidden. Nothing is asked of the hub.
document.addEventListener("input", (event) => {
  const slider = event.target.closest(".hub-boxes-least input");
  if (!slider) return;
  const root = slider.closest(".hub-boxes"), status = root.querySelector(".hub-boxes-least [role=status]");
  const least = slider.value / 100, counts = new Map();
  let shown = 0;
  for (const part of root.querySelectorAll("[data-score]")) {
    part.hidden = Number(part.dataset.score) < least;
    if (part.hidden || !part.dataset.of) continue;
    shown += 1;
    counts.set(part.dataset.of, (counts.get(part.dataset.of) ?? 0) + 1);
  }
  for (const entry of root.querySelectorAll(".hub-boxes-legend [data-of]")) {
    const count = counts.get(entry.dataset.of) ?? 0;
    entry.querySelector("b").textContent = count;
    entry.classList.toggle("hub-off", !count);
  }
  slider.parentElement.querySelector("output").textContent = `${slider.value}\u00a0%`;
  const count = root.querySelectorAll(".hub-box").length;
  status.textContent = status.dataset.words.replace("{shown}", shown).replace("{count}", count);
});
