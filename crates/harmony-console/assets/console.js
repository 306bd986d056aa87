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

let stored = !document.querySelector("[data-reveal]");

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const done = await copy(document.getElementById(button.dataset.copy));
    if (done && button.dataset.copy === "key") stored = true;
    tell(done ? "Copied." : "Copying was not possible: select the text and copy it yourself.");
  });
}

for (const button of document.querySelectorAll("[data-download]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const line = `${button.dataset.download}=${document.getElementById("key").value}\n`;
    const url = URL.createObjectURL(new Blob([line], { type: "text/plain" }));
    Object.assign(document.createElement("a"), { href: url, download: "harmony.env" }).click();
    URL.revokeObjectURL(url);
    stored = true;
  });
}

document.querySelector("[data-secret]")?.addEventListener("focus", (event) => event.target.select());
document.querySelector("[data-stored]")?.addEventListener("click", () => { stored = true; });
addEventListener("beforeunload", (event) => { if (!stored) event.preventDefault(); });
// A page that the browser keeps for its back button must not keep the key.
addEventListener("pagehide", () => { for (const field of document.querySelectorAll("[data-secret]")) field.value = ""; });

for (const link of document.querySelectorAll("a[data-dialog]")) {
  link.addEventListener("click", async (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || !window.HTMLDialogElement) return;
    event.preventDefault();
    const answer = await fetch(link.href).catch(() => null);
    if (!answer?.ok || answer.redirected) { location.href = link.href; return; }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const dialog = document.createElement("dialog");
    const title = page.querySelector("h1"), form = page.querySelector("main form");
    title.id = "dialog-title";
    dialog.setAttribute("aria-labelledby", title.id);
    dialog.append(title, form);
    document.body.append(dialog);
    dialog.addEventListener("close", () => { dialog.remove(); link.focus(); });
    dialog.querySelector("[data-close]")?.addEventListener("click", (click) => { click.preventDefault(); dialog.close(); });
    dialog.showModal();
    form.querySelector("[autofocus]")?.focus();
  });
}

// A form that is sent twice is sent once.
addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "1";
});
addEventListener("pageshow", () => { for (const form of document.forms) delete form.dataset.sent; });
