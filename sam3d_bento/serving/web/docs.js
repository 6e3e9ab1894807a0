// The page of the API: Swagger UI shows docs.json.

// Each GET has a HEAD, which would double the list.
const isShown = (operation) => operation.get("method") !== "head";
const withoutHead = () => ({
  statePlugins: {
    spec: {
      wrapSelectors: {
        taggedOperations: (original, system) => (...given) => {
          const found = original(...given);
          const tags = typeof found === "function" ? found(system) : found;
          return tags.map((tag) => tag.set("operations", tag.get("operations").filter(isShown)));
        },
      },
    },
  },
});

window.SwaggerUIBundle({
  url: "docs.json",
  domNode: document.getElementById("api"),
  deepLinking: true, // an operation has an address
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  validatorUrl: null, // no other host is asked whether the document is valid
  plugins: [withoutHead],
});

const dark = matchMedia("(prefers-color-scheme: dark)");
const shade = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", shade);
shade();
