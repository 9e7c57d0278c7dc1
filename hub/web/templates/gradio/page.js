// Runs once per page: names the tab after the demo; brings the answer into view;
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
// Any file that is chosen for a picture, video or sound is sent: the hub says in its own words what it cannot read, and reads kinds that
// browsers have no name for, such as HEIC. Gradio would turn them away with a notice of its own.
for (const kind of ["change", "drop"]) document.addEventListener(kind, (event) => {
  const place = event.target.closest?.("[class*='hub-field-']"), carrier = kind === "drop" ? event.dataTransfer : event.target;
  const files = place && carrier?.files ? [...carrier.files] : [], family = place?.className.match(/hub-takes-(\w+)/)?.[1] ?? "image";
  const fits = (file) => file.type.startsWith(`${family}/`);
  if (!files.length || files.every(fits)) return;
  const renamed = new DataTransfer();
  for (const file of files) renamed.items.add(new File([file], file.name, {type: fits(file) ? file.type : `${family}/unknown`}));
  if (kind === "change") { carrier.files = renamed.files; return; }
  event.preventDefault();
  event.stopImmediatePropagation();
  event.target.dispatchEvent(new DragEvent("drop", {dataTransfer: renamed, bubbles: true, cancelable: true}));
}, true);
// A picture that the browser cannot show leaves its place empty, without a torn page as its sign.
for (const kind of ["error", "load"]) document.addEventListener(kind, (event) => {
  if (event.target.matches?.("[class*='hub-field-'] img")) event.target.style.visibility = kind === "error" ? "hidden" : "";
}, true);
// The answer is brought into view where it is not: after Run, an example or a new picture; in a narrow window, where
// settings are below the answer, after another choice too, and never while a slider is moved.
let asked = 0, before = "";  // when a run was asked for last, and what the status said then; 0: its answer is there
let followed = 0;  // the same until somebody does something else: a page that grows shorter stops a scroll, which goes on then
const statusNow = () => document.querySelector(".hub-answers .hub-status")?.outerHTML ?? "";
// Where an answer brings or takes a picture, Gradio takes the title and the examples away for a moment: their places stay.
let kept = [];
function keep(yes) {
  for (const part of kept) part.style.minHeight = "";
  kept = yes ? [...document.querySelectorAll(".block:has(.hub-title, .hub-examples)")] : [];
  for (const part of kept) part.style.minHeight = `${part.offsetHeight}px`;
}
function ask() {
  asked = followed = Date.now();
  before = statusNow();
  release();
  keep(true);
  setTimeout(bringIntoView, 700, asked);  // an equal answer changes nothing that could be noticed
}
// In a frame of its own, after a jump: then nothing moves in view.
const later = (act) => requestAnimationFrame(() => requestAnimationFrame(act));
function bringIntoView(of) {
  const answers = document.querySelector(".hub-answers");
  if (of !== asked && of !== followed || !answers?.querySelector(".hub-busy, .hub-done, .hub-error")) return;
  const {top} = answers.getBoundingClientRect();
  // After a choice below the answer the page jumps, as what is between grows and shrinks meanwhile.
  const jumps = followed && document.documentElement.classList.contains("hub-chosen");
  const behavior = jumps || matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth";
  if (top < -1 || top > window.innerHeight / 3) answers.scrollIntoView({behavior, block: "start"});
  if (jumps) later(() => hold(false));
}
for (const kind of ["wheel", "touchmove", "pointerdown", "keydown"]) {
  document.addEventListener(kind, () => { followed = 0; }, {passive: true, capture: true});  // before what asks, below
}
// `then` once the page's parts have kept their height for a while, at the latest after so many ms.
function whenStill(most, then) {
  let last = "", same = 0, waited = 0;
  const timer = setInterval(() => {
    const parts = document.querySelectorAll(".hub-title, .hub-stage > *, .hub-stage > * > *, .hub-answers > *");
    const now = [...parts].map((part) => part.offsetHeight).join();
    const comes = document.querySelector("gradio-app .loading") || document.querySelector(".hub-answers .hub-picture:not(:has(img))")
      || [...document.querySelectorAll(".hub-answers img")].some((image) => !image.complete);
    same = now === last && !comes ? same + 1 : 0;
    last = now;
    waited += 50;
    if (same < 5 && waited < most) return;
    clearInterval(timer);
    then();
  }, 50);
}
// An answer that becomes shorter or longer while somebody looks at what is below it would move all of that: it keeps its
// height until it is in view, and fills the window from then on.
function hold(yes) {
  const answers = document.querySelector(".hub-answers");
  if (!answers || !yes && !answers.style.height) return;
  answers.style.height = yes ? `${answers.offsetHeight}px` : "";
  document.documentElement.classList.toggle("hub-changed", !yes);
}
function release() {
  hold(false);
  keep(false);
  document.documentElement.classList.remove("hub-chosen");
}
let settles = 0;
function settle(of = 0) {
  const mine = ++settles;
  document.documentElement.classList.add("hub-settling");
  whenStill(1500, () => {
    if (mine !== settles) return;
    document.documentElement.classList.remove("hub-settling");
    if (asked !== of) return;  // something else was asked meanwhile, whose answer settles by itself
    if (followed) bringIntoView(followed);
    later(() => { if (asked === of) release(); });
  });
}
// A setting may bring or take one picture, such as Why, which moves what is below it.
new MutationObserver((records) => {
  const changed = records.filter((record) => record.target.closest?.(".hub-answers"))
    .flatMap((record) => [...record.addedNodes, ...record.removedNodes]).filter((node) => node.nodeType === 1);
  if (changed.some((node) => node.matches(".hub-picture") || node.querySelector(".hub-picture"))) settle();
}).observe(document.documentElement, {childList: true, subtree: true});
document.addEventListener("click", (event) => { if (event.target.closest(".hub-run, [data-example]")) ask(); });
for (const kind of ["change", "drop", "paste"]) document.addEventListener(kind, (event) => {
  if ((kind !== "change" || event.target.closest("input[type=file]")) && !event.target.closest?.(".hub-drawn, .hub-draw")) ask();
}, true);
for (const kind of ["change", "pointerdown", "keydown"]) document.addEventListener(kind, (event) => {
  const chosen = event.target.closest?.(".hub-settings .hub-choice") && matchMedia("(max-width: 860px)").matches;
  const isOption = kind === "change" ? event.target.type === "radio" : event.target.closest?.("[role=option]") || event.key === "Enter";
  if (!chosen || !isOption) return;
  ask();
  hold(true);
  document.documentElement.classList.add("hub-chosen");
  setTimeout((of) => { if (of === asked && statusNow() === before && !before.includes("hub-busy")) settle(of); }, 3000, asked);  // nothing came of it
}, true);
new MutationObserver(() => {
  const now = asked ? statusNow() : before;
  if (now === before) return;
  const isFirst = !before.includes("hub-busy");
  before = now;
  if (isFirst) bringIntoView(asked);
  if (now.includes("hub-busy")) return;
  asked = 0;
  settle();
}).observe(document.documentElement, {childList: true, subtree: true, characterData: true});
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
// A page is seen once it stands: Gradio builds it piece by piece, and its first answer comes a moment later.
document.documentElement.classList.add("hub-arriving");
const hubArrived = () => document.documentElement.classList.remove("hub-arriving");
new MutationObserver((_, observer) => {
  if (!document.querySelector(".hub-title h1, .hub-hero h1")) return;
  observer.disconnect();
  if (!document.querySelector(".hub-stage")) whenStill(1000, hubArrived);
  else setTimeout(hubArrived, 1500);
}).observe(document.documentElement, {childList: true, subtree: true});
setTimeout(hubArrived, 6000);
let early = null;
if (location.search) document.documentElement.classList.add("hub-filling");
function hubFilled() {
  document.documentElement.classList.add("hub-opened");
  whenStill(1000, hubArrived);
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
