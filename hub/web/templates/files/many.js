// Many pictures: sent in one request, which becomes a job; the job's address is where its table is found again.
const box = one("[data-many]");
const POLL_MS = 1500, ROWS_MS = 4000, SHOWN = 100, LEFT_OUT = /(^|\/)(\.|__MACOSX\/|Thumbs\.db$|desktop\.ini$)/i;
const ENDED = ["done", "failed", "cancelled"];
let chosen = [], job = null, page = 1, order = "number", read = 0, timer = 0, stream = null, taking = false, known = "", asked = 0, scored = false;
if (box) words = JSON.parse(box.dataset.words);

const home = () => box.dataset.home;
const show = (element, on) => { element.hidden = !on; };
const bytes = (size) => size < 1e6 ? say("{size} KB", {size: Math.ceil(size / 1000)}) : say("{size} MB", {size: (size / 1e6).toFixed(size < 1e7 ? 1 : 0)});

function span(seconds) {
  if (seconds < 90) return say("{count} s", {count: Math.max(1, Math.round(seconds))});
  if (seconds < 5400) return say("{count} min", {count: Math.round(seconds / 60)});
  return say("{count} h", {count: (seconds / 3600).toFixed(1)});
}

// --- choosing -------------------------------------------------------------------------------------

function choose(files) {
  const names = new Set(chosen.map((entry) => entry.name));
  for (const entry of files) if (!names.has(entry.name) && !LEFT_OUT.test(entry.name)) chosen.push(entry);
  tellChosen();
}

function tellChosen(problem = "") {
  const size = chosen.reduce((sum, entry) => sum + entry.file.size, 0), text = one("[data-chosen]");
  const tooMany = chosen.length > Number(box.dataset.most) + 1, tooLarge = size > Number(box.dataset.bytes);
  const count = say(chosen.length === 1 ? "{count} file" : "{count} files", {count: chosen.length});
  if (tooMany) problem = say("That is more than one batch takes. Send it in parts.");
  if (tooLarge) problem = say("That is more than one batch may hold. Send it in parts, or as smaller pictures.");
  text.replaceChildren(`${count}, ${bytes(size)} `, make("button", {type: "button", class: "share-button", onclick: () => { chosen = []; tellChosen(); }}, say("Clear")),
    ...(problem ? [make("p", {class: "many-problem"}, problem)] : []));
  show(text, chosen.length || problem);
  one("[data-run]").disabled = !(chosen.length || dataset()) || tooMany || tooLarge;
}

const dataset = () => one("[data-dataset]")?.value.trim() ?? "";

// A dropped folder is walked; its pictures keep the folder in their names.
async function walk(entry, path, found) {
  if (found.length > Number(box.dataset.most) + 2) return;
  if (entry.isFile) {
    found.push({name: path + entry.name, file: await new Promise((done, fail) => entry.file(done, fail))});
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!some.length) return;
    for (const inner of some) await walk(inner, `${path}${entry.name}/`, found);
  }
}

async function drop(event) {
  event.preventDefault();
  one("[data-drop]").classList.remove("many-over");
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean), found = [];
  if (!entries.length) return choose([...event.dataTransfer.files].map((file) => ({name: file.name, file})));
  for (const entry of entries) await walk(entry, "", found);
  choose(found);
}

// --- sending --------------------------------------------------------------------------------------

function send() {
  const body = new FormData(), request = new XMLHttpRequest();
  for (const field of box.querySelectorAll("[data-form] [name]")) {
    if ((field.type !== "checkbox" || field.checked) && field.value !== "") body.append(field.name, field.value);
  }
  for (const {name, file} of chosen) body.append("files", file, name);
  if (!chosen.length) body.append("files", new Blob(), ""); // a form has at least one part
  const query = chosen.length ? "" : `?${new URLSearchParams({dataset: dataset(), split: one("[data-split]").value.trim() || "train"})}`;
  request.open("POST", `${home()}api/v1/demos/${box.dataset.slug}/batch${query}`);
  request.responseType = "json";
  if (chosen.length) request.upload.addEventListener("progress", ({loaded, total}) => tell(say("Sending"), loaded, total, bytes(total)));
  request.addEventListener("load", () => {
    if (request.status !== 202) return refuse(request.response?.detail || say("The hub did not answer."));
    location.assign(`${home()}many/${box.dataset.slug}/${request.response.id}`); // as who comes back by its address sees it
  });
  request.addEventListener("error", () => refuse(say("The hub did not answer.")));
  show(one("[data-form]"), false);
  show(one("[data-work]"), true);
  one("[data-actions]").replaceChildren(make("button", {type: "button", class: "share-button", onclick: () => { request.abort(); refuse(""); }}, say("Stop")));
  tell(say(chosen.length ? "Sending" : "The hub fetches the dataset"), chosen.length ? 0 : null, 1);
  request.send(body);
}

function refuse(problem) {
  show(one("[data-work]"), false);
  show(one("[data-form]"), true);
  tellChosen(problem);
}

// --- the job --------------------------------------------------------------------------------------

function tell(text, value = null, most = 1, far = "", below = "", bad = false) {
  const status = one("[data-status]");
  status.classList.toggle("many-bad", bad);
  status.replaceChildren(...[make("strong", {}, text), value === null ? make("span") : make("progress", {max: most || 1, value, "aria-label": text}),
    make("span", {}, far), below && make("small", {}, below)].filter(Boolean));
}

async function ask(address, method = "GET") {
  const answer = await fetch(address, {method, headers: {Accept: "application/json"}}), body = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) throw new Error(body?.detail || say("The hub did not answer."));
  return body;
}

async function look() {
  clearTimeout(timer);
  stream?.close();
  try {
    await take(await ask(`${home()}api/v1/jobs/${box.dataset.job}`));
  } catch (error) {
    tell(error.message, null, 1, "", "", true);
    timer = setTimeout(look, POLL_MS * 4);
    return;
  }
  if (!ENDED.includes(job.state)) follow();
}

// The hub tells what has changed; a page that nobody sees does not listen, since a browser has few connections to a hub.
function follow() {
  if (document.hidden) return;
  stream = new EventSource(job.links.events);
  stream.addEventListener("job", (event) => take(JSON.parse(event.data)).catch(() => {}));
  stream.addEventListener("error", () => { stream.close(); clearTimeout(timer); timer = setTimeout(look, POLL_MS); });
}

async function take(now) {
  job = now;
  const over = ENDED.includes(job.state), state = JSON.stringify([job.state, job.progress]);
  if (over) stream?.close();
  tellJob(over);
  if (taking || (!over && read && (state === known || Date.now() - read < ROWS_MS))) return;
  taking = true;
  try {
    [read, known] = [Date.now(), state];
    await summary(); // before the rows, which mark what is wrong
    await rows();
  } finally {
    taking = false;
  }
  if (ENDED.includes(job.state) && !over) await take(job); // it ended meanwhile
}

function tellJob(over) {
  const {done, failed, total} = job.progress, far = say("{done} of {total}", {done: done + failed, total});
  const states = {queued: say("Waits for its turn"), running: say("Running"), done: say("Done"), failed: say("It could not be done"), cancelled: say("Cancelled")};
  const left = job.left_s === null ? "" : say("about {time} to come", {time: span(job.left_s)});
  const place = job.place ? say("place {place} in the queue", {place: job.place}) : "";
  const bad = failed ? say("{failed} failed", {failed}) : "";
  const stay = over ? "" : say("You may close this page: its address leads back here.");
  const notes = [place, left, bad, job.problem?.detail, stay].filter(Boolean).join(" · ");
  tell(states[job.state], done + failed, total, far, notes, job.state === "failed");
  const files = done + failed ? [["csv", "CSV"], ["json_lines", say("JSON lines")], ["pictures", say("Result pictures")]] : [];
  one("[data-actions]").replaceChildren(
    ...files.map(([name, text]) => make("a", {class: "share-button", href: job.links[name], download: ""}, text)),
    ...[over ? make("a", {class: "share-button many-new", href: `${home()}many/${box.dataset.slug}`}, say("Another batch"))
      : make("button", {type: "button", class: "share-button share-danger", onclick: cancel}, say("Cancel"))]);
}

async function cancel() {
  try {
    await ask(job.url, "DELETE");
    look();
  } catch (error) {
    tell(error.message, null, 1, "", "", true);
  }
}

// --- what it says as a whole ----------------------------------------------------------------------

async function summary() {
  const sum = await ask(job.links.summary), panels = [];
  scored = Boolean(sum.score?.figures.length);
  if (scored) panels.push(scorePanel(sum.score));
  if (sum.names.length) panels.push(namesPanel(sum.names));
  for (const histogram of sum.histograms.slice(0, 8)) panels.push(histogramPanel(histogram));
  one("[data-summary]").replaceChildren(...panels);
  show(one("[data-summary]"), panels.length);
  const select = one("[data-answer]"), value = select.value;
  select.replaceChildren(select.options[0], ...sum.names.map(([name]) => make("option", {value: name}, name)));
  select.value = value;
  show(select.parentElement, sum.names.length);
  for (const option of document.querySelectorAll("[data-labelled]")) show(option, scored && sum.names.length);
}

const METRICS = {accuracy: "Accuracy", f2: "F2", macro_f1: "Macro F1", mae: "Mean error, absolute", mean_error: "Mean error", in_interval: "In the interval", mean_iou: "Mean IoU", pixel_accuracy: "Pixel accuracy", mean_error_px: "Mean error (px)", near_points: "Points within 5 % of their extent", found: "With points found", precision: "Precision", recall: "Recall"};
const share = (value) => say("{percent} %", {percent: (100 * value).toFixed(1)});

function scorePanel(score) {
  const inShares = (name) => !["mae", "mean_error", "mean_error_px"].includes(name);
  const write = (name, value) => inShares(name) ? share(value) : value.toFixed(2);
  const figures = score.figures.map(({name, value, low, high}) => make("p", {}, make("span", {class: "many-figure"}, write(name, value)), " ", say(METRICS[name] ?? name), make("br"),
    make("small", {}, say("95 % interval {low} to {high}", {low: write(name, low), high: write(name, high)}))));
  const square = JSON.stringify(score.classes) === JSON.stringify(score.columns), at = (row, column) => score.confusion[row][column];
  const mark = (row, column) => !at(row, column) ? "" : square ? (row === column ? "many-right" : "many-wrong") : column ? "many-wrong" : "many-right";
  const head = make("tr", {}, make("td", {}, square ? say("true ↓ answered →") : ""), ...score.columns.map((name) => make("th", {scope: "col"}, say(name))));
  const body = score.classes.map((name, row) => make("tr", {}, make("th", {scope: "row"}, name), ...score.columns.map((_, column) => make("td", {class: mark(row, column)}, String(at(row, column))))));
  const unknown = score.unknown.length ? make("p", {}, make("small", {}, say("No answer was ever: {names}", {names: score.unknown.join(", ")}))) : null;
  const tall = score.classes.length ? `grid-row: span ${1 + Math.ceil(score.classes.length / 6)}` : null; // others stand beside it
  return make("section", {class: "many-panel", style: tall}, make("h2", {}, say("Against what is true of {count} pictures", {count: score.pictures})), ...figures,
    score.classes.length ? make("div", {class: "share-scroll"}, make("table", {class: "many-matrix"}, make("thead", {}, head), make("tbody", {}, ...body))) : null, unknown);
}

function namesPanel(names) {
  const most = Math.max(...names.map(([, count]) => count));
  const bars = names.flatMap(([name, count]) => [make("button", {type: "button", onclick: () => { one("[data-answer]").value = name; first(); }}, name),
    make("span", {class: "many-bar", style: `width:${(100 * count / most).toFixed(1)}%`}), make("span", {}, String(count))]);
  return make("section", {class: "many-panel"}, make("h2", {}, say("How often each answer")), make("div", {class: "many-bars"}, ...bars));
}

function histogramPanel({name, mean, low, high, edges, counts}) {
  const most = Math.max(...counts), round = (value) => Number(value.toPrecision(4)).toString();
  const bars = counts.map((count, at) => make("i", {style: `height:${(100 * count / most).toFixed(1)}%`, title: `${round(edges[at])} – ${round(edges[at + 1])}: ${count}`}));
  return make("section", {class: "many-panel"}, make("h2", {}, name.replaceAll("_", " ")), make("div", {class: "many-hist", role: "img", "aria-label": say("Mean {mean}, from {low} to {high}", {mean: round(mean), low: round(low), high: round(high)})}, ...bars),
    make("p", {class: "many-ends"}, make("span", {}, round(low)), make("span", {}, say("mean {mean}", {mean: round(mean)})), make("span", {}, round(high))));
}

// --- the table ------------------------------------------------------------------------------------

function first() {
  page = 1;
  return rows();
}

async function rows() {
  const wish = one("[data-show]").value, mine = ++asked;
  const query = new URLSearchParams({page, per_page: SHOWN, order: wish === "unsure" ? "unsure" : order});
  if (one("[data-q]").value) query.set("q", one("[data-q]").value);
  if (one("[data-answer]").value) query.set("answer", one("[data-answer]").value);
  if (wish === "failed") query.set("state", "failed");
  if (wish === "wrong") query.set("wrong", "true");
  const found = await ask(`${job.links.rows}?${query}`);
  if (mine !== asked) return; // a later question was answered first
  show(one("[data-search]"), true);
  one("[data-table]").replaceChildren(table(found.rows));
  const last = Math.max(1, Math.ceil(found.total / SHOWN)), turn = one("[data-turn]");
  const go = (to, text) => make("button", {type: "button", class: "share-button", disabled: to < 1 || to > last, onclick: () => { page = to; rows().then(() => one("[data-search]").scrollIntoView({block: "start"})); }}, text);
  turn.replaceChildren(go(page - 1, say("Previous page")), make("span", {}, say("{page} of {last}", {page, last})), go(page + 1, say("Next page")));
  show(turn, last > 1);
}

function table(entries) {
  const sorted = one("[data-show]").value !== "unsure";
  const column = (name, text, kind = "") => {
    const is = sorted && order.replace("-", "") === name, down = order.startsWith("-");
    const next = is && !down ? `-${name}` : name;
    return make("th", {scope: "col", class: kind, "aria-sort": is ? (down ? "descending" : "ascending") : null},
      make("button", {type: "button", onclick: () => { order = next; one("[data-show]").value = ""; first(); }}, text + (is ? (down ? " ↓" : " ↑") : "")));
  };
  const sure = entries.some((row) => row.probability !== null);
  const head = make("tr", {}, column("number", say("Picture")), column("name", say("File")), column("answer", say("Answer")),
    sure && column("probability", say("Probability"), "many-number"), job.labelled && make("th", {scope: "col"}, say("True")));
  return make("table", {class: "many-table"}, make("thead", {}, head), make("tbody", {}, ...entries.map((row) => line(row, sure))));
}

function line(row, sure) {
  const image = row.state !== "done" ? null : make("img", {src: row.thumbnail, alt: "", loading: "lazy", decoding: "async", width: 64, height: 64, onerror: (event) => event.target.remove()});
  const text = row.state === "done" ? make("button", {type: "button", class: "many-open", onclick: () => zoom(row)}, row.headline || row.answer || say("Done")) : null;
  const said = text ?? (row.state === "failed" ? make("span", {class: "many-problem"}, row.problem) : make("span", {class: "many-soon"}, say("Waiting")));
  const miss = scored && row.truth && !Object.keys(row.measured).length && row.answer && row.truth.toLowerCase().replace(/[\s_-]+/g, " ") !== row.answer.toLowerCase().replace(/[\s_-]+/g, " ");
  return make("tr", {}, make("td", {}, image), make("td", {class: "many-file"}, row.file), make("td", {class: "many-said"}, said, row.state === "done" && row.problem ? make("small", {class: "many-problem"}, row.problem) : null),
    sure && make("td", {class: "many-number"}, row.probability === null ? "" : share(row.probability)),
    job.labelled && make("td", {class: miss ? "many-truth many-miss" : "many-truth"}, row.truth));
}

// --- one answer -----------------------------------------------------------------------------------

async function zoom(row) {
  const dialog = one("[data-zoom]"), close = make("button", {type: "button", class: "share-button", onclick: () => dialog.close()}, say("Close"));
  const lay = (...parts) => dialog.replaceChildren(make("div", {class: "many-bar-top"}, make("strong", {}, row.headline || row.file), close), ...parts);
  lay(make("p", {class: "many-file"}, row.file));
  dialog.showModal();
  let result;
  try {
    result = await ask(row.result);
  } catch (error) {
    lay(make("p", {class: "many-problem"}, error.message));
    return;
  }
  const isPicture = (value) => typeof value === "string" && value.includes("/api/v1/results/"), parts = [], facts = [];
  for (const [name, value] of Object.entries(result.outputs)) {
    const urls = isPicture(value) ? [value] : Array.isArray(value) && value[0]?.url ? value.map((entry) => entry.url) : [];
    parts.push(...urls.map((url) => make("a", {href: url}, make("img", {src: url, alt: name}))));
    if (!urls.length) facts.push(...(Array.isArray(value) ? value.slice(0, 12).map((entry) => [name, Object.values(entry).join(" · ")])
      : typeof value === "object" && value ? Object.entries(value).slice(0, 12).map(([key, number]) => [key, typeof number === "number" && number <= 1 ? share(number) : number]) : [[name, value]]));
  }
  const receipt = say("{seconds} s on {device}", {seconds: (result.receipt.infer_ms / 1000).toFixed(2), device: result.receipt.device});
  lay(make("div", {class: "many-pictures"}, ...(parts.length ? parts : [make("img", {src: row.thumbnail, alt: ""})])),
    make("table", {class: "many-facts"}, ...facts.map(([name, value]) => make("tr", {}, make("th", {scope: "row"}, name.replaceAll("_", " ")), make("td", {}, String(value))))),
    make("p", {class: "many-file"}, `${row.file} · ${receipt} · `, make("a", {href: row.result}, "JSON")), make("div", {"data-right": row.number}));
  correct(row.number);
}

// Whether it is right, and what is: the hub draws the form, and what was said in it.
async function correct(number, query = "", body = null) {
  const answer = await fetch(`${home()}many/${box.dataset.slug}/${job.id}/${number}/correction${query}`, body ? {method: "POST", body} : {}).catch(() => null);
  const place = one(`[data-right="${number}"]`);
  if (!place || !answer) return;
  if (answer.ok) place.innerHTML = await answer.text(); // all that is in it the hub has escaped
  else if (body) place.append(make("p", {class: "many-problem", role: "alert"}, say("It could not be kept. {why}", {why: new DOMParser().parseFromString(await answer.text(), "text/html").querySelector(".hub-lead")?.textContent ?? ""})));
}

tendCorrections(one("[data-zoom]") ?? document, (form, correction, event) => {
  event.preventDefault();
  const told = new FormData(form);
  told.set("correction", told.get("verdict") === "wrong" ? JSON.stringify(correction) : "");
  correct(form.closest("[data-right]").dataset.right, "", new URLSearchParams(told));
});
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-again]")) correct(event.target.closest("[data-right]").dataset.right, "?again=1");
});

// --- the page -------------------------------------------------------------------------------------

if (box && box.dataset.job) {
  show(one("[data-work]"), true);
  show(one("[data-lead]"), false);
  let typing = 0;
  one("[data-q]").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(first, 250); });
  for (const name of ["answer", "show"]) one(`[data-${name}]`).addEventListener("change", first);
  document.addEventListener("visibilitychange", () => document.hidden ? stream?.close() : (!job || !ENDED.includes(job.state)) && look());
  look();
} else if (box) {
  const place = one("[data-drop]");
  show(one("[data-form]"), true);
  one("[data-form]").addEventListener("submit", (event) => { event.preventDefault(); send(); });
  one("[data-page]")?.addEventListener("change", (event) => { location.href = `${home()}many/${event.target.value}`; });
  one("[data-dataset]")?.addEventListener("input", () => tellChosen());
  for (const name of ["files", "folder"]) {
    one(`[data-${name}]`).addEventListener("change", (event) => {
      choose([...event.target.files].map((file) => ({name: file.webkitRelativePath || file.name, file})));
      event.target.value = "";
    });
  }
  for (const name of ["dragenter", "dragover"]) place.addEventListener(name, (event) => { event.preventDefault(); place.classList.add("many-over"); });
  place.addEventListener("dragleave", () => place.classList.remove("many-over"));
  place.addEventListener("drop", drop);
}
if (box) one("[data-zoom]").addEventListener("click", (event) => { if (event.target === event.currentTarget) event.target.close(); });
