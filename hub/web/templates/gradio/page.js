// Runs once per page: names the tab after the demo; shows the result on a phone, where it is below the examples;
// on the home page, search filters the cards as people type; the links to other languages keep the address's values.
// An address with values fills the page in a moment after it is shown: a run asked for before waits for that.
// In another site's frame: tells its height (embed.js).
document.addEventListener("input", (event) => {
  const field = event.target.closest(".hub-search input");
  if (!field) return;
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
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
document.addEventListener("click", (event) => {
  const heading = event.target.closest(".hub-skip") && document.querySelector(".hub-hero h1, .hub-title h1");
  if (!heading) return;
  event.preventDefault();  // Gradio's pages have a base address, by which a place in this page is one in another
  heading.tabIndex = -1;
  heading.focus();
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
