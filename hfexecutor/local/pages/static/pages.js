// Keeps a page as it would be if it were loaded again: clocks run, parts that have changed are put in
// their places, lines of a log are added. Without this a page is whole, and stands still.
"use strict";

(() => {
  const MOST_LINES = 2000; // of a log, in the page: the oldest ones go
  const NEAR = 40; // pixels from its end at which a log is followed
  const SAY_EVERY = 5000; // milliseconds between two things that are read aloud
  const TYPING = 250; // milliseconds without a key before what was typed is looked for

  const main = document.getElementById("main");
  const news = document.getElementById("news");
  const offline = document.getElementById("offline");
  const newest = document.getElementById("newest");
  let source = null;

  // --- clocks: the hub is on this machine, so its time is ours

  const two = (number) => String(number).padStart(2, "0");

  function span(seconds) {
    const whole = Math.max(0, Math.floor(seconds));
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
    if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
    return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
  }

  function tick() {
    for (const clock of document.querySelectorAll("time[data-since]")) {
      const text = span((Date.now() - Number(clock.dataset.since)) / 1000);
      if (clock.textContent !== text) clock.textContent = text;
    }
  }

  // --- what is read aloud: the latest, and not too often

  let waiting = null;
  let said = 0;

  function say(text) {
    const timer = waiting !== null;
    waiting = text;
    if (timer) return;
    setTimeout(() => {
      news.textContent = waiting;
      waiting = null;
      said = Date.now();
    }, Math.max(0, said + SAY_EVERY - Date.now()));
  }

  // --- parts

  function parse(html) {
    const template = document.createElement("template");
    template.innerHTML = html; // made by the hub, where all that is not its own is escaped
    return template.content;
  }

  const controls = (element) => [...element.querySelectorAll("a, button, summary, input, [tabindex]")];

  // Put an element in another one's place; what has the focus, or was opened, stays so.
  function swap(old, fresh) {
    const place = controls(old).indexOf(document.activeElement);
    const href = place < 0 ? null : document.activeElement.getAttribute("href");
    for (const details of old.querySelectorAll("details[open][id]")) {
      const same = fresh.querySelector(`#${CSS.escape(details.id)}`);
      if (same) same.open = true;
    }
    old.replaceWith(fresh);
    if (place < 0) return;
    const again = controls(fresh);
    const same = again.find((one) => href && one.getAttribute("href") === href);
    (same || again[place] || main).focus({ preventScroll: true });
  }

  // Bring the rows of a table into the state of others; rows that are the same are not touched.
  function reconcile(body, fresh) {
    const rows = new Map([...body.children].map((row) => [row.id, row]));
    let place = body.firstElementChild;
    for (const row of [...fresh.children]) {
      let mine = rows.get(row.id);
      rows.delete(row.id);
      if (mine && mine.dataset.version !== row.dataset.version) {
        if (place === mine) place = row;
        swap(mine, row);
        mine = row;
      }
      if (mine && mine === place) place = place.nextElementSibling;
      else body.insertBefore(mine || row, place);
    }
    for (const row of rows.values()) row.remove();
  }

  function patch(html) {
    const fresh = parse(html).firstElementChild;
    const old = document.getElementById(fresh.id);
    if ("keyed" in fresh.dataset) {
      reconcile(old, fresh);
    } else if (!fresh.dataset.version || fresh.dataset.version !== old.dataset.version) {
      if (fresh.dataset.say && fresh.dataset.say !== old.dataset.say) say(fresh.dataset.say);
      if (fresh.dataset.stage) document.title = document.title.replace(/^\S+/, fresh.dataset.stage);
      swap(old, fresh);
    }
    tick();
  }

  // --- the log

  const log = () => document.getElementById("log");
  const isAtEnd = (box) => box.scrollHeight - box.scrollTop - box.clientHeight < NEAR;

  function showEnd() {
    const box = log();
    box.scrollTop = box.scrollHeight;
  }

  function add(html) {
    const box = log();
    const lines = document.getElementById("lines");
    const follow = isAtEnd(box);
    lines.append(...parse(html).children); // not the white space between them, which would stay
    if (follow) {
      for (const old of [...lines.children].slice(0, -MOST_LINES)) old.remove();
      showEnd();
    }
    newest.hidden = isAtEnd(box);
  }

  function setUpLog() {
    const box = log();
    if (!box) return;
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (target) target.scrollIntoView({ block: "center" });
    else showEnd();
    box.addEventListener("scroll", () => { newest.hidden = isAtEnd(box); }, { passive: true });
    newest.hidden = isAtEnd(box);
  }

  // --- search as one types

  let typed = 0;
  let asked = 0;

  async function search(form) {
    const query = new URLSearchParams(new FormData(form));
    if (!query.get("q")) query.delete("q");
    const url = form.getAttribute("action") + (String(query) ? `?${query}` : "");
    const mine = ++asked;
    const reply = await fetch(url).catch(() => null);
    if (!reply || !reply.ok || mine !== asked) return;
    const page = new DOMParser().parseFromString(await reply.text(), "text/html");
    if (mine !== asked) return;
    for (const id of ["found", "log-summary"]) swap(document.getElementById(id), page.getElementById(id));
    const { live, after } = page.getElementById("main").dataset;
    Object.assign(main.dataset, { live, after });
    history.replaceState(null, "", url);
    setUpLog();
    const matches = document.getElementById("matches");
    say(matches ? matches.textContent.trim() : "All lines");
    open();
  }

  const form = document.getElementById("search");
  if (form) {
    form.addEventListener("input", () => {
      clearTimeout(typed);
      typed = setTimeout(search, TYPING, form);
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      clearTimeout(typed);
      search(form);
    });
    newest.addEventListener("click", () => {
      showEnd();
      log().focus({ preventScroll: true });
    });
  }

  // --- news from the hub: one stream for each page that is seen, since a browser has few for a hub

  function open() {
    if (source) source.close();
    source = null;
    if (!main.dataset.live || document.hidden) return;
    const url = new URL(main.dataset.live, location.href);
    if (main.dataset.after) url.searchParams.set("after", main.dataset.after);
    const mine = source = new EventSource(url);
    mine.addEventListener("open", () => { offline.hidden = true; });
    mine.addEventListener("part", (event) => patch(event.data));
    mine.addEventListener("log", (event) => {
      main.dataset.after = event.lastEventId;
      add(event.data);
    });
    mine.addEventListener("end", () => mine.close());
    mine.addEventListener("error", () => { offline.hidden = false; });
  }

  document.addEventListener("visibilitychange", open);
  setInterval(tick, 1000);
  tick();
  setUpLog();
  open();
})();
