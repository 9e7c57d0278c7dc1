// What people draw on a picture, on a copy of it: boxes, points, or an area that is painted. The page's field counts.
const MASK_PX = 1024; // the longer side of a painted mask, which the hub makes as large as the picture
const STILL = ".still.jpg"; // of pictures that browsers cannot show, in another size than theirs
const SEND_MS = 30000;

// Kept for panels that come later; each listens for its name.
window.hubDrawnOn ??= (name, picture, given) => {
  (window.hubDrawn ??= {})[name] = {picture, given};
  document.dispatchEvent(new CustomEvent("hub-drawn", {detail: name}));
};

const tendDrawing = (element, {upload, trigger}) => {
  const panel = element.querySelector("[data-draw]"), {draw: kind, name, hint} = panel.dataset;
  const frame = panel.querySelector(".hub-place-picture"), status = panel.querySelector("[role=status]");
  let address = "", before, editor = null;

  const writeText = (text) => {
    const field = document.querySelector(`.hub-field-${hint} :is(textarea, input)`);
    if (!field || field.value === text) return;
    Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), "value").set.call(field, text);
    field.dispatchEvent(new Event("input", {bubbles: true}));
  };
  // Run waits until the mask is there (page.js).
  let sending = 0, wanted = "", turn = 0;
  const sent = () => {
    clearTimeout(sending);
    sending = 0;
    if (document.documentElement.classList.contains("hub-filling")) hubFilled();
  };
  const writeMask = async (drawn) => {
    const mine = ++turn;
    clearTimeout(sending);
    sending = setTimeout(sent, SEND_MS);
    wanted = "";
    document.documentElement.classList.add("hub-filling");
    try {
      const file = await drawn, path = file ? (await upload(file)).path : "";
      if (mine !== turn) return; // more was painted meanwhile
      wanted = file ? file.name : "";
      trigger("click", {path});
      if (!path) sent();
    } catch {
      if (mine === turn) sent();
    }
  };
  const clear = () => (kind === "mask" ? writeMask(null) : writeText(""));

  const open = async (url) => {
    address = url;
    editor = null;
    panel.hidden = true;
    frame.replaceChildren();
    if (!url) return;
    const image = new Image();
    image.alt = "";
    image.src = url;
    try { await image.decode(); } catch { return; } // one that the browser cannot show: the field remains
    if (address !== url) return;
    frame.style.setProperty("--ratio", image.naturalWidth / image.naturalHeight);
    frame.append(image);
    panel.hidden = false;
    const stage = {panel, frame, status, width: image.naturalWidth, height: image.naturalHeight, unit: 1, isStill: url.endsWith(STILL)};
    editor = kind === "mask" ? editMask(stage, writeMask) : editMarks(stage, kind === "box" ? "boxes" : "points", writeText);
    await editor.show(window.hubDrawn[name].given);
  };
  const look = async () => {
    const {picture, given} = window.hubDrawn?.[name] ?? {}, url = picture?.url ?? "", same = given?.url ?? given ?? "";
    if (sending && wanted && given?.url?.includes(wanted)) sent();
    if (url !== address) {
      const isOther = Boolean(address && url), old = before;
      before = same;
      await open(url);
      // Another picture was chosen: what was drawn is not of it. An example or an earlier run brings both, one by one.
      if (isOther && old && old === same) setTimeout(() => { if (before === old && address === url) clear(); }, 500);
      return;
    }
    before = same;
    await editor?.show(given);
  };
  document.addEventListener("hub-drawn", (event) => { if (event.detail === name) look(); });
  panel.querySelector("[data-clear]").addEventListener("click", clear);
  look();
};

const svgOver = (stage, label) => {
  const svg = drawn("svg", {viewBox: `0 0 ${stage.width} ${stage.height}`, role: "group", "aria-label": label});
  stage.svg = svg;
  new ResizeObserver(() => {
    stage.unit = stage.width / (svg.clientWidth || stage.width);
    svg.style.setProperty("--unit", stage.unit);
  }).observe(svg);
  stage.frame.append(svg);
};

const editMarks = (stage, kind, write) => {
  const {panel, status} = stage, most = Number(panel.dataset.most), isBoxes = kind === "boxes";
  let marks = [], last = "";
  svgOver(stage, panel.querySelector("figcaption").textContent);
  const tell = () => {
    const list = marks.filter((mark) => !isBoxes || (mark[2] > mark[0] && mark[3] > mark[1])).map((mark) => (isBoxes || !mark[2] ? mark : mark.slice(0, 2)));
    last = !list.length ? "" : JSON.stringify(stage.isStill ? {of: [stage.width, stage.height], [kind]: list} : list);
    status.textContent = "";
    write(last);
  };
  const remove = (mark) => {
    marks = marks.filter((one) => one !== mark);
    redraw();
    tell();
    stage.svg.querySelector("[tabindex]")?.focus();
  };
  const redraw = () => stage.svg.replaceChildren(...marks.map((mark, at) => (isBoxes ? drawCrate : drawKnob)(stage, mark, at + 1, tell, () => remove(mark))));
  const add = (mark) => {
    if (marks.length >= most && most > 1) {
      status.textContent = panel.dataset.full;
      return null;
    }
    marks = most > 1 ? [...marks, mark] : [mark];
    redraw();
    return mark;
  };
  const out = () => panel.querySelector("[data-out]")?.checked;
  let begin = null, growing = null;
  stage.svg.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    const [x, y] = pointerAt(stage, event).map((at, side) => within(at, side ? stage.height : stage.width));
    if (isBoxes) {
      begin = [x, y];
      stage.svg.setPointerCapture(event.pointerId);
    } else if (add([x, y, out() ? 0 : 1])) tell();
  });
  stage.svg.addEventListener("pointermove", (event) => {
    if (!begin) return;
    const [x, y] = pointerAt(stage, event).map((at, side) => within(at, side ? stage.height : stage.width)), [left, top] = begin;
    if (!growing && Math.max(Math.abs(x - left), Math.abs(y - top)) < 4 * stage.unit) return;
    growing ??= add([left, top, left, top]);
    if (!growing) { begin = null; return; }
    growing.splice(0, 4, Math.min(left, x), Math.min(top, y), Math.max(left, x), Math.max(top, y));
    redraw();
  });
  for (const end of ["pointerup", "pointercancel"]) stage.svg.addEventListener(end, () => {
    const made = growing;
    begin = growing = null;
    if (!made) return;
    if (made[2] - made[0] < 1 || made[3] - made[1] < 1) marks = marks.filter((one) => one !== made);
    redraw();
    tell();
  });
  panel.querySelector("[data-add]").onclick = () => {
    const {width, height} = stage, middle = [width / 2, height / 2].map(Math.round);
    if (add(isBoxes ? [0.3 * width, 0.3 * height, 0.7 * width, 0.7 * height].map(Math.round) : [...middle, out() ? 0 : 1])) tell();
  };
  return {
    show: (text) => {
      if ((text ?? "") === last) return;
      last = text ?? "";
      let given;
      try { given = last ? JSON.parse(last) : []; } catch { return; } // somebody is writing it
      const of = given.of ?? [stage.width, stage.height], list = given[kind] ?? given;
      if (!Array.isArray(list) || list.length > most || !list.every((mark) => Array.isArray(mark) && mark.every(Number.isFinite))) return;
      const scaled = (mark) => mark.map((at, side) => (isBoxes || side < 2 ? (at * (side % 2 ? stage.height : stage.width)) / of[side % 2] : at));
      marks = list.map((mark) => (isBoxes ? scaled(mark) : [...scaled(mark), 1].slice(0, 3)));
      redraw();
    },
  };
};

const drawCrate = (stage, box, number, tell, remove) => {
  const words = stage.panel.dataset, rect = drawn("rect", {"aria-label": words.box.replace("{number}", number)});
  const corners = [[0, 1], [2, 1], [2, 3], [0, 3]].map((sides, at) => [sides, drawn("circle", {"aria-label": words.corner.replace("{number}", at + 1)})]);
  const draw = () => {
    const [x0, y0, x1, y1] = box;
    for (const [name, value] of Object.entries({x: x0, y: y0, width: x1 - x0, height: y1 - y0})) rect.setAttribute(name, value);
    for (const [[x, y], corner] of corners) { corner.setAttribute("cx", box[x]); corner.setAttribute("cy", box[y]); }
  };
  const write = (values) => { box.splice(0, 4, ...values); draw(); tell(); };
  makeMovable(stage, rect, () => box.slice(0, 2), (x, y) => {
    const [x0, y0, x1, y1] = box, left = within(x, stage.width - (x1 - x0)), top = within(y, stage.height - (y1 - y0));
    write([left, top, within(left + x1 - x0, stage.width), within(top + y1 - y0, stage.height)]);
  }, remove);
  for (const [[x, y], corner] of corners) makeMovable(stage, corner, () => [box[x], box[y]], (right, low) => {
    const sides = [...box], keep = (side, at, most) => within(at < 2 ? Math.min(side, sides[at + 2] - 1) : Math.max(side, sides[at - 2] + 1), most);
    sides[x] = keep(right, x, stage.width);
    sides[y] = keep(low, y, stage.height);
    write(sides);
  }, remove);
  draw();
  return drawn("g", {class: "hub-crate"}, rect, ...corners.map(([, corner]) => corner));
};

const drawKnob = (stage, point, number, tell, remove) => {
  const label = stage.panel.dataset.point.replace("{number}", number);
  const group = drawn("g", {class: point[2] ? "hub-knob" : "hub-knob hub-knob-out", "aria-label": label}, drawn("circle", {class: "hub-knob-grip"}), drawn("circle"));
  const draw = () => { group.style.transform = `translate(${point[0]}px, ${point[1]}px)`; };
  makeMovable(stage, group, () => point.slice(0, 2), (x, y) => {
    point.splice(0, 2, within(x, stage.width), within(y, stage.height));
    draw();
    tell();
  }, remove);
  draw();
  return group;
};

// --- an area --------------------------------------------------------------------------------------

const editMask = (stage, write) => {
  const scale = Math.min(1, MASK_PX / Math.max(stage.width, stage.height));
  const canvas = document.createElement("canvas"), painted = canvas.getContext("2d", {willReadFrequently: true});
  [canvas.width, canvas.height] = [stage.width, stage.height].map((side) => Math.max(1, Math.round(side * scale)));
  stage.frame.append(canvas);
  const colour = getComputedStyle(stage.panel).getPropertyValue("--hub-draw").trim() || "#e11d48";
  let last = null, own = "", count = 0, showing = 0;
  const at = (event) => {
    const place = canvas.getBoundingClientRect();
    return [((event.clientX - place.left) * canvas.width) / place.width, ((event.clientY - place.top) * canvas.height) / place.height];
  };
  const stroke = (to) => {
    painted.globalCompositeOperation = stage.panel.querySelector("[data-erase]").checked ? "destination-out" : "source-over";
    painted.strokeStyle = colour;
    painted.lineWidth = Math.max(1, (stage.panel.querySelector("[data-brush]").value / 100) * Math.max(canvas.width, canvas.height));
    painted.lineCap = painted.lineJoin = "round";
    painted.beginPath();
    painted.moveTo(...last);
    painted.lineTo(...to);
    painted.stroke();
    last = to;
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    last = at(event);
    stroke(last);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (last) for (const one of event.getCoalescedEvents?.() ?? [event]) stroke(at(one));
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => {
    if (!last) return;
    last = null;
    send();
  });
  // White where it is painted, black elsewhere.
  const send = () => {
    const {width, height} = canvas, {data} = painted.getImageData(0, 0, width, height);
    const file = document.createElement("canvas"), context = file.getContext("2d");
    [file.width, file.height] = [width, height];
    const mask = context.createImageData(width, height);
    let any = false;
    for (let i = 0; i < data.length; i += 4) {
      const isIn = data[i + 3] > 127;
      any ||= isIn;
      mask.data[i] = mask.data[i + 1] = mask.data[i + 2] = isIn ? 255 : 0;
      mask.data[i + 3] = 255;
    }
    if (!any) { own = ""; write(null); return; }
    context.putImageData(mask, 0, 0);
    own = `painted-${Date.now()}-${++count}.png`;
    const named = own;
    write(new Promise((done) => file.toBlob((blob) => done(new File([blob], named, {type: "image/png"})), "image/png")));
  };
  return {
    show: async (given) => {
      const url = given?.url ?? "";
      if (last || (own && url.includes(own))) return; // it is what was painted here
      const mine = ++showing;
      if (!url) { painted.clearRect(0, 0, canvas.width, canvas.height); return; }
      const image = new Image();
      image.src = url;
      try { await image.decode(); } catch { return; }
      if (mine !== showing || last) return; // another was given meanwhile, or more is being painted
      painted.globalCompositeOperation = "source-over";
      painted.clearRect(0, 0, canvas.width, canvas.height);
      painted.imageSmoothingEnabled = false;
      painted.drawImage(image, 0, 0, canvas.width, canvas.height);
      const pixels = painted.getImageData(0, 0, canvas.width, canvas.height), {data} = pixels;
      for (let i = 0; i < data.length; i += 4) data[i + 3] = 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2] > 127 ? 255 : 0;
      painted.putImageData(pixels, 0, 0);
      painted.globalCompositeOperation = "source-in";
      painted.fillStyle = colour;
      painted.fillRect(0, 0, canvas.width, canvas.height);
    },
  };
};
