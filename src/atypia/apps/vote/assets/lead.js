// The page of the lead: counts and minutes while votes are given; no answer before the study is closed.
"use strict";
(() => {
  const EVERY_MS = 5000;
  const $ = (id) => document.getElementById(id);

  function say(text, bad = false) {
    $("saving").textContent = text;
    $("saving").classList.toggle("bad", bad);
  }

  async function ask(path, body) {
    const options = body === undefined ? {} : {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    };
    const response = await fetch(path, { ...options, cache: "no-store" });
    if (!response.ok) throw new Error((await response.json().catch(() => ({}))).detail ?? response.statusText);
    return response.json();
  }

  function drawPart(part) {
    const row = document.createElement("tr");
    const name = document.createElement("th");
    name.scope = "row";
    name.textContent = part.expert;
    const counts = document.createElement("td");
    counts.textContent = part.of === null ? "waits for the others" : `${part.voted.toLocaleString()} of ${part.of.toLocaleString()}`;
    const share = document.createElement("td");
    const bar = document.createElement("progress");
    bar.max = part.of ?? 1;
    bar.value = part.voted;
    bar.setAttribute("aria-label", `${part.expert}: share of figures voted on`);
    share.append(bar);
    const minutes = document.createElement("td");
    minutes.textContent = part.minutes.toFixed(0);
    const locked = document.createElement("td");
    locked.textContent = part.locked ? part.locked.slice(0, 16).replace("T", " ") : "";
    row.append(name, counts, share, minutes, locked);
    return row;
  }

  async function refresh() {
    try {
      const state = await ask("progress");
      $("parts").replaceChildren(...state.parts.map(drawPart));
      $("missing").hidden = !state.faults.length;
      $("faults").replaceChildren(...state.faults.map((fault) => {
        const line = document.createElement("li");
        line.textContent = fault;
        return line;
      }));
      $("goes-on").hidden = Boolean(state.closed);
      $("over").hidden = !state.closed;
      say("");
    } catch (fault) { say(`The server does not answer. ${fault.message}`, true); }
  }

  $("close").addEventListener("click", () => $("sure").showModal());
  $("sure").addEventListener("close", async () => {
    if ($("sure").returnValue !== "yes") return;
    try { await ask("close", { now: $("now").checked }); await refresh(); $("closed-title").focus(); } catch (fault) { say(fault.message, true); }
  });
  refresh();
  setInterval(() => { if (!document.hidden) refresh(); }, EVERY_MS);
})();
