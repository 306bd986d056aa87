// What axe-core, which is here already, finds on this page: each rule as one.
const done = arguments[0];
axe.run(document, {
  runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"],
  rules: { "target-size": { enabled: true } },
  resultTypes: ["violations"],
  preload: false,
}).then(
  ({ violations }) => done(violations.map(({ id, impact, help, nodes }) => {
    const where = nodes.map(({ html, failureSummary }) => `\n    ${html}\n      ${failureSummary.replaceAll("\n", "\n      ")}`);
    return `axe ${id} (${impact}): ${help}${where.join("")}`;
  })),
  (error) => done([`axe itself: ${error}`]),
);
