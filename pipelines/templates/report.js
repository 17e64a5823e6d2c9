"use strict";
// All that this adds is comfort: the page says everything without it.

function livelyTable(table) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const limit = Number(table.dataset.limit) || rows.length;
  let shown = limit;
  let matching = rows;

  const more = document.createElement("div");
  more.className = "more";
  const button = (act) => {
    const one = document.createElement("button");
    one.type = "button";
    one.addEventListener("click", act);
    more.append(one);
    return one;
  };
  const next = button(() => draw(shown + limit));
  const all = button(() => draw(matching.length));
  table.after(more);

  function draw(count) {
    shown = count;
    const visible = new Set(matching.slice(0, shown));
    for (const row of rows) row.hidden = !visible.has(row);
    const left = matching.length - visible.size;
    more.hidden = left === 0;
    more.style.display = left === 0 ? "none" : "";
    next.hidden = left <= limit;
    next.textContent = `Show ${limit} more`;
    all.textContent = `Show all ${matching.length.toLocaleString("en")}`;
    table.dispatchEvent(new CustomEvent("drawn", { detail: { visible: visible.size, matching: matching.length, rows: rows.length } }));
  }

  function sort(key, kind, up) {
    const sign = up ? 1 : -1;
    const compare = kind === "number"
      ? (a, b) => Number(a.dataset[key]) - Number(b.dataset[key])
      : (a, b) => a.dataset[key].localeCompare(b.dataset[key], undefined, { numeric: true });
    rows.sort((a, b) => sign * compare(a, b));
    body.append(...rows);
    matching = rows.filter((row) => matching.includes(row));
    for (const head of table.tHead.rows[0].cells) {
      if (head.dataset.key === key) head.setAttribute("aria-sort", up ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    }
    draw(limit);
  }

  function filter(test) {
    matching = rows.filter(test);
    draw(limit);
  }

  for (const head of "sortable" in table.dataset ? table.tHead.rows[0].cells : []) {
    const { key, kind } = head.dataset;
    if (!key) continue;
    const act = document.createElement("button");
    act.type = "button";
    act.append(...head.childNodes);
    act.addEventListener("click", () => {
      // Numbers are asked for with the largest first, names from A.
      const was = head.getAttribute("aria-sort");
      sort(key, kind, was ? was === "descending" : kind !== "number");
    });
    head.append(act);
  }
  draw(limit);
  return { sort, filter, draw };
}

// What was said and what was heard, each as one text, so that a phrase is found across marks.
function searchable(row) {
  const side = (away) => {
    const copy = row.cells[row.cells.length - 1].cloneNode(true);
    for (const one of copy.querySelectorAll(away)) one.remove();
    return copy.textContent.replace(/\s+/g, " ").toLocaleLowerCase();
  };
  return `${side("ins")}\n${side("del")}`;
}

function livelyTools(form, table, lively) {
  const texts = new Map();
  const textOf = (row) => {
    if (!texts.has(row)) texts.set(row, searchable(row));
    return texts.get(row);
  };
  const { text, order, wrong } = form.elements;
  const status = form.querySelector("output");
  table.addEventListener("drawn", (event) => {
    const { visible, matching, rows } = event.detail;
    const among = matching < rows ? `${matching.toLocaleString("en")} of ${rows.toLocaleString("en")} match` : `${rows.toLocaleString("en")} utterances`;
    status.textContent = visible < matching ? `${among}, ${visible.toLocaleString("en")} shown` : among;
  });
  const filter = () => {
    const wanted = text.value.trim().replace(/\s+/g, " ").toLocaleLowerCase();
    lively.filter((row) => (!wrong.checked || row.dataset.errors !== "0") && (!wanted || textOf(row).includes(wanted)));
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  text.addEventListener("input", filter);
  wrong.addEventListener("change", filter);
  order.addEventListener("change", () => {
    const [key, way] = order.value.split(" ");
    lively.sort(key, key === "id" ? "text" : "number", way === "up");
  });
  form.hidden = false;
  filter();
}

function livelyExample(article) {
  const audio = article.querySelector("audio");
  const sound = article.querySelector(".sound");
  const head = article.querySelector(".playhead");
  const words = [...article.querySelectorAll(".word[data-start]")];
  const seconds = Number(sound.dataset.seconds);
  sound.classList.add("live");

  const play = (from) => {
    audio.currentTime = Math.min(from, seconds);
    audio.play();
  };
  const follow = () => {
    head.hidden = false;
    head.style.left = `${(100 * audio.currentTime) / seconds}%`;
    const past = words.filter((word) => Number(word.dataset.start) <= audio.currentTime);
    for (const word of words) word.classList.toggle("now", !audio.paused && word === past[past.length - 1]);
    if (!audio.paused) requestAnimationFrame(follow);
  };
  audio.addEventListener("play", () => {
    for (const other of document.querySelectorAll("audio")) if (other !== audio) other.pause();
    follow();
  });
  audio.addEventListener("pause", follow);
  audio.addEventListener("seeked", follow);
  sound.addEventListener("click", (event) => {
    const box = sound.getBoundingClientRect();
    play((seconds * (event.clientX - box.left)) / box.width);
  });
  for (const word of words) word.addEventListener("click", () => play(Number(word.dataset.start)));
}

for (const table of document.querySelectorAll("table[data-limit]")) {
  const lively = livelyTable(table);
  if (table.classList.contains("utterances")) livelyTools(document.querySelector(".tools"), table, lively);
}
for (const article of document.querySelectorAll(".example")) livelyExample(article);
