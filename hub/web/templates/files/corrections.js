// What is said of an answer is read from its form; boxes can be added and taken away. places.js comes before this.
const readPart = (part) => {
  const numbers = (row) => [...row.querySelectorAll("input[type=number]")].map((one) => (one.value === "" ? null : Number(one.value)));
  const kind = part.dataset.kind;
  if (kind === "class") return (part.querySelector("input:checked") || part.querySelector("select") || {}).value || undefined;
  if (kind === "tags") return [...part.querySelectorAll("input:checked")].map((one) => one.value);
  if (kind === "number") return numbers(part)[0] ?? undefined;
  if (kind === "numbers") return numbers(part);
  if (kind === "points") {
    const rows = [...part.querySelectorAll("tr[data-row]")].map((row) => [row.dataset.row, numbers(row)]);
    return Object.fromEntries(rows.map(([name, at]) => [name, at.includes(null) ? null : at]));
  }
  if (kind === "boxes") {
    return [...part.querySelectorAll("tbody tr")].map((row) => Object.fromEntries(
      [...row.querySelectorAll("input")].map((one) => [one.dataset.of, one.type === "number" ? Number(one.value) : one.value])));
  }
  return part.querySelector("textarea").value;
};
const readCorrection = (form) => {
  const parts = [...form.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, readPart(part)]);
  return Object.fromEntries(parts.filter(([, value]) => value !== undefined));
};
const tendCorrections = (root, send) => {
  root.addEventListener("click", (event) => {
    if (event.target.closest("[data-less]")) event.target.closest("tr").remove();
    const add = event.target.closest("[data-add]");
    if (add) {
      const part = add.closest("[data-part]"), row = part.querySelector("template").content.cloneNode(true);
      part.querySelector("details").open = true;
      part.querySelector("tbody").append(row);
      part.querySelector("tbody tr:last-child input").focus();
    }
  });
  root.addEventListener("change", (event) => {
    if (event.target.name === "verdict" && event.target.value === "wrong") openPlaces(event.target.form);
  });
  root.addEventListener("submit", (event) => {
    const form = event.target.closest("form[data-correction]");
    if (form) send(form, readCorrection(form), event);
  });
};
