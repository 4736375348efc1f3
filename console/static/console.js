// Charts, copy buttons, colours, and what renews live parts. Everything else works without a script.
"use strict";
(() => {
  const TICK_MS = 4000;
  const DASHES = [[], [7, 4], [2, 3], [11, 4, 2, 4], [4, 2], [1, 4]];
  const plots = new Map();

  const probe = document.createElement("i"); // its colour is a token's, light or dark as the page is
  const token = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(document.body.appendChild(probe)).color;
  };

  function draw(holder) {
    const source = document.getElementById(`${holder.id}-data`);
    if (!source) return;
    const data = JSON.parse(source.textContent);
    const indexes = data.labels.map((_, index) => index);
    const single = data.series.filter((one) => !one.dashed).length === 1;
    const bars = (one) => (data.stacked || single) && !one.dashed;
    const grid = { stroke: token("line"), width: 1 };
    const ink = token("muted");
    const font = "12px system-ui, sans-serif";
    const options = {
      width: Math.max(holder.clientWidth, 200),
      height: holder.clientWidth < 500 ? 220 : 280,
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 8 } },
      scales: { x: { time: false, range: [-0.6, indexes.length - 0.4] }, y: { range: (_, low, high) => [Math.min(0, low * 1.08), high > 0 ? high * 1.08 : low < 0 ? 0 : 1] } },
      axes: [
        { stroke: ink, grid: { show: false }, ticks: grid, font, space: 64, incrs: [1, 2, 3, 5, 7, 10, 14, 30, 60, 90, 180, 365], values: (_, at) => at.map((index) => data.ticks[index] ?? "") },
        { stroke: ink, grid, ticks: { show: false }, font, size: 58, incrs: [0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7, 1e8, 1e9, 1e10, 1e12, 1e15], values: (_, at) => at.map((value) => value.toLocaleString("en", { notation: value >= 1e5 ? "compact" : "standard" })) },
      ],
      series: [
        { label: "when", value: (_u, _v, _s, index) => (index == null ? "point at a day" : data.labels[index]) },
        ...data.series.map((one, at) => ({
          label: one.label,
          stroke: token(one.colour),
          fill: bars(one) ? token(one.colour) : undefined,
          width: bars(one) ? 0 : 2,
          dash: bars(one) ? undefined : one.dashed ? [5, 4] : DASHES[at % DASHES.length],
          paths: bars(one) ? uPlot.paths.bars({ size: [0.7, 60], radius: 0.15 }) : undefined,
          points: { show: !single && indexes.length === 1 },
          value: (_u, _v, _s, index) => (index == null ? "–" : one.texts?.[index] ?? one.values[index].toLocaleString("en")),
        })),
      ],
    };
    holder.replaceChildren();
    plots.set(holder, new uPlot(options, [indexes, ...data.series.map((one) => one.values)], holder));
  }

  function drawAll() {
    for (const [holder, plot] of plots) {
      plot.destroy();
      plots.delete(holder);
    }
    document.querySelectorAll(".plot").forEach(draw);
  }

  let resizing;
  addEventListener("resize", () => {
    clearTimeout(resizing);
    resizing = setTimeout(drawAll, 150);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  document.addEventListener("htmx:after:swap", () => {
    if (document.querySelector(".plot:empty")) drawAll();
    for (const field of document.querySelectorAll(".new")) field.value = ""; // it is a filter now
  });

  // Colours: as the system, light, dark, and round again. The cookie lets the server send the page in them at once.
  const themes = { "": "light", light: "dark", dark: "" };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("#theme");
    if (!button) return;
    const theme = themes[document.documentElement.dataset.theme ?? ""];
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    document.cookie = `theme=${theme}; path=/; max-age=${theme ? 31536000 : 0}; SameSite=Lax`;
    button.setAttribute("aria-label", `Colours: ${theme || "as the system"}`);
    drawAll();
  });

  // The values that the chosen property has, as suggestions beside it.
  // A filter that is still being made asks for nothing yet, so the form does not hear of it.
  async function suggest(select) {
    const list = document.getElementById("values");
    list.replaceChildren();
    if (!select.value) return;
    const url = new URL(select.dataset.values, location.href);
    url.searchParams.set("split", select.value);
    const answer = await fetch(url);
    if (answer.ok) list.innerHTML = await answer.text();
  }
  document.addEventListener("change", (event) => {
    if (!event.target.matches(".new")) return;
    event.stopPropagation();
    if (event.target.dataset.values) suggest(event.target);
  }, true);

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const text = document.getElementById(button.dataset.copy).textContent.trim();
    const label = (button.dataset.label ??= button.textContent);
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select and copy it by hand";
    }
    setTimeout(() => (button.textContent = label), 2000);
  });

  // The editor: a mistake leads to its place, and a piece of YAML goes where the cursor's line ends.
  document.addEventListener("click", (event) => {
    const text = document.getElementById("yaml");
    const mistake = event.target.closest("[data-goto]");
    const piece = event.target.closest("[data-insert]");
    if (!text || !(mistake || piece)) return;
    text.focus();
    if (mistake) {
      const [line, column] = mistake.dataset.goto.split(":").map(Number);
      const lines = text.value.split("\n");
      const at = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0) + column - 1;
      text.setSelectionRange(at, lines.slice(0, line).join("\n").length);
    } else {
      const end = text.value.indexOf("\n", text.selectionEnd);
      const at = end < 0 ? text.value.length : end + 1;
      const before = at && text.value[at - 1] !== "\n" ? "\n" : "";
      text.setRangeText(before + piece.dataset.insert, at, at, "end");
      text.dispatchEvent(new Event("input", { bubbles: true }));
    }
  });

  // "/" leads to the search from wherever one is not writing; the arrows lead through what it finds.
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const at = event.target;
    if (event.key === "/" && !at.closest("input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]")) {
      const field = document.getElementById("find");
      if (!field) return;
      event.preventDefault();
      field.focus();
      field.select();
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && at.matches("#find, .hit")) {
      const hits = [document.getElementById("find"), ...document.querySelectorAll("#found .hit")];
      const next = hits[hits.indexOf(at) + (event.key === "ArrowDown" ? 1 : -1)];
      if (!next) return;
      event.preventDefault();
      next.focus();
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.id === "sql") event.target.form.requestSubmit();
  });

  // The builder: what others depend on makes the form anew; what is being typed meanwhile stays, and so does the focus.
  document.addEventListener("change", (event) => {
    if (event.target.matches("#building .shapes")) document.getElementById("reshape").click();
  });
  let typing;
  let unfolded = [];
  document.addEventListener("htmx:before:swap", () => {
    const used = document.activeElement?.closest(".addstep button")?.closest(".addstep"); // a step comes there now
    unfolded = [...document.querySelectorAll("#building details[id][open]")].filter((one) => one !== used).map((one) => one.id);
    const at = document.activeElement?.closest("#building :is(input, select, textarea, button, summary)");
    typing = at && { id: at.id, value: at.value, text: at.matches("input, textarea") };
  });
  document.addEventListener("htmx:after:swap", () => {
    const building = document.getElementById("building");
    for (const id of unfolded) document.getElementById(id)?.setAttribute("open", "");
    if (!building || !typing || building.contains(document.activeElement)) return;
    const told = document.getElementById(building.querySelector("[data-focus]")?.dataset.focus);
    if (told && !typing.id) {
      const inside = [...told.querySelectorAll(":scope > :is(.sentence, .groupof) :is(select, textarea, input:not([type=hidden]))")];
      const how = building.querySelector("[data-focus]").dataset.how;
      const moves = told.querySelector(`:scope > .adds [data-move=${how}]`) ?? told.querySelector(":scope > .adds [data-move]");
      (told.matches("button") ? told : how === "last" ? inside.pop() : how === "first" ? inside[0] ?? moves : moves)?.focus();
      typing = undefined;
      return;
    }
    const again = typing.id && document.getElementById(typing.id);
    if (again && typing.text) again.value = typing.value;
    const fields = building.querySelectorAll("fieldset select");
    (again || fields[fields.length - 1] || building.querySelector("button"))?.focus();
    typing = undefined;
  });
  document.addEventListener("htmx:after:swap", (event) => event.detail.ctx?.target?.id === "building" && tell("built"));

  // The flow editor: a step that is wrong is marked, and moves by Alt and the arrows.
  document.addEventListener("htmx:after:swap", (event) => {
    const checked = event.detail.ctx?.target;
    if (checked?.id !== "checked") return;
    const told = {};
    for (const one of checked.querySelectorAll("[data-at]")) (told[one.dataset.at] ??= []).push(one.querySelector("bdi").textContent);
    for (const place of document.querySelectorAll("[data-wrong]")) {
      const text = (told[place.dataset.wrong] ?? []).join("; ");
      if (place.textContent !== text) place.firstElementChild.textContent = text;
      place.hidden = !text;
      place.closest("fieldset")?.classList.toggle("bad", Boolean(text));
    }
  });
  document.addEventListener("htmx:after:swap", () => {
    const mail = document.querySelector("#drafted:not([data-seen])");
    if (!mail) return;
    mail.dataset.seen = "";
    mail.focus();
  });
  document.addEventListener("keydown", (event) => {
    const way = { ArrowUp: "up", ArrowDown: "down" }[event.key];
    const button = way && event.altKey && event.target.closest?.(".lane .step")?.querySelector(`:scope > .adds [data-move=${way}]`);
    if (!button) return;
    event.preventDefault();
    button.focus();
    button.click();
  });

  // Tags of a mail: a menu is filled when it opens; the chosen one goes where the cursor was, and so does the focus.
  let written;
  document.addEventListener("focusin", (event) => {
    if (event.target.matches("#building :is(input, textarea)")) written = event.target.id;
  });
  const fill = (menu) => {
    const offered = document.getElementById("tags")?.innerHTML ?? "<p>No tags are known yet.</p>";
    if (menu.lastElementChild.innerHTML !== offered) menu.lastElementChild.innerHTML = offered;
  };
  document.addEventListener("htmx:after:swap", (event) => {
    if (event.detail.ctx?.target?.id === "checked") document.querySelectorAll(".tags[open]").forEach(fill);
  });
  document.addEventListener("toggle", (event) => {
    if (!event.target.open || !event.target.matches(".tags")) return;
    fill(event.target);
    for (const other of document.querySelectorAll(".tags[open]")) if (other !== event.target) other.open = false;
  }, true);
  document.addEventListener("click", (event) => {
    const menu = event.target.closest(".tags");
    if (!menu) for (const other of document.querySelectorAll(".tags[open]")) other.open = false;
    const tag = event.target.closest("[data-tag]");
    if (!tag || !menu) return;
    const field = document.getElementById(menu.dataset.into);
    const [from, to] = written === field.id ? [field.selectionStart, field.selectionEnd] : [field.value.length, field.value.length];
    field.setRangeText(tag.dataset.tag, from, to, "end");
    menu.open = false;
    field.focus();
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });
  document.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && event.target.closest?.(".tags[open]");
    if (!menu) return;
    menu.open = false;
    menu.firstElementChild.focus();
  });

  // Nobody looks at a hidden tab, so it asks for nothing.
  const seen = () => document.visibilityState === "visible";
  const tell = (what) => document.body.dispatchEvent(new CustomEvent(what));
  setInterval(() => seen() && tell("tick"), TICK_MS);

  // The server says when something was written; what is live on the page then renews itself, once a second at most.
  let source, waiting;
  function say(text) {
    for (const mark of document.querySelectorAll(".livemark[data-live]")) {
      mark.lastElementChild.textContent = text;
      mark.classList.toggle("away", text !== "live");
    }
  }
  function listen() {
    const wanted = document.querySelector("[data-live]") && seen();
    if (!wanted) {
      source?.close();
      source = undefined;
    } else if (!source) {
      source = new EventSource("/live");
      source.addEventListener("open", () => say("live"));
      source.addEventListener("error", () => say("connecting"));
      source.addEventListener("away", () => say("ClickHouse does not answer"));
      source.addEventListener("change", () => {
        say("live");
        waiting ??= setTimeout(() => {
          waiting = undefined;
          tell("fresh");
        }, 250);
      });
    }
  }
  document.addEventListener("visibilitychange", listen);
  addEventListener("pagehide", () => source?.close());

  drawAll();
  listen();
})();
