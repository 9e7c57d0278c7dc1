// A grid: asked for in one request whose answer are events; closing it, by Stop or by leaving, ends what is not drawn.
const form = one(".grid-form"), status = one("[data-status]"), area = one("[data-grid]"), dialog = one("[data-zoom]");
const SHOWN = {run: "Grid", subject: "Subject", style: "Style", seed: "Seed"};
if (form) words = JSON.parse(form.dataset.words);
let plan = null, cells = new Map(), order = [], running = null, last = null;

// --- what is asked for ----------------------------------------------------------------------------

const lines = (name) => [...new Set(form.elements[name].value.split("\n").map((line) => line.trim()).filter(Boolean))];

function wish() {
  const settings = {};
  for (const field of form.querySelectorAll("[data-set]")) {
    if (field.value !== field.dataset.usual) settings[field.dataset.set] = field.value;
  }
  return {subjects: lines("subjects"), styles: lines("styles"), seeds: form.elements.seeds.value.trim(), template: form.elements.template.value.trim(), settings};
}

function seeds(text) {
  const parts = text.split(",").map((part) => part.trim()).filter(Boolean);
  if (parts.length === 1 && /^\d+$/.test(parts[0]) && !text.includes(",")) return Number(parts[0]);
  return parts.reduce((sum, part) => { const [from, to] = part.split("-").map(Number); return sum + (to === undefined ? 1 : to - from + 1); }, 0);
}

function count() {
  const asked = wish(), most = Number(form.dataset.most);
  const total = asked.subjects.length * Math.max(1, asked.styles.length) * (seeds(asked.seeds) || 0);
  const text = one("[data-count]");
  const some = say(total === 1 ? "{count} picture" : "{count} pictures", {count: total});
  text.textContent = total ? some + (total > most ? say(", at most {most}", {most}) : "") : "";
  text.classList.toggle("grid-wrong", total > most);
}

function remember(asked) {
  const query = new URLSearchParams({page: form.dataset.slug, subjects: asked.subjects.join("\n"), styles: asked.styles.join("\n"), seeds: asked.seeds});
  if (asked.template) query.set("template", asked.template);
  for (const [name, value] of Object.entries(asked.settings)) query.set(`set.${name}`, value);
  history.replaceState(null, "", `?${query}`);
}

// --- drawing --------------------------------------------------------------------------------------

async function begin(asked) {
  const control = new AbortController();
  [running, last] = [control, asked];
  busy(true);
  tell(say("Asking for the grid"));
  try {
    const answer = await fetch(`api/v1/demos/${form.dataset.slug}/grid`, {method: "POST", body: JSON.stringify(asked), signal: control.signal,
      headers: {"Content-Type": "application/json", Accept: "text/event-stream"}});
    if (!answer.ok) throw new Error((await answer.json()).detail || say("The hub did not answer."));
    await read(answer.body.pipeThrough(new TextDecoderStream()).getReader());
  } catch (error) {
    settle(control.signal.aborted ? say("Stopped") : "", control.signal.aborted ? "" : error.message);
  } finally {
    running = null;
    busy(false);
  }
}

async function read(reader) {
  let rest = "";
  for (;;) {
    const {value, done} = await reader.read();
    if (done) break;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const name = /^event: (.*)$/m.exec(block)?.[1], data = /^data: ([^\n]*)/m.exec(block)?.[1]; // a . stops at U+2028
      if (name && heard[name](JSON.parse(data))) return;
    }
  }
  throw new Error(say("The hub ended the connection before the grid was whole."));
}

const heard = {
  plan(data) {
    plan = data;
    last.run = data.run;
    lay();
    tell(say("Waiting for the model"), 0, cells.size);
  },
  cell({cell, stage, step, total}) {
    const entry = cells.get(cell);
    if (entry.pictures) return;
    if (total) show(entry, make("div", {class: "grid-soon"}, make("progress", {max: total, value: step, "aria-label": say("{step} of {total} steps", {step, total})})));
    else show(entry, make("div", {class: "grid-soon"}, say({queued: "Queued", loading: "Loading the model", running: "Drawing"}[stage])));
  },
  picture(data) {
    const entry = Object.assign(cells.get(data.cell), data);
    delete entry.problem;
    const [first] = data.pictures, at = order.indexOf(entry);
    show(entry, make("button", {type: "button", title: [entry.prompt, ...data.receipt.remarks].join("\n"), onclick: () => zoom(at)},
      make("img", {src: first.url, alt: say("{prompt}, seed {seed}", entry), decoding: "async"})));
    tell(say("Drawing"), data.done, data.total, data.left_s);
  },
  failed({cell, detail}) {
    const entry = Object.assign(cells.get(cell), {problem: detail});
    show(entry, make("div", {class: "grid-failed", title: detail}, say("Not drawn")));
  },
  result(data) {
    const kept = data.kept ? say(", {kept} kept from before", data) : "";
    settle(say("{drawn} drawn in {seconds} s", {drawn: data.drawn, seconds: data.seconds.toFixed(1)}) + kept, "");
    return true;
  },
  error(data) {
    settle("", data.detail);
    return true;
  },
};

function busy(on) {
  one("[data-run]").hidden = on;
  one("[data-stop]").hidden = !on;
}

function tell(text, value = null, most = 0, left = null) {
  status.classList.remove("grid-bad");
  const bar = value === null ? null : make("progress", {max: most, value, "aria-label": say("{value} of {most} pictures", {value, most})});
  const far = value === null ? null : make("span", {}, say("{value} of {most}", {value, most}) + (left === null ? "" : say(", about {seconds} s to come", {seconds: Math.max(1, Math.round(left))})));
  status.replaceChildren(make("strong", {}, text), ...[bar, far].filter(Boolean));
  status.hidden = false;
}

// What became of it: cells that are not drawn say so, and can be drawn by asking for the same grid again.
function settle(text, problem) {
  const open = order.filter((entry) => !entry.pictures), failed = [...new Set(open.map((entry) => entry.problem).filter(Boolean))];
  for (const entry of open) if (!entry.problem) show(entry, make("div", {class: "grid-soon"}, say("Not drawn")));
  const there = order.length ? say("{there} of {all} pictures are there", {there: order.length - open.length, all: order.length}) : "";
  const again = open.length && plan ? make("button", {type: "button", class: "share-button", onclick: () => begin(last)}, say("Draw the other {count}", {count: open.length})) : null;
  const link = plan && open.length < order.length && !problem ? make("a", {href: plan.gallery}, say("See them in the gallery")) : null;
  const notes = [...new Set(order.flatMap((entry) => entry.receipt?.remarks ?? []))]; // on words that were not read, say
  status.classList.toggle("grid-bad", Boolean(problem || failed.length));
  status.replaceChildren(...[problem ? make("strong", {}, problem) : make("strong", {}, text), there && make("span", {}, there), again, link,
    failed.length + notes.length ? make("ul", {}, ...failed.slice(0, 5).concat(notes.slice(0, 5)).map((text) => make("li", {}, text))) : null].filter(Boolean));
  status.hidden = false;
}

// --- the table ------------------------------------------------------------------------------------

function lay() {
  [cells, order] = [new Map(), []];
  const table = make("table", {class: "grid-table"}), head = make("thead"), body = make("tbody");
  const [several, seeded] = [plan.styles.some(Boolean), plan.seeds.length > 1];
  if (several) head.append(make("tr", {}, make("td"), ...plan.styles.map((style) => make("th", {scope: "colgroup", colspan: plan.seeds.length}, style || say("no style")))));
  head.append(make("tr", {}, make("td"), ...plan.styles.flatMap(() => plan.seeds.map((seed) => make("th", {scope: "col"}, say("seed {seed}", {seed}))))));
  const found = new Map(plan.cells.map((cell) => [JSON.stringify([cell.subject, cell.style, cell.seed]), cell]));
  for (const subject of plan.subjects) {
    const row = make("tr", {}, make("th", {scope: "row"}, subject));
    for (const style of plan.styles) {
      for (const seed of plan.seeds) {
        const cell = found.get(JSON.stringify([subject, style, seed])), place = make("td", {class: "grid-cell"}, make("div", {class: "grid-soon"}, say("Waiting")));
        if (cells.has(cell.cell)) cells.get(cell.cell).places.push(place); // the same words twice: drawn once
        else {
          cells.set(cell.cell, {...cell, places: [place]});
          order.push(cells.get(cell.cell));
        }
        row.append(place);
      }
    }
    body.append(row);
  }
  table.append(head, body);
  area.replaceChildren(table);
  area.hidden = false;
}

function show(entry, element) {
  entry.places.forEach((place, at) => place.replaceChildren(at ? copy(element) : element));
}

function copy(element) {
  const made = element.cloneNode(true);
  made.addEventListener("click", () => element.click());
  return made;
}

// --- one picture ----------------------------------------------------------------------------------

function zoom(at) {
  const entry = order[at], before = order.findLastIndex((other, place) => place < at && other.pictures);
  const after = order.findIndex((other, place) => place > at && other.pictures);
  const step = (to, text) => make("button", {type: "button", class: "share-button", disabled: to < 0, onclick: () => zoom(to)}, text);
  const facts = new Map(Object.entries({subject: entry.subject, style: entry.style, seed: entry.seed, run: plan.run}).filter(([, value]) => value !== "").map(([name, value]) => [say(SHOWN[name]), value]));
  for (const [name, value] of Object.entries(entry.settings)) if (value !== entry.prompt && name !== "seed" && value !== "") facts.set(name.replaceAll("_", " "), value);
  if (plan.weights) facts.set(say("Model"), `${plan.weights} (${plan.digest.slice(0, 12)})`);
  const took = say("{seconds} s on {device}, {dtype}", {...entry.receipt, seconds: (entry.receipt.total_ms / 1000).toFixed(1)});
  facts.set(say("Made"), took + (entry.receipt.cached ? say(", kept from before") : ""));
  const rows = [...facts].map(([name, value]) => make("tr", {}, make("th", {scope: "row"}, name), make("td", {}, String(value))));
  const [first] = entry.pictures;
  dialog.replaceChildren(
    make("div", {class: "gal-bar"}, make("span", {}, first.caption), step(before, say("Previous")), step(after, say("Next")), make("button", {type: "button", class: "share-button", onclick: () => dialog.close()}, say("Close"))),
    make("div", {class: "gal-one"}, make("img", {src: first.url, alt: entry.prompt, width: first.width, height: first.height}),
      make("div", {}, make("h2", {}, entry.prompt),
        make("p", {class: "share-actions"}, make("a", {class: "share-button share-first", href: entry.open, title: say("{title} with all settings", form.dataset)}, say("Open in the page")),
          make("a", {class: "share-button", href: first.url, download: `${entry.cell}.png`}, say("Download"))),
        ...entry.receipt.remarks.map((text) => make("p", {}, text)),
        make("table", {class: "gal-facts"}, ...rows))));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

if (form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (running) return;
    const asked = wish();
    remember(asked);
    begin(asked);
  });
  form.addEventListener("input", count);
  one("[data-stop]").addEventListener("click", () => running?.abort());
  one("[data-page]")?.addEventListener("change", (event) => { location.search = `?page=${event.target.value}`; });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  count();
}
