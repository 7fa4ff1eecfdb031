// The page of an expert. With a server, votes are sent to it; in a file without one, they are kept
// in the browser and saved as JSON. Everything else is the same.
"use strict";
(() => {
  const REFILL = 30, BLOCK = 60, AHEAD = 4, AGAIN_MS = 1000, RULER_UM = 10;
  const $ = (id) => document.getElementById(id);
  const facts = JSON.parse($("facts").textContent);
  const ANSWERS = facts.answers.map(([answer, words]) => [answer, words[0].toUpperCase() + words.slice(1)]);
  const WORDS = Object.fromEntries(ANSWERS);
  const key = `atypia/${facts.study}/${facts.name}`;
  const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, "0")).join("");

  function remember(name, value) {
    try { localStorage.setItem(`${key}/${name}`, JSON.stringify(value)); return true; } catch { return false; }
  }
  function recall(name, otherwise) {
    try { return JSON.parse(localStorage.getItem(`${key}/${name}`)) ?? otherwise; } catch { return otherwise; }
  }

  class StaleError extends Error {}
  class RefusedError extends Error {}

  // Votes go to a server, in order; what it has not acknowledged is kept, and sent again.
  class Served {
    constructor() { this.pending = recall("pending", []); this.sending = null; this.change = 0; }

    async ask(path, body) {
      const options = body === undefined ? {} : {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
      };
      const response = await fetch(path, { ...options, cache: "no-store" });
      if (response.ok) return response.json();
      const text = (await response.json().catch(() => ({}))).detail ?? response.statusText;
      if (response.status === 409) throw new StaleError(text);
      if (response.status >= 500) throw new Error(text);
      throw new RefusedError(text);
    }

    // Only a page that shows what it loaded knows of votes given elsewhere.
    async load(count, shown) {
      const state = await this.ask(`next?count=${count}`);
      if (shown) this.change = state.change;
      return state;
    }

    async start() {
      const state = await this.ask(`next?count=${BLOCK}`);
      this.change = state.change;
      if (this.pending.length) { this.flush(); await this.flushed(); return this.ask(`next?count=${BLOCK}`); }
      return state;
    }

    picture(item, side) { return `picture/${item.id}?um=${side}`; }

    vote(votes) {
      this.pending.push({ votes });
      remember("pending", this.pending);
      this.flush();
    }

    flush() { this.sending ??= this.send().finally(() => { this.sending = null; }); }

    async send() {
      while (this.pending.length) {
        try {
          const answer = await this.ask("votes", { after: this.change, votes: this.pending[0].votes });
          this.change = answer.change;
          this.pending.shift();
          remember("pending", this.pending);
          showSaving("");
        } catch (fault) {
          if (fault instanceof StaleError || fault instanceof RefusedError) {
            this.pending = [];
            remember("pending", []);
            await reload(fault.message);
            return;
          }
          showSaving(`Not saved yet, trying again: ${this.pending.length}. ${fault.message}`, true);
          await new Promise((done) => setTimeout(done, AGAIN_MS));
        }
      }
    }

    async flushed() { while (this.sending) await this.sending; }

    async undo(votes) {
      await this.flushed();
      const request = newId();
      for (;;) {
        try {
          this.change = (await this.ask("undo", { after: this.change, request, votes })).change;
          showSaving("");
          return;
        } catch (fault) {
          if (fault instanceof StaleError || fault instanceof RefusedError) { await reload(fault.message); return; }
          showSaving(`Not undone yet, trying again. ${fault.message}`, true);
          await new Promise((done) => setTimeout(done, AGAIN_MS));
        }
      }
    }

    async lock() { await this.flushed(); await this.ask("lock", {}); }
  }

  // All figures are in the file; votes are kept by the browser until they are saved.
  class Filed {
    constructor() { this.votes = recall("votes", []); this.ended = recall("ended", false); }

    state() {
      const voted = new Set(this.votes.map((vote) => vote.showing));
      const next = facts.items.filter((item) => !voted.has(item.id));
      return { next, voted: facts.voted + voted.size, of: facts.of, locked: this.ended, closed: false, waiting: "" };
    }

    async load() { return this.state(); }
    async start() { return this.state(); }
    picture(item) { return item.picture; }

    vote(votes) {
      const given = new Date().toISOString();
      for (const vote of votes) {
        const { mark } = facts.items.find((item) => item.id === vote.showing);
        this.votes.push({ ...vote, given, mark });
      }
      this.keep();
    }

    keep() {
      const kept = remember("votes", this.votes);
      showSaving(kept ? "" : "The browser keeps nothing: save your answers before you close this page.", !kept);
    }

    async undo(votes) { this.votes.splice(this.votes.length - votes, votes); this.keep(); }
    async lock() { this.ended = true; remember("ended", true); this.save(); }

    save() {
      const sheet = { format_version: 1, study: facts.study, expert: facts.name, finished: this.ended, votes: this.votes };
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([JSON.stringify(sheet, null, 1)], { type: "application/json" }));
      link.download = `${facts.name}.json`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    }
  }

  const desk = facts.items ? new Filed() : new Served();
  const view = { grid: recall("grid", false), side: facts.first_um, screen: [], focus: 0, since: 0, spent: 0, pending: null, lost: false };
  let queue = [], voted = 0, of = 0, state = null, filling = null;
  const given = [];            // sizes of what was voted at once in this visit, for undo
  const gone = new Set();      // voted on, perhaps not acknowledged yet
  const pictures = new Map();  // address -> promise of a decoded picture

  function showSaving(text, bad = false) {
    $("saving").textContent = text;
    $("saving").classList.toggle("bad", bad);
  }

  function load(item, side) {
    const address = desk.picture(item, side);
    if (!pictures.has(address)) {
      const image = new Image();
      image.alt = "";
      image.src = address;
      pictures.set(address, image.decode().then(() => image, () => { pictures.delete(address); return null; }));
      if (pictures.size > 150) pictures.delete(pictures.keys().next().value);
    }
    return pictures.get(address);
  }

  function take(fresh) {
    state = fresh;
    voted = fresh.voted;
    of = fresh.of;
    queue = fresh.next.filter((item) => !gone.has(item.id));
  }

  // Loads more places where few are left; false if the server does not answer.
  function refill() {
    if (facts.items || queue.length >= REFILL || (queue.length && queue.length + voted >= of)) return true;
    filling ??= loadMore().finally(() => { filling = null; });
    return filling;
  }

  async function loadMore() {
    try {
      state = await desk.load(BLOCK, false);
      const here = new Set(queue.map((item) => item.id));
      queue.push(...state.next.filter((item) => !gone.has(item.id) && !here.has(item.id)));
      return true;
    } catch (fault) {
      showSaving(`The server does not answer, trying again. ${fault.message}`, true);
      return false;
    }
  }

  // ---- time: only while the page can be seen
  function startClock() { view.spent = 0; view.since = performance.now(); }
  function readClock() { return Math.round(view.spent + (document.hidden ? 0 : performance.now() - view.since)); }
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) view.spent += performance.now() - view.since; else view.since = performance.now();
  });

  // ---- showing
  async function show() {
    view.pending = null;
    $("details").hidden = true;
    $("answers").hidden = false;
    $("single").setAttribute("aria-pressed", String(!view.grid));
    $("grid").setAttribute("aria-pressed", String(view.grid));
    $("progress").textContent = `${Math.min(voted, of).toLocaleString()} of ${of.toLocaleString()} figures voted on`;
    if (!queue.length && !(await refill())) { setTimeout(show, AGAIN_MS); return; }
    const ended = !queue.length;
    $("end").hidden = !ended;
    $("one").hidden = ended || view.grid;
    $("many").hidden = ended || !view.grid;
    if (ended) return showEnd();
    if (view.grid) return showGrid();
    return showOne();
  }

  async function showOne() {
    const item = queue[0];
    view.side = item.sides.includes(view.side) ? view.side : facts.first_um;
    const image = await load(item, view.side);
    if (queue[0] !== item || view.grid) return;
    if (!image) return lookAgain();
    found();
    draw(item, image);
    document.documentElement.dataset.shown = item.id;
    startClock();
    for (const next of queue.slice(1, 1 + AHEAD)) load(next, facts.first_um);
    refill();
  }

  function draw(item, image) {
    const place = item.sides.indexOf(view.side);
    image.alt = `figure ${voted + 1} of ${of}`;
    $("stage").replaceChildren(image, ruler(view.side));
    $("side").textContent = `${view.side} µm${item.domain ? `, ${item.domain}` : ""}`;
    $("closer").disabled = place === 0;
    $("further").disabled = place === item.sides.length - 1;
  }

  // A picture that does not come is not voted on: the server is gone, or its image is.
  function lookAgain() {
    const text = "A picture cannot be loaded, trying again.";
    view.lost = true;
    showSaving(text, true);
    setTimeout(async () => { await desk.flushed?.(); await reload(text); }, AGAIN_MS);
  }

  function found() {
    if (view.lost) showSaving("");
    view.lost = false;
  }

  function ruler(side) {
    const bar = document.createElement("div");
    bar.className = "ruler";
    bar.style.width = `${100 * RULER_UM / side}%`;
    const name = document.createElement("span");
    name.textContent = `${RULER_UM} µm`;
    bar.append(name);
    return bar;
  }

  async function zoom(step) {
    const item = queue[0];
    if (!item || view.grid) return;
    const side = item.sides[item.sides.indexOf(view.side) + step];
    if (side === undefined) return;
    view.side = side;
    const image = await load(item, side);
    if (queue[0] === item && view.side === side && image) draw(item, image);
  }

  async function showGrid() {
    const size = Number($("count").value);
    const screen = queue.slice(0, size).map((item) => ({ item, answer: "" }));
    const images = await Promise.all(screen.map(({ item }) => load(item, facts.first_um)));
    if (!view.grid) return;
    if (images.includes(null)) return lookAgain();
    found();
    view.screen = screen;
    view.focus = 0;
    $("cells").replaceChildren(...screen.map((cell, place) => drawCell(cell, images[place], place)));
    focusCell(0);
    document.documentElement.dataset.shown = screen[0].item.id;
    startClock();
    await refill();
    for (const next of queue.slice(size, 2 * size)) load(next, facts.first_um);
  }

  function drawCell(cell, image, place) {
    const line = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    const frame = document.createElement("span");
    frame.className = "picture";
    image.alt = "";
    frame.append(image, ruler(facts.first_um));
    cell.said = document.createElement("span");
    cell.said.className = "said";
    button.append(frame, cell.said);
    button.addEventListener("click", () => {
      view.focus = place;
      const order = ["", ...ANSWERS.map(([answer]) => answer)];
      sayCell(cell, order[(order.indexOf(cell.answer) + 1) % order.length]);
    });
    button.addEventListener("focus", () => { view.focus = place; });
    cell.button = button;
    cell.place = place;
    sayCell(cell, "");
    line.append(button);
    return line;
  }

  function sayCell(cell, answer) {
    cell.answer = answer;
    cell.said.textContent = WORDS[answer] ?? "";
    if (answer) cell.button.dataset.answer = answer; else delete cell.button.dataset.answer;
    cell.button.setAttribute("aria-label", `crop ${cell.place + 1}: ${WORDS[answer] ?? "no answer yet"}`);
  }

  function focusCell(place) {
    view.focus = Math.max(0, Math.min(view.screen.length - 1, place));
    view.screen[view.focus]?.button.focus();
  }

  function cellsInRow() {
    return getComputedStyle($("cells")).gridTemplateColumns.split(" ").length;
  }

  // ---- voting
  function vote(answer, detail = "") {
    const item = queue[0];
    if (!item || $("one").hidden || document.documentElement.dataset.shown !== item.id) return;
    const kinds = facts.details?.[answer];
    if (kinds && !detail) return askDetail(answer, kinds);
    hand([{ item, answer, detail }], readClock());
    show();
  }

  function hand(answers, milliseconds) {
    const each = Math.round(milliseconds / answers.length);
    const ids = new Set(answers.map(({ item }) => item.id));
    for (const id of ids) gone.add(id);
    queue = queue.filter((item) => !ids.has(item.id));
    voted += answers.length;
    given.push(answers.map(({ item }) => item));
    desk.vote(answers.map(({ item, answer, detail }) => ({
      showing: item.id, answer, detail: detail ?? "", milliseconds: each, request: newId(),
    })));
  }

  function askDetail(answer, kinds) {
    view.pending = { answer, kinds };
    $("details").replaceChildren(...kinds.map((kind, place) => makeButton(`${place + 1}`, kind, answer, () => vote(answer, kind))));
    $("answers").hidden = true;
    $("details").hidden = false;
    $("details").firstChild.focus();
  }

  function confirmScreen() {
    const open = view.screen.findIndex((cell) => !cell.answer);
    if (open >= 0) {
      focusCell(open);
      showSaving(`${view.screen.filter((cell) => !cell.answer).length} of ${view.screen.length} crops have no answer yet`, true);
      return;
    }
    showSaving("");
    hand(view.screen, readClock());
    view.screen = [];
    show();
  }

  async function undo() {
    if (view.pending) return show();
    const last = given.pop();
    if (!last) {
      if (!voted) return;
      await desk.undo(1);
    } else {
      await desk.undo(last.length);
      for (const item of last) gone.delete(item.id);
    }
    await reload("");
  }

  async function reload(message) {
    try {
      const fresh = await desk.load(BLOCK, true);
      gone.clear();
      take(fresh);
      if (message) given.length = 0;
      showSaving(message, Boolean(message));
    } catch (fault) {
      showSaving(`The server does not answer, trying again. ${fault.message}`, true);
      setTimeout(() => reload(message), AGAIN_MS);
      return;
    }
    await show();
  }

  function showEnd() {
    const waiting = state.waiting, locked = state.locked, closed = state.closed;
    const missing = locked || closed ? 0 : state.missing ?? 0;
    $("end-title").textContent = waiting ? "Not yet" : locked || closed ? "Thank you" : missing ? "Almost done" : "All figures are voted on";
    $("end-text").textContent = waiting
      || (missing ? `${missing} figures cannot be shown: their images are gone. Tell whoever leads the study.` : "")
      || (closed ? "The study is closed. Nothing changes any more."
        : locked ? (facts.items ? "Your part has ended. Send the saved file to whoever leads the study." : "Your part has ended. You may close this page.")
          : "You may still undo. Once you end your part, nothing of it changes any more.");
    $("lock").hidden = Boolean(waiting || locked || closed || missing);
    $("end-undo").hidden = Boolean(waiting || locked || closed) || !voted;
    $("end-save").hidden = !facts.items;
    $("end-title").focus();
    document.documentElement.dataset.shown = "";
  }

  async function lock() {
    try { await desk.lock(); await reload(""); } catch (fault) { showSaving(fault.message, true); }
  }

  // ---- controls
  function makeButton(shortcut, text, answer, act) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.answer = answer;
    const mark = document.createElement("kbd");
    mark.textContent = shortcut;
    button.append(`${text} `, mark);
    button.addEventListener("click", act);
    return button;
  }
  $("keys").prepend(...ANSWERS.map(([, words], place) => {
    const row = document.createElement("tr"), head = document.createElement("th"), mark = document.createElement("kbd");
    head.scope = "row";
    mark.textContent = `${place + 1}`;
    head.append(mark);
    row.append(head, document.createElement("td"));
    row.lastChild.textContent = words;
    return row;
  }));
  $("answers").replaceChildren(...ANSWERS.map(([answer, text], place) => makeButton(`${place + 1}`, text, answer, () => vote(answer))));

  function setGrid(grid) { view.grid = grid; remember("grid", grid); show(); }
  function help() { $("intro").showModal(); $("begin").focus({ preventScroll: true }); $("intro").scrollTop = 0; }
  $("single").addEventListener("click", () => setGrid(false));
  $("grid").addEventListener("click", () => setGrid(true));
  $("count").addEventListener("change", () => { if (view.grid) show(); });
  $("closer").addEventListener("click", () => zoom(-1));
  $("further").addEventListener("click", () => zoom(1));
  $("help").addEventListener("click", help);
  $("undo").addEventListener("click", undo);
  $("undo-screen").addEventListener("click", undo);
  $("end-undo").addEventListener("click", undo);
  $("rest").addEventListener("click", () => restIsNormal());
  $("confirm").addEventListener("click", confirmScreen);
  $("lock").addEventListener("click", lock);
  $("intro").addEventListener("close", () => { remember("seen", true); startClock(); if (view.grid) focusCell(view.focus); });
  if (facts.items) {
    $("save").hidden = false;
    $("save").addEventListener("click", () => desk.save());
    $("end-save").addEventListener("click", () => desk.save());
  }
  $("stage").addEventListener("wheel", (event) => { event.preventDefault(); zoom(event.deltaY > 0 ? 1 : -1); }, { passive: false });

  function restIsNormal() {
    for (const cell of view.screen) if (!cell.answer) sayCell(cell, "normal");
    $("confirm").focus();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || $("intro").open) return;
    if (event.target instanceof HTMLSelectElement) return;
    // Digits by their place, since on French keyboards they need Shift; letters by what is printed.
    const digit = /^(?:Digit|Numpad)([1-9])$/.exec(event.code)?.[1];
    const letter = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const act = () => { event.preventDefault(); return true; };
    if (letter === "h" || letter === "?") { act(); help(); }
    else if (letter === "g") { act(); setGrid(!view.grid); }
    else if (letter === "Backspace") { act(); undo(); }
    else if (!$("one").hidden) {
      if (digit && view.pending) { const kind = view.pending.kinds[digit - 1]; if (kind) { act(); vote(view.pending.answer, kind); } }
      else if (digit && digit <= ANSWERS.length) { act(); vote(ANSWERS[digit - 1][0]); }
      else if (letter === "+" || letter === "=") { act(); zoom(-1); }
      else if (letter === "-") { act(); zoom(1); }
    } else if (!$("many").hidden) {
      const inCells = $("cells").contains(document.activeElement);
      const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -cellsInRow(), ArrowDown: cellsInRow() };
      if (digit && digit <= ANSWERS.length) { act(); sayCell(view.screen[view.focus], ANSWERS[digit - 1][0]); focusCell(view.focus + 1); }
      else if (letter in steps) { act(); focusCell(view.focus + steps[letter]); }
      else if (letter === "r") { act(); restIsNormal(); }
      else if (letter === "Enter" && (inCells || document.activeElement === document.body)) { act(); confirmScreen(); }
    }
  });
  window.addEventListener("beforeunload", (event) => { if (desk.pending?.length) event.preventDefault(); });

  (async () => {
    for (;;) {
      try { take(await desk.start()); break; } catch (fault) {
        if (fault instanceof RefusedError) { showSaving(fault.message, true); return; }
        showSaving(`The server does not answer, trying again. ${fault.message}`, true);
        await new Promise((done) => setTimeout(done, AGAIN_MS));
      }
    }
    showSaving("");
    if (!recall("seen", false)) help();
    await show();
  })();
})();
