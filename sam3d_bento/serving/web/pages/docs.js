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

// A form proposes a value for each field, such as "string". Here a field without a default stays empty and is not sent.
const isLeftEmpty = (field) => !("default" in field) && field.format !== "binary";
const leaveFieldsEmpty = (document) => {
  const { schemas } = document.components;
  const target = (field) => schemas[field.$ref?.split("/").at(-1)] ?? {};
  for (const form of Object.keys(schemas).filter((name) => name.endsWith("Form")).map((name) => schemas[name])) {
    for (const [name, field] of Object.entries(form.properties)) {
      const { $ref, ...own } = field;
      const { examples, ...referred } = target(field);
      const declared = { ...referred, ...own };
      const empty = declared.type === "array" ? [] : "";
      if (isLeftEmpty(declared)) form.properties[name] = { ...declared, example: empty };
    }
  }
  return document;
};
const withEmptyFields = () => ({
  statePlugins: {
    spec: { wrapActions: { updateJsonSpec: (original) => (document) => original(leaveFieldsEmpty(document)) } },
  },
});

// For a list of files, Swagger UI looks for a component of this name and complains without one. Files alone are texts to it.
const withFilesInLists = (system) => ({
  components: {
    JsonSchema_string_binary: (properties) => system.React.createElement(system.getComponent("JsonSchema_string"), properties),
  },
});

window.SwaggerUIBundle({
  url: "docs.json",
  domNode: document.getElementById("api"),
  deepLinking: true, // an operation has an address
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  validatorUrl: null, // no other host is asked whether the document is valid
  plugins: [withoutHead, withEmptyFields, withFilesInLists],
});

const dark = matchMedia("(prefers-color-scheme: dark)");
const { theme } = document.documentElement.dataset;
const shade = () => document.documentElement.classList.toggle("dark-mode", theme === "system" ? dark.matches : theme === "dark");
dark.addEventListener("change", shade);
shade();
