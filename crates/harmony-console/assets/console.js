// What JavaScript adds: copying, the .env file, the dialog. Every page works without it.

async function copy(field) {
  const text = field.value ?? field.textContent;
  if (navigator.clipboard) {
    try { await navigator.clipboard.writeText(text); return true; } catch { /* by hand below */ }
  }
  // Plain HTTP on a local network has no clipboard interface.
  const box = field.select ? field : Object.assign(document.createElement("textarea"), { value: text });
  if (box !== field) document.body.append(box);
  box.select();
  const done = document.execCommand("copy");
  if (box !== field) box.remove();
  return done;
}

function tell(text) {
  const place = document.querySelector("[data-copied]");
  if (place) place.textContent = text;
}

// The first field that was entered wrongly; of choices the one that was chosen.
function wrongIn(part) {
  const fields = ":is(input:not([type=hidden], [type=radio]), input:checked, select, textarea)";
  return part.querySelector(`.field:has(.wrong):not(:has(.field .wrong)) ${fields}`);
}
if (!document.querySelector("[autofocus]")) wrongIn(document)?.focus();

let stored = true;

// Shows the buttons that need JavaScript, and remembers whether something is shown that will not be shown again.
function dress(part) {
  for (const button of part.querySelectorAll("[data-copy], [data-download]")) button.hidden = false;
  if (part.querySelector("[data-reveal]")) stored = false;
}
dress(document);

const onClick = {
  async "[data-copy]"(button) {
    const done = await copy(document.getElementById(button.dataset.copy));
    if (done && button.dataset.copy === "key") stored = true;
    tell(done ? "Copied." : "Copying was not possible: select the text and copy it yourself.");
  },
  "[data-download]"(button) {
    const line = `${button.dataset.download}=${document.getElementById("key").value}\n`;
    const url = URL.createObjectURL(new Blob([line], { type: "text/plain" }));
    Object.assign(document.createElement("a"), { href: url, download: "harmony.env" }).click();
    URL.revokeObjectURL(url);
    stored = true;
  },
  "[data-stored]"() { stored = true; },
  "a[data-dialog]": openDialog,
  "dialog [data-close]"(link, event) { event.preventDefault(); link.closest("dialog").close(); },
};
addEventListener("click", (event) => {
  for (const [which, act] of Object.entries(onClick)) {
    const clicked = event.target.closest?.(which);
    if (clicked) act(clicked, event);
  }
});

addEventListener("focusin", ({ target }) => { if (target.matches?.("[data-secret]")) target.select(); });
addEventListener("beforeunload", (event) => { if (!stored) event.preventDefault(); });
// A page that the browser keeps for its back button must not keep the key.
addEventListener("pagehide", () => { for (const field of document.querySelectorAll("[data-secret]")) field.value = ""; });

// The dialog: what its page has in the middle, but for the way back, which lies behind the dialog.

async function pageOf(answer) {
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

async function openDialog(link, event) {
  if (event.ctrlKey || event.metaKey || event.shiftKey || !window.HTMLDialogElement) return;
  event.preventDefault();
  const answer = await fetch(link.href).catch(() => null);
  if (!answer?.ok || answer.redirected) { location.href = link.href; return; }
  const page = await pageOf(answer);
  if (document.querySelector("dialog")) return;
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-labelledby", "dialog-title");
  dialog.addEventListener("close", () => { dialog.remove(); link.focus(); });
  document.body.append(dialog);
  dialog.showModal();
  fill(dialog, page);
}

function fill(dialog, page) {
  page.querySelector("h1").id = "dialog-title";
  page.querySelector(".crumb")?.remove();
  dialog.replaceChildren(...page.querySelector("main").children);
  dialog.scrollTop = 0;
  (wrongIn(dialog) ?? dialog.querySelector("[autofocus]"))?.focus();
}

// Sends the dialog's form. One with mistakes comes back into the dialog; what was made takes the place of the page, under the
// page's own address, so that no way leads back to it.
async function send(form, dialog) {
  const answer = await fetch(form.action, { method: "post", body: new URLSearchParams(new FormData(form)) }).catch(() => null);
  if (!answer) {
    delete form.dataset.sent;
    tellIn(form, "The server does not answer. Try again in a moment.");
    return;
  }
  if (answer.redirected) { location.href = answer.url; return; }
  const page = await pageOf(answer);
  if (page.querySelector("main form")) { fill(dialog, page); return; }
  const main = page.querySelector("main"), title = main.querySelector("h1");
  document.title = page.title;
  document.querySelector("main").replaceWith(main);
  dialog.close();
  dress(main);
  title.tabIndex = -1;
  title.focus();
  scrollTo(0, 0);
}

function tellIn(form, text) {
  const told = form.querySelector("[data-told]") ?? Object.assign(document.createElement("p"), { className: "wrong", role: "alert" });
  told.dataset.told = "";
  told.textContent = text;
  form.append(told);
}

// A form that is sent twice is sent once.
addEventListener("submit", (event) => {
  const form = event.target, dialog = form.closest("dialog");
  if (form.method !== "post") return;
  if (form.dataset.sent || dialog) event.preventDefault();
  if (form.dataset.sent) return;
  form.dataset.sent = "1";
  if (dialog) send(form, dialog);
});
addEventListener("pageshow", () => { for (const form of document.forms) delete form.dataset.sent; });

// Whoever enters a date has chosen it.
addEventListener("input", ({ target }) => {
  const choice = document.getElementById(target.dataset?.chooses);
  if (choice) choice.checked = true;
});
