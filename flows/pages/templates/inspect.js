/* The inspector's page: form, progress, and two runs side by side. */
"use strict";
(() => {
  const PAUSE = 150;      // milliseconds between two questions about progress
  const SETTLE = 250;     // after a change, before a run begins by itself
  const at = id => document.getElementById(id);
  const form = at("form"), current = at("current"), pinned = at("pinned");
  let timer = 0, again = false, running = false;

  const ask = async (method, body) => {
    const answer = await fetch("run", {method, body: body && JSON.stringify(body),
      headers: body ? {"Content-Type": "application/json"} : {}});
    return {ok: answer.ok, ...await answer.json()};
  };

  /** Show the fields of the chosen system only. */
  function choose() {
    for (const field of form.querySelectorAll("[data-systems]")) {
      const shown = field.dataset.systems.split(" ").includes(at("system").value);
      field.hidden = !shown;
      for (const input of field.querySelectorAll("input, select, textarea")) input.disabled = !shown;
    }
  }

  /** What the form says, by name of its fields. */
  function said() {
    const {system, ...texts} = Object.fromEntries(new FormData(form));
    return {system, texts};
  }

  /** Text of a slider's place: the power of ten it stands for, in few digits. */
  const text = slider => "logarithmic" in slider.dataset
    ? String(Number((10 ** slider.value).toPrecision(2))).replace("e+", "e") : slider.value;

  function follow(slider) {
    const x = Number(at(slider.dataset.for).value);
    if (x > 0 || !("logarithmic" in slider.dataset))
      slider.value = "logarithmic" in slider.dataset ? Math.log10(x) : x;
    slider.setAttribute("aria-valuetext", at(slider.dataset.for).value);
  }

  function complain(message, field) {
    for (const place of form.querySelectorAll(".error")) {
      const here = Boolean(message) && place.id === `${field ?? "form"}-error`;
      place.hidden = !here;
      place.textContent = here ? message : "";
      const input = at(place.id.replace("-error", ""));
      if (place.id !== "form-error") input?.setAttribute("aria-invalid", here);
      if (here) place.closest("details")?.setAttribute("open", "");
    }
  }

  function report({status, fraction, message}) {
    running = status === "running";
    at("cancel").disabled = !running;
    at("progress").value = fraction;
    at("status").textContent = status === "running" ? `running: ${message}` : status;
  }

  /** Begin the run that the form describes, or a given one; what goes on is cancelled first. */
  async function run(job) {
    if (running) {
      again = true;
      return report(await ask("DELETE"));
    }
    running = true;
    complain("");
    const {ok} = await ask("POST", job ?? said());
    if (!ok) {  // another page's run goes on: the last one who asks is served
      again = true;
      await ask("DELETE");
    }
    await watch();
    if (again) {
      again = false;
      await run(job);
    }
  }

  async function watch() {
    for (;;) {
      const progress = await ask("GET");
      report(progress);
      if (progress.status === "failed") {
        const known = progress.field && at(`${progress.field}-error`);
        complain(progress.message, known && !known.closest("[hidden]:not(.error)") ? progress.field : null);
      }
      if (progress.status === "done" && !again) show(progress.html);
      if (progress.status !== "running") return;
      await new Promise(done => setTimeout(done, PAUSE));
    }
  }

  function show(html) {
    current.innerHTML = html;
    current.querySelector("h2").after(popflow.make("button",
      {type: "button", onclick: pin}, "Pin this run beside the next one"));
    popflow.explore(current);
  }

  /** Keep the current run beside those that follow. */
  function pin() {
    pinned.replaceChildren(...current.childNodes);
    pinned.hidden = false;
    const button = pinned.querySelector("button");
    button.replaceWith(popflow.make("button", {type: "button", onclick: () => {
      pinned.hidden = true;
      pinned.replaceChildren();
      at("main").classList.remove("two");
      at("main").focus();
    }}, "Unpin"));
    at("main").classList.add("two");
    current.replaceChildren(popflow.make("p", {class: "faint"}, "The next run will be here."));
    at("run").focus();
  }

  // The same time in both runs.
  document.addEventListener("popflow-time", event => {
    for (const other of document.querySelectorAll(".explorer"))
      if (other !== event.target) other.explorer?.near(event.detail, false);
  });

  const later = () => {
    clearTimeout(timer);
    if (at("live").checked) timer = setTimeout(() => run(), SETTLE);
  };
  for (const slider of form.querySelectorAll("[data-for]")) {
    slider.addEventListener("input", () => {
      at(slider.dataset.for).value = text(slider);
      slider.setAttribute("aria-valuetext", text(slider));
    });
    at(slider.dataset.for).addEventListener("input", () => follow(slider));
    slider.setAttribute("aria-valuetext", at(slider.dataset.for).value);
  }
  at("system").addEventListener("change", choose);
  form.addEventListener("change", event => event.target.id !== "live" && later());
  form.addEventListener("submit", event => {
    event.preventDefault();
    clearTimeout(timer);
    run();
  });
  at("cancel").addEventListener("click", async () => report(await ask("DELETE")));

  choose();
  run(form.dataset.file ? {} : null);
})();
