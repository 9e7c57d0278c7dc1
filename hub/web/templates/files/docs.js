// Draws the OpenAPI document with Swagger UI, which a package brings: nothing comes from elsewhere.
const place = document.querySelector("[data-docs]");
const dark = matchMedia("(prefers-color-scheme: dark)");
const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
paint();
dark.addEventListener("change", paint);
SwaggerUIBundle({
  url: new URL(place.dataset.docs, location.href).href,
  domNode: place,
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: -1,
  displayRequestDuration: true,
  filter: true,
  tryItOutEnabled: true,
  validatorUrl: null, // else it would send the document to a website
  syntaxHighlight: { activated: true, theme: "nord" },
});
