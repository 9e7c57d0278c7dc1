// On a page of ours the form goes by itself, with what is right in one field.
tendCorrections(document, (form, correction) => {
  form.elements.correction.value = form.elements.verdict.value === "wrong" ? JSON.stringify(correction) : "";
});
