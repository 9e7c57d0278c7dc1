// The gallery: a search whose pages are fetched as they come near the screen. The address holds the search.
const API = "api/v1/gallery";
const FILTERS = ["q", "subject", "style", "seed", "demo", "model", "run", "since", "until"];
const LABELS = {demo: "Page", subject: "Subject", style: "Style", seed: "Seed", weights: "Model", run: "Run", created_at: "Made", size: "Size"};
const AHEAD = "1600px"; // pages are asked for this far before they are seen

const form = one(".gal-search"), pages = one("[data-pages]"), end = one("[data-end]"), dialog = one("[data-zoom]");
const fields = Object.fromEntries([...FILTERS, "beside", "order"].map((name) => [name, form.elements[name]]));
words = JSON.parse(form.dataset.words);
const number = (value) => value.toLocaleString(language);
const chosen = new Map(); // pictures by id, in the order they were ticked
let shown = []; // every picture on the page, or pair of them
let search = 0; // counts searches, so that an answer to an older one is dropped
const watcher = new IntersectionObserver((seen) => { if (seen.at(-1).isIntersecting) more(); }, {rootMargin: AHEAD});
let next = 1, total = 0, loading = false, facets = {};

// --- what is looked for ---------------------------------------------------------------------------

const beside = () => fields.run.value && fields.run.value !== "single" ? fields.beside.value : "";

function asked(more = {}) {
  const query = new URLSearchParams();
  for (const name of FILTERS) if (fields[name].value.trim()) query.set(name, fields[name].value.trim());
  for (const [name, value] of Object.entries(more)) query.set(name, value);
  return query;
}

function remember() {
  const query = asked();
  if (beside()) query.set("beside", beside());
  if (fields.order.value !== "new") query.set("order", fields.order.value);
  history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
  const active = FILTERS.filter((name) => name !== "q" && query.has(name)).length;
  one("[data-active]").textContent = active;
  one("[data-active]").hidden = !active;
  one("[data-clear]").hidden = !query.size;
  fields.beside.closest("label").hidden = !fields.run.value || fields.run.value === "single";
}

async function ask(path, query) {
  const answer = await fetch(`${API}${path}?${query}`);
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail || say("The hub did not answer."));
  return body;
}

async function begin() {
  search += 1;
  [next, total, loading, shown] = [1, 0, false, []];
  remember();
  pages.replaceChildren();
  window.scrollTo({top: Math.min(window.scrollY, pages.offsetTop)});
  await more();
}

async function more() {
  if (loading || (next > 1 && shown.length >= total)) return;
  loading = true;
  const current = search;
  try {
    const other = beside();
    const body = other
      ? await ask("/pairs", asked({a: fields.run.value, b: other, page: next}))
      : await ask("", asked({page: next, order: fields.order.value}));
    if (current !== search) return;
    total = body.total;
    draw(other ? body.pairs : body.pictures, Boolean(other));
    tell(other);
    next += 1;
  } catch (error) {
    if (current === search) one("[data-count]").replaceChildren(make("span", {class: "gal-wrong"}, error.message));
    if (current === search) [total, next] = [shown.length, Math.max(next, 2)]; // not asked again until the search changes
  } finally {
    if (current === search) loading = false;
  }
  // It tells of changes alone, and may have missed one while the page grew: beginning anew, it tells how things are.
  watcher.unobserve(end);
  watcher.observe(end);
}

function tell(other) {
  const what = other ? (total === 1 ? "{count} pair" : "{count} pairs") : total === 1 ? "{count} picture" : "{count} pictures";
  one("[data-count]").textContent = say(total ? what : "No pictures", {count: number(total)});
  const download = one("[data-download]"), most = Number(form.dataset.most);
  download.hidden = !total || Boolean(other) || total > most;
  download.textContent = say(total > 1 ? "Download {count} (ZIP, CSV)" : "Download (ZIP, CSV)", {count: number(total)});
  download.href = `${API}/download?${asked()}`;
  if (total) return;
  const any = new URLSearchParams(location.search).size;
  const text = any ? "Nothing was found. Try fewer words or filters." : "Nothing was made from words yet.";
  const button = any ? null : make("a", {class: "share-button", href: "grid"}, say("Draw a grid"));
  pages.replaceChildren(make("p", {class: "gal-empty"}, say(text), button && make("br"), button));
}

// --- the grid -------------------------------------------------------------------------------------

function draw(found, paired) {
  const start = shown.length;
  shown.push(...found);
  const cards = found.map((entry, at) => (paired ? pair(entry) : card(entry, start + at)));
  if (cards.length) pages.append(make("ul", {class: paired ? "gal-grid gal-pairs" : "gal-grid"}, ...cards));
}

function image(picture) {
  return make("img", {src: picture.thumbnail, alt: "", loading: "lazy", decoding: "async", width: 256, height: 256});
}

function told(picture) {
  const seed = picture.seed === null ? "" : say("seed {seed}", picture);
  return [seed, picture.run || picture.title].filter(Boolean).join(" · ");
}

function card(picture, at) {
  const text = make("span", {class: "gal-text"}, make("span", {}, picture.prompt), make("small", {}, told(picture)));
  const tick = make("input", {type: "checkbox", "aria-label": say("Choose: {prompt}, seed {seed}", picture),
    onchange: (event) => choose(picture, event.target.checked)});
  tick.checked = chosen.has(picture.id);
  return make("li", {class: "gal-card", "data-id": picture.id},
    make("button", {type: "button", title: picture.prompt, onclick: () => zoom(at)}, image(picture), text),
    make("label", {class: "gal-tick"}, tick));
}

function side(name) {
  return make("b", {class: `gal-side gal-side-${name.toLowerCase()}`}, name);
}

function pair({a, b}) {
  const two = make("span", {class: "gal-two"}, make("span", {}, image(a), side("A")), make("span", {}, image(b), side("B")));
  const words = [a.subject, a.style, say("seed {seed}", a)].filter(Boolean).join(" · ");
  const text = make("span", {class: "gal-text"}, make("span", {}, words));
  return make("li", {class: "gal-card"}, make("button", {type: "button", onclick: () => versus(a, b)}, two, text));
}

function choose(picture, on) {
  if (on) chosen.set(picture.id, picture);
  else chosen.delete(picture.id);
  one("[data-tray]").hidden = !chosen.size;
  one("[data-chosen]").textContent = say("{count} chosen", {count: chosen.size});
  one("[data-compare]").disabled = chosen.size !== 2;
  one("[data-compare]").title = chosen.size === 2 ? "" : say("Choose two pictures to compare them");
  one("[data-zip]").href = `${API}/download?ids=${[...chosen.keys()].join(",")}`;
}

// --- one picture, and two beside each other -------------------------------------------------------

function facts(picture) {
  const made = picture.created_at.replace("T", " ").replace("+00:00", " UTC");
  const rows = {demo: picture.title, subject: picture.subject, style: picture.style, seed: picture.seed, run: picture.run,
    weights: picture.weights && `${picture.weights} (${picture.digest.slice(0, 12)})`, created_at: made,
    size: `${picture.width} x ${picture.height}`};
  const found = new Map(Object.entries(rows).filter(([, value]) => value !== "" && value !== null).map(([k, v]) => [say(LABELS[k]), String(v)]));
  for (const [name, value] of Object.entries(picture.settings)) {
    if (value !== picture.prompt && name !== "seed" && value !== "") found.set(name.replaceAll("_", " "), Array.isArray(value) ? value.join(", ") : String(value));
  }
  return found;
}

function bar(text, ...buttons) {
  return make("div", {class: "gal-bar"}, make("span", {}, text), ...buttons,
    make("button", {type: "button", class: "share-button", onclick: () => dialog.close()}, say("Close")));
}

function actions(picture) {
  const from = picture.begins_from.length ? say(". It began from a picture, which an address cannot hold") : "";
  return make("p", {class: "share-actions"},
    picture.open && make("a", {class: "share-button share-first", href: picture.open, title: say("{title} with all settings", picture) + from}, say("Open in the page")),
    make("a", {class: "share-button", href: picture.image, download: `${picture.id}.png`}, say("Download")));
}

function zoom(at) {
  const picture = shown[at];
  const step = (by, text) => make("button", {type: "button", class: "share-button", disabled: !shown[at + by], onclick: () => zoom(at + by)}, text);
  const rows = [...facts(picture)].map(([name, value]) => make("tr", {}, make("th", {scope: "row"}, name), make("td", {}, value)));
  dialog.replaceChildren(bar(say("{at} of {total}", {at: number(at + 1), total: number(total)}), step(-1, say("Previous")), step(1, say("Next"))),
    make("div", {class: "gal-one"}, make("img", {src: picture.image, alt: picture.prompt, width: picture.width, height: picture.height}),
      make("div", {}, make("h2", {}, picture.prompt), actions(picture), make("table", {class: "gal-facts"}, ...rows))));
  dialog.dataset.at = at;
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  if (at + 20 > shown.length) more();
}

function versus(a, b) {
  const [left, right] = [facts(a), facts(b)];
  const prompt = say("Prompt");
  left.set(prompt, a.prompt);
  right.set(prompt, b.prompt);
  const names = [prompt, ...new Set([...left.keys(), ...right.keys()])].filter((name, at, all) => all.indexOf(name) === at);
  const differ = names.filter((name) => name !== say(LABELS.created_at) && left.get(name) !== right.get(name));
  const row = (name) => make("tr", {class: differ.includes(name) ? "gal-differs" : null}, make("th", {scope: "row"}, name),
    make("td", {}, left.get(name) ?? say("none")), make("td", {}, right.get(name) ?? say("none")));
  const figure = (picture, name) => make("figure", {}, make("img", {src: picture.image, alt: `${name}: ${picture.prompt}`, width: picture.width, height: picture.height}),
    make("figcaption", {}, side(name), picture.open && make("a", {href: picture.open}, say("Open in the page"))));
  const head = make("tr", {}, make("th"), make("td", {}, side("A")), make("td", {}, side("B")));
  const same = say(differ.length ? "They differ in {names}." : "Made with the same settings.", {names: differ.join(", ").toLowerCase()});
  dialog.replaceChildren(bar(say("Two pictures")), make("div", {class: "gal-versus"}, figure(a, "A"), figure(b, "B")),
    make("div", {class: "gal-table"}, make("p", {}, same), make("table", {class: "gal-facts"}, head, ...differ.map(row), ...names.filter((name) => !differ.includes(name)).map(row))));
  delete dialog.dataset.at;
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

// --- filters --------------------------------------------------------------------------------------

function fill(select, entries, name = (value) => value) {
  const before = select.value;
  select.replaceChildren(select.options[0], ...entries.map(({value, count}) => make("option", {value}, `${name(value)} (${number(count)})`)));
  select.value = before;
}

async function filters(wanted) {
  facets = await ask("/facets", "");
  for (const name of ["subject", "style", "demo", "model"]) fill(fields[name], facets[name]);
  fill(fields.run, facets.run);
  fill(fields.beside, facets.run);
  fields.run.append(make("option", {value: "single"}, say("Single runs")));
  for (const [name, field] of Object.entries(fields)) {
    const value = wanted.get(name);
    if (!value) continue;
    if (field.tagName === "SELECT" && ![...field.options].some((option) => option.value === value)) field.append(make("option", {value}, value));
    field.value = value;
  }
  for (const name of ["subject", "style", "run", "model"]) fields[name].closest("label").hidden = !facets[name].length && !fields[name].value;
}

let waiting = 0;
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", (event) => {
  clearTimeout(waiting);
  waiting = setTimeout(begin, event.target.tagName === "INPUT" ? 200 : 0);
});
one("[data-clear]").addEventListener("click", () => { form.reset(); begin(); });
one("[data-none]").addEventListener("click", () => {
  for (const tick of document.querySelectorAll(".gal-tick :checked")) tick.checked = false;
  for (const picture of [...chosen.values()]) choose(picture, false);
});
one("[data-compare]").addEventListener("click", () => versus(...chosen.values()));
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("keydown", (event) => {
  const by = {ArrowLeft: -1, ArrowRight: 1}[event.key], at = Number(dialog.dataset.at) + by;
  if (by && shown[at]) zoom(at);
});

one(".gal-more").open = matchMedia("(min-width: 761px)").matches;
filters(new URLSearchParams(location.search)).then(begin, (error) => { one("[data-count]").textContent = error.message; });
