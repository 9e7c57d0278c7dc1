// What is right, on the picture itself: points and boxes are moved there. The number fields beside it are what counts.
const SVG = "http://www.w3.org/2000/svg";
const LARGEST = 3072; // a shared picture so long may be smaller than the one that points were found on
const MOVES = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};

const drawn = (tag, attributes = {}, ...children) => {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};
const within = (value, most) => Math.round(10 * Math.min(most, Math.max(0, value))) / 10;
const numbersOf = (row) => [...row.querySelectorAll("input[type=number]")];
const readAt = (inputs) => inputs.map((input) => (input.value === "" ? null : Number(input.value)));
const writeAt = (inputs, values) => inputs.forEach((input, at) => { input.value = values[at] ?? ""; });

const loadPicture = async (address) => {
  let source = address, size = null;
  if (address.includes("api/v1/")) {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(answer.statusText);
    size = answer.headers.get("Picture-Size")?.split("x").map(Number);
    source = URL.createObjectURL(await answer.blob());
  }
  const image = new Image();
  image.alt = "";
  image.src = source;
  await image.decode();
  return {image, size: size ?? (Math.max(image.naturalWidth, image.naturalHeight) < LARGEST ? [image.naturalWidth, image.naturalHeight] : null)};
};

// Pictures are fetched when they are wanted; where there is none any more, the fields remain.
const openPlaces = (form) => {
  if (!form.dataset.picture) return;
  for (const place of form.querySelectorAll("[data-place]:not([data-open])")) {
    place.dataset.open = "";
    const part = place.closest("[data-part]"), known = part.dataset.size?.split("x").map(Number);
    loadPicture(form.dataset.picture).then(({image, size}) => {
      if (known || size) fillPlace(place, part, image, known ?? size);
    }, () => {});
  }
};

const fillPlace = (place, part, image, [width, height]) => {
  const svg = drawn("svg", {viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": part.querySelector("legend").textContent});
  const stage = {svg, width, height, unit: 1};
  new ResizeObserver(() => {
    stage.unit = width / (svg.clientWidth || width);
    svg.style.setProperty("--unit", stage.unit);
  }).observe(svg);
  const frame = document.createElement("div");
  frame.className = "hub-place-picture";
  frame.style.setProperty("--ratio", width / height);
  frame.append(image, svg);
  place.prepend(frame);
  place.hidden = false;
  (part.dataset.kind === "points" ? fillPoints : fillBoxes)(stage, part, place.dataset);
};

const pointerAt = (stage, event) => {
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(stage.svg.getScreenCTM().inverse());
  return [at.x, at.y];
};

// `element` is dragged, or moved by arrow keys: `read` says where it is, `write` moves it there, `remove` takes it away.
const makeMovable = (stage, element, read, write, remove) => {
  let grip = null;
  element.setAttribute("tabindex", "0");
  element.setAttribute("role", "button");
  element.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    event.stopPropagation();
    element.focus();
    element.setPointerCapture(event.pointerId);
    const [x, y] = pointerAt(stage, event), [left, top] = read();
    grip = [left - x, top - y];
  });
  element.addEventListener("pointermove", (event) => {
    if (!grip) return;
    const [x, y] = pointerAt(stage, event);
    write(x + grip[0], y + grip[1]);
  });
  for (const kind of ["pointerup", "pointercancel"]) element.addEventListener(kind, () => { grip = null; });
  element.addEventListener("keydown", (event) => {
    const move = MOVES[event.key], far = Math.max(1, stage.unit) * (event.shiftKey ? 10 : 1);
    if (move) write(read()[0] + move[0] * far, read()[1] + move[1] * far);
    else if (event.key === "Delete" || event.key === "Backspace") remove();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
};

const fillPoints = (stage, part) => {
  for (const row of part.querySelectorAll("tr[data-row]")) {
    const inputs = numbersOf(row), name = row.querySelector("th").textContent;
    const group = drawn("g", {class: "hub-knob", "aria-label": name}, drawn("circle", {class: "hub-knob-grip"}), drawn("circle"), drawn("text", {"aria-hidden": "true"}, name));
    const draw = () => {
      const [x, y] = readAt(inputs);
      group.toggleAttribute("hidden", x === null || y === null);
      group.style.transform = `translate(${x}px, ${y}px)`;
      group.classList.toggle("hub-knob-left", x > 0.7 * stage.width);
    };
    const write = (x, y) => { writeAt(inputs, [within(x, stage.width), within(y, stage.height)]); draw(); };
    makeMovable(stage, group, () => readAt(inputs), write, () => { writeAt(inputs, []); draw(); });
    row.addEventListener("input", draw);
    stage.svg.append(group);
    draw();
  }
};

const fillBoxes = (stage, part, words) => {
  const body = part.querySelector("tbody"), groups = new Map();
  const renumber = () => [...body.rows].forEach((row, at) => {
    const label = words.box.replace("{number}", at + 1).replace("{label}", row.querySelector("input").value);
    groups.get(row)?.querySelector("rect").setAttribute("aria-label", label);
  });
  const follow = () => {
    for (const [row, group] of groups) if (!row.isConnected) { group.remove(); groups.delete(row); }
    for (const row of body.rows) if (!groups.has(row)) groups.set(row, addBox(stage, row, words));
    renumber();
  };
  new MutationObserver(follow).observe(body, {childList: true});
  body.addEventListener("input", renumber);
  drawNewBoxes(stage, part, () => { follow(); return [...groups.values()].at(-1); });
  follow();
};

const addBox = (stage, row, words) => {
  const inputs = numbersOf(row), label = row.querySelector("input");
  if (readAt(inputs).every((side) => side === null)) { // added by the button: something to begin with
    writeAt(inputs, [0.4 * stage.width, 0.4 * stage.height, 0.6 * stage.width, 0.6 * stage.height].map(Math.round));
  }
  const rect = drawn("rect"), text = drawn("text", {"aria-hidden": "true"});
  const corners = [[0, 1], [2, 1], [2, 3], [0, 3]].map((sides, at) => [sides, drawn("circle", {"aria-label": words.corner.replace("{number}", at + 1)})]);
  const group = drawn("g", {class: "hub-crate"}, rect, text, ...corners.map(([, corner]) => corner));
  const draw = () => {
    const sides = readAt(inputs).map((side) => side ?? 0), [x0, y0, x1, y1] = sides;
    for (const [name, value] of Object.entries({x: Math.min(x0, x1), y: Math.min(y0, y1), width: Math.abs(x1 - x0), height: Math.abs(y1 - y0)})) rect.setAttribute(name, value);
    for (const [[x, y], corner] of corners) { corner.setAttribute("cx", sides[x]); corner.setAttribute("cy", sides[y]); }
    text.style.transform = `translate(${x0}px, ${y0}px)`;
    text.textContent = label.value;
  };
  const write = (values) => { writeAt(inputs, values); draw(); };
  const remove = () => { row.remove(); stage.svg.querySelector("[tabindex]")?.focus(); };
  makeMovable(stage, rect, () => readAt(inputs), (x, y) => {
    const [x0, y0, x1, y1] = readAt(inputs), left = within(x, stage.width - (x1 - x0)), top = within(y, stage.height - (y1 - y0));
    write([left, top, within(left + x1 - x0, stage.width), within(top + y1 - y0, stage.height)]);
  }, remove);
  for (const [[x, y], corner] of corners) {
    makeMovable(stage, corner, () => [readAt(inputs)[x], readAt(inputs)[y]], (right, low) => {
      const sides = readAt(inputs), keep = (side, at, most) => within(at < 2 ? Math.min(side, sides[at + 2] - 1) : Math.max(side, sides[at - 2] + 1), most);
      sides[x] = keep(right, x, stage.width);
      sides[y] = keep(low, y, stage.height);
      write(sides);
    }, remove);
  }
  row.addEventListener("input", draw);
  row.addEventListener("focusin", () => group.classList.add("hub-crate-chosen"));
  row.addEventListener("focusout", () => group.classList.remove("hub-crate-chosen"));
  group.addEventListener("focusin", () => row.classList.add("hub-row-chosen"));
  group.addEventListener("focusout", () => row.classList.remove("hub-row-chosen"));
  stage.svg.append(group);
  draw();
  return group;
};

// Where there is no box, one is drawn with the mouse or a pen; a finger scrolls, and has the button.
const drawNewBoxes = (stage, part, follow) => {
  let begin = null;
  stage.svg.addEventListener("pointerdown", (event) => {
    if (event.button || event.pointerType === "touch") return;
    event.preventDefault();
    begin = pointerAt(stage, event);
  });
  stage.svg.addEventListener("pointermove", (event) => {
    if (!begin) return;
    const [x, y] = pointerAt(stage, event), [left, top] = begin;
    if (x - left < 8 * stage.unit || y - top < 8 * stage.unit) return;
    begin = null;
    const body = part.querySelector("tbody"), names = [...body.querySelectorAll("input[data-of=label]")];
    part.querySelector("details").open = true;
    body.append(part.querySelector("template").content.cloneNode(true));
    const row = body.lastElementChild;
    row.querySelector("input").value = names.at(-1)?.value ?? "";
    writeAt(numbersOf(row), [within(left, stage.width), within(top, stage.height), within(x, stage.width), within(y, stage.height)]);
    const corner = follow().querySelectorAll("circle")[2];
    const {pointerId, clientX, clientY} = event;
    corner.dispatchEvent(new PointerEvent("pointerdown", {pointerId, clientX, clientY})); // it is dragged on by its corner
  });
  stage.svg.addEventListener("pointerup", () => { begin = null; });
};
