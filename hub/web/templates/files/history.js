// The history: a list whose parts are fetched as they come near the screen, and what is in work, asked for again and again.
const API = "api/v1/history";
const AHEAD = "1600px"; // parts are asked for this far before they are seen
const BUSY_MS = 1000, CALM_MS = 5000; // between two looks: with something in work, and without
const UNDO_MS = 8000; // so long nothing is really deleted

const form = one(".his-search"), days = one("[data-days]"), end = one("[data-end]"), toast = one("[data-toast]");
words = JSON.parse(form.dataset.words);
const chosen = new Map(); // runs by id, in the order they were ticked
const leaving = new Map(); // what is deleted when its time for second thoughts is over, by id
let shown = new Map(); // every run on the page, by id
let search = 0, next = 1, size = 40, total = 0, ended = true, loading = false, newest = "", timer = 0; // next: part to ask for
const watcher = new IntersectionObserver((seen) => { if (seen.at(-1).isIntersecting) more(); }, {rootMargin: AHEAD});

async function ask(path, options = {}) {
  let answer;
  try { answer = await fetch(`${API}${path}`, options); } catch { throw new Error(say("The hub does not answer. Is it running?")); }
  const body = answer.status === 204 ? null : await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body?.detail || answer.statusText);
  return body;
}

// --- fetching -------------------------------------------------------------------------------------

function asked(more = {}) {
  const query = new URLSearchParams();
  for (const name of ["q", "demo"]) if (form.elements[name].value.trim()) query.set(name, form.elements[name].value.trim());
  const place = query.toString();
  for (const [name, value] of Object.entries(more)) query.set(name, value);
  return [place, `?${query}`];
}

async function begin() {
  search += 1;
  [next, total, loading] = [1, 0, false];
  const [place] = asked();
  history.replaceState(null, "", place ? `?${place}` : location.pathname);
  await more(true);
}

async function more(anew = false) {
  if (loading || (ended && !anew)) return;
  loading = true;
  const current = search, part = next;
  try {
    const body = await ask(asked({page: part})[1]);
    if (current !== search) return;
    if (anew) { shown = new Map(); days.replaceChildren(); newest = mark(body); }
    [total, size] = [body.total, body.per_page];
    draw(body.runs.filter((run) => !leaving.has(run.id) && !shown.has(run.id)));
    work(body.running);
    choices(body.demos);
    tell();
    // By what the hub counts: runs that are in work are left out. Moved back meanwhile, it is asked for again.
    if (next === part) [next, ended] = [part + 1, part * size >= total];
  } catch (error) {
    if (current === search) one("[data-count]").replaceChildren(make("span", {class: "his-wrong"}, error.message));
    if (current === search) [total, ended] = [shown.size, true]; // not asked again until the search changes
  } finally {
    if (current === search) loading = false;
  }
  watch();
}

// It tells of changes alone, and may have missed one while the page grew: beginning anew, it tells how things are.
function watch() {
  watcher.unobserve(end);
  watcher.observe(end);
}

function mark(body) {
  return `${body.total} ${body.runs[0]?.id ?? ""} ${body.runs[0]?.created_at ?? ""} ${body.running.map((run) => run.id)}`;
}

// What is in work, here or in another tab; when the list has changed since, it is fetched anew.
async function look() {
  let busy = false;
  try {
    const body = await ask(asked({per_page: 1})[1]);
    busy = body.running.length > 0;
    work(body.running);
    const now = mark(body);
    // Not far down: the list would jump.
    if (now !== newest && shown.size <= size && !leaving.size && !chosen.size && !loading) await refresh(now);
  } catch { /* told by what was asked for; the next look may be better */ }
  timer = setTimeout(look, busy ? BUSY_MS : CALM_MS);
}

async function refresh(now) {
  const place = window.scrollY;
  await begin();
  newest = now;
  window.scrollTo({top: place});
}

function tell() {
  const count = total - leaving.size;
  one("[data-all]").hidden = !total && !new URLSearchParams(location.search).size;
  one("[data-count]").textContent = count ? say(count === 1 ? "{count} run" : "{count} runs", {count: count.toLocaleString(language)}) : "";
  if (total || !one("[data-work]").hidden) return;
  const any = new URLSearchParams(location.search).size;
  days.replaceChildren(make("p", {class: "his-empty"}, say(any ? "Nothing was found. Try fewer words, or all pages." : "No run yet. Open a demo and try it: what you run is listed here.")));
}

function choices(demos) {
  const select = form.elements.demo, wanted = select.dataset.wanted ?? select.value;
  select.replaceChildren(select.options[0], ...demos.map(({slug, title, count}) => make("option", {value: slug}, `${say(title)} (${count.toLocaleString(language)})`)));
  if (wanted && !demos.some(({slug}) => slug === wanted)) select.append(make("option", {value: wanted}, wanted));
  select.value = wanted;
  delete select.dataset.wanted;
}

// --- the list -------------------------------------------------------------------------------------

const clock = new Intl.DateTimeFormat(language, {hour: "numeric", minute: "2-digit"});
const date = new Intl.DateTimeFormat(language, {weekday: "long", day: "numeric", month: "long", year: "numeric"});

function day(when) {
  const start = (moment) => new Date(moment.getFullYear(), moment.getMonth(), moment.getDate());
  const ago = Math.round((start(new Date()) - start(when)) / 86400000);
  return ago === 0 ? say("Today") : ago === 1 ? say("Yesterday") : date.format(when);
}

function draw(runs) {
  for (const run of runs) {
    shown.set(run.id, run);
    const name = day(new Date(run.created_at));
    let last = days.lastElementChild;
    if (last?.dataset.day !== name) {
      last = make("section", {class: "his-day", "data-day": name}, make("h2", {}, name), make("ul", {class: "his-list"}));
      days.append(last);
    }
    last.lastElementChild.append(row(run));
  }
}

function value(given) {
  if (Array.isArray(given)) return given.map((part) => say(String(part))).join(say(", ")) || say("none");
  if (typeof given === "boolean") return say(given ? "yes" : "no");
  return typeof given === "number" ? String(given) : say(given);
}

function settings(run) {
  const told = run.settings.filter((one) => one.value !== "").map((one) => `${say(one.label)}${say(": ")}${value(one.value)}${one.unit ? ` ${one.unit}` : ""}`);
  return make("p", {class: "his-settings", title: told.join(" · ")}, told.join(" · "));
}

function took(ms) {
  return ms >= 1000 ? say("{seconds} s", {seconds: (ms / 1000).toFixed(2)}) : say("{ms} ms", {ms: ms >= 10 ? ms.toFixed(0) : ms.toFixed(1)});
}

function thumbnail(run, place) {
  const blank = say(run.title).slice(0, 1);
  const image = run.thumbnail && make("img", {src: run.thumbnail, alt: "", loading: "lazy", decoding: "async", width: 104, height: 78, onerror: (event) => event.target.replaceWith(blank)});
  return make("a", {class: "his-thumb", href: place, tabindex: "-1", "aria-hidden": "true"}, image || blank);
}

function row(run) {
  const when = new Date(run.created_at), place = run.state === "done" ? run.page : run.open ?? run.page;
  const chip = {failed: "Failed", stopped: "Stopped"}[run.state];
  const what = make("p", {class: "his-what"}, make("a", {href: place}, say(run.title)), run.spoken && make("span", {}, run.spoken),
    chip && make("span", {class: `his-chip his-${run.state}`}, say(chip)));
  const facts = [clock.format(when), took(run.took_ms), run.cached && say("answered before, shown again"), run.times > 1 && say("run {count} times", {count: run.times}), run.weights];
  const text = make("div", {class: "his-text"}, what, run.settings.length ? settings(run) : null, run.message && make("p", {class: "his-wrong"}, run.message),
    make("p", {class: "his-facts"}, make("time", {datetime: run.created_at, title: when.toLocaleString(language)}, facts[0]), ` · ${facts.slice(1).filter(Boolean).join(" · ")}`));
  const tick = make("input", {type: "checkbox", "aria-label": say("Choose: {what}", {what: `${say(run.title)}, ${facts[0]}`}), onchange: (event) => choose(run, event.target.checked)});
  tick.checked = chosen.has(run.id);
  return make("li", {class: "his-run", "data-id": run.id}, make("label", {class: "his-tick"}, tick), thumbnail(run, place), text,
    make("div", {class: "his-acts"}, run.open && make("a", {class: "share-button", href: run.open}, say("Open in the page")),
      run.state === "done" && make("a", {class: "share-button", href: run.page}, say("Result")),
      make("button", {type: "button", class: "share-button share-danger", onclick: () => leave([run])}, say("Delete"))));
}

// --- in work --------------------------------------------------------------------------------------

const STAGES = {queued: "Queued", loading: "Loading the model", running: "Running"};

function work(runs) {
  const part = one("[data-work]"), list = part.querySelector("ul");
  part.hidden = !runs.length;
  const known = new Map([...list.children].map((row) => [row.dataset.id, row]));
  for (const run of runs) {
    const old = known.get(run.id), state = moment(run);
    known.delete(run.id);
    if (old) old.querySelector("[data-moment]").replaceWith(state);
    else list.append(working(run, state));
  }
  for (const row of known.values()) row.remove();
}

function moment(run) {
  const {stage, step, total, seconds} = run.progress;
  const bar = total ? make("progress", {max: total, value: step}) : null;
  const steps = total ? ` ${say("{step} of {total}", {step, total})} · ` : "";
  return make("p", {class: "his-facts", "data-moment": ""}, make("span", {class: "his-chip his-running"}, say(STAGES[stage] ?? stage)), " ", bar, steps, say("{seconds} s so far", {seconds: seconds.toFixed(0)}));
}

function working(run, state) {
  const stop = async (event) => {
    event.target.disabled = true;
    await ask(`/${run.id}/stop`, {method: "POST"}).catch(() => {}); // it has ended meanwhile
    clearTimeout(timer);
    look();
  };
  return make("li", {class: "his-run", "data-id": run.id}, make("span"), thumbnail(run, run.open),
    make("div", {class: "his-text"}, make("p", {class: "his-what"}, make("a", {href: run.open}, say(run.title))), settings(run), state),
    make("div", {class: "his-acts"}, make("a", {class: "share-button", href: run.open}, say("Show")), make("button", {type: "button", class: "share-button share-danger", onclick: stop}, say("Stop"))));
}

// --- choosing, comparing --------------------------------------------------------------------------

function choose(run, on) {
  if (on) chosen.set(run.id, run);
  else chosen.delete(run.id);
  const runs = [...chosen.values()], done = runs.length === 2 && runs.every((run) => run.state === "done");
  const alike = done && runs[0].demo === runs[1].demo;
  one("[data-tray]").hidden = !chosen.size;
  one("[data-chosen]").textContent = say("{count} chosen", {count: chosen.size});
  const link = one("[data-compare]");
  link.setAttribute("aria-disabled", String(!alike));
  link.title = alike ? "" : say(done ? "Only runs of one page can be compared" : "Choose two runs of one page to compare them");
  const [older, newer] = [...runs].sort((one, other) => one.created_at.localeCompare(other.created_at));
  if (alike) link.href = `history?a=${older.id}&b=${newer.id}`;
  else link.removeAttribute("href");
}

function unchoose() {
  for (const tick of document.querySelectorAll(".his-tick :checked")) tick.checked = false;
  for (const run of [...chosen.values()]) choose(run, false);
}

// --- deleting -------------------------------------------------------------------------------------

const row_of = (id) => days.querySelector(`[data-id="${id}"]`);
let second_thoughts = 0;

function leave(runs) {
  commit(); // what was deleted before is past second thoughts
  for (const run of runs) {
    leaving.set(run.id, run);
    const row = row_of(run.id); // a search may have taken it from the page
    if (row) row.hidden = true;
  }
  unchoose();
  hide_empty();
  tell();
  notify(runs.length === 1 ? say("1 run deleted.") : say("{count} runs deleted.", {count: runs.length}), true);
  second_thoughts = setTimeout(commit, UNDO_MS);
}

function hide_empty() {
  for (const part of days.querySelectorAll(".his-day")) part.hidden = !part.querySelector(".his-run:not([hidden])");
}

function undo() {
  clearTimeout(second_thoughts);
  const rows = [...leaving.keys()].map(row_of);
  leaving.clear();
  if (!rows.every(Boolean)) begin();
  for (const row of rows) if (row) row.hidden = false;
  hide_empty();
  tell();
  toast.hidden = true;
}

async function commit() {
  clearTimeout(second_thoughts);
  toast.hidden = true;
  const ids = [...leaving.keys()];
  if (!ids.length) return;
  leaving.clear();
  for (const id of ids) {
    shown.delete(id);
    row_of(id)?.remove();
  }
  total = Math.max(0, total - ids.length);
  try {
    for (let at = 0; at < ids.length; at += 100) await ask(`?ids=${ids.slice(at, at + 100).join(",")}`, {method: "DELETE", keepalive: true});
    newest = "";
    [next, ended] = [Math.max(1, next - Math.ceil(ids.length / size)), false]; // what follows has moved up
    watch();
  } catch (error) {
    notify(say("It could not be deleted: {why}", {why: error.message}), false);
  }
  tell();
}

function notify(text, can_undo) {
  toast.querySelector("span").textContent = text;
  one("[data-undo]").hidden = !can_undo;
  toast.hidden = false;
}

async function clear() {
  one("[data-ask]").close();
  commit();
  try {
    await ask("?all=true", {method: "DELETE"});
    form.reset();
    unchoose();
    await begin();
  } catch (error) {
    notify(say("It could not be deleted: {why}", {why: error.message}), false);
  }
}

// --- the beginning --------------------------------------------------------------------------------

let waiting = 0;
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", (event) => {
  clearTimeout(waiting);
  waiting = setTimeout(begin, event.target.tagName === "INPUT" ? 200 : 0);
});
one("[data-none]").addEventListener("click", unchoose);
one("[data-delete]").addEventListener("click", () => leave([...chosen.values()]));
one("[data-undo]").addEventListener("click", undo);
one("[data-all]").addEventListener("click", () => one("[data-ask]").showModal());
one("[data-no]").addEventListener("click", () => one("[data-ask]").close());
one("[data-yes]").addEventListener("click", clear);
window.addEventListener("pagehide", commit); // second thoughts end with the page
window.addEventListener("pageshow", (event) => { if (event.persisted) begin(); });

const given = new URLSearchParams(location.search);
form.elements.q.value = given.get("q") ?? "";
form.elements.demo.dataset.wanted = given.get("demo") ?? "";
begin().then(() => { timer = setTimeout(look, BUSY_MS); });
