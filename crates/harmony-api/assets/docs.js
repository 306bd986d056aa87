// A heading over the groups of operations, which are two levels below the title.
const headed = () => ({
  wrapComponents: {
    operations: (Operations, { React }) => (properties) => React.createElement(React.Fragment, null,
      React.createElement("h2", { className: "unseen" }, "Operations"), React.createElement(Operations, properties)),
  },
});

// Without deep links, since those are links inside of buttons, and without the bar that asks for another description.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  layout: "BaseLayout",
  deepLinking: false,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
  plugins: [headed],
});
