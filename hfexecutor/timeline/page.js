"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const canvas = document.getElementById("picture");
  const frame = document.getElementById("frame");
  const tip = document.getElementById("tip");
  const said = document.getElementById("said");
  const pen = canvas.getContext("2d");
  const FAILED = 1, LOST = 2, OPEN = 3, STOPPED = 4;
  const CHART = 74, AXIS = 22, GAP = 5;
  const LEVELS = 8; // shades of a pixel that several calls share, by how much of it they cover

  // --- data: microseconds since the run began ------------------------------------------------

  const lanes = data.lanes.map((raw) => {
    const n = raw.gaps.length;
    const starts = new Float64Array(n), ends = new Float64Array(n), before = new Float64Array(n);
    let at = 0, sum = 0;
    for (let i = 0; i < n; i++) {
      starts[i] = at + raw.gaps[i];
      ends[i] = at = starts[i] + raw.lengths[i];
      before[i] = sum;
      sum += raw.lengths[i];
    }
    const marks = Object.keys(raw.states).map(Number).sort((a, b) => a - b);
    return { ...raw, job: data.jobs[raw.job], n, starts, ends, before, marks };
  });
  const first = Math.min(0, ...data.jobs.map((job) => job.launched));
  const last = Math.max(1, data.until, ...data.jobs.map((job) => job.ended));
  const sorted = (values) => Float64Array.from(values).sort();
  const all = (pick) => {
    const values = [];
    for (const lane of lanes) for (const value of pick(lane)) values.push(value);
    return sorted(values);
  };
  const busyFrom = all((lane) => lane.starts), busyTo = all((lane) => lane.ends);
  const thereFrom = all((lane) => [lane.job.launched]), thereTo = all((lane) => [lane.job.ended]);

  /** The first place in sorted values of one that is greater than `value`. */
  function after(values, value, low = 0, high = values.length) {
    while (low < high) {
      const middle = (low + high) >> 1;
      if (values[middle] <= value) low = middle + 1; else high = middle;
    }
    return low;
  }
  /** How long a lane was busy until a moment. */
  function busyUntil(lane, moment) {
    const i = after(lane.starts, moment) - 1;
    return i < 0 ? 0 : lane.before[i] + Math.min(moment, lane.ends[i]) - lane.starts[i];
  }

  // --- view ----------------------------------------------------------------------------------

  let from = first, to = last, scroll = 0;
  let width = 0, height = 0, left = 0, laneHeight = 0, colours = {}, hatch = {}, wanted = 0;
  let selected = null; // a lane and a place in it
  const tops = new Float64Array(lanes.length + 1);

  const X = (moment) => left + (moment - from) / (to - from) * (width - left);
  const T = (x) => from + (x - left) / (width - left) * (to - from);
  const top = () => CHART + AXIS;
  const room = () => height - top();
  const overflow = () => Math.max(0, tops[lanes.length] - room());

  function layout() {
    width = frame.clientWidth;
    left = width < 600 ? 58 : 108;
    const jobs = new Set(lanes.map((lane) => lane.job)).size;
    const space = Math.max(180, Math.min(560, window.innerHeight * 0.62));
    const fit = Math.floor((space - jobs * GAP) / Math.max(1, lanes.length));
    laneHeight = Math.max(4, Math.min(20, fit));
    let y = 2;
    lanes.forEach((lane, i) => {
      if (i && lane.job !== lanes[i - 1].job) y += laneHeight < 6 ? 2 : GAP;
      tops[i] = y;
      y += laneHeight;
    });
    tops[lanes.length] = y + 4;
    height = Math.round(top() + Math.min(space, Math.max(30, tops[lanes.length])));
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = height + "px";
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    Object.assign(canvas.dataset, { left, top: top(), laneHeight });
    const style = getComputedStyle(document.documentElement);
    for (const name of [...Object.keys(data.kinds), "page", "text", "quiet", "line", "panel", "money"])
      colours[name] = style.getPropertyValue("--" + name).trim();
    hatch = { lost: stripes(colours.lost, 3), hardware: stripes(colours.hardware, 5) };
    draw();
  }

  function stripes(colour, step) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 2 * step;
    const tilePen = tile.getContext("2d");
    tilePen.strokeStyle = colour;
    tilePen.lineWidth = step * 0.7;
    tilePen.beginPath();
    for (const shift of [-step, step, 3 * step]) {
      tilePen.moveTo(shift - step, 2 * step);
      tilePen.lineTo(shift + step, 0);
    }
    tilePen.stroke();
    return pen.createPattern(tile, "repeat");
  }

  function show(newFrom, newTo) {
    const least = 20, most = last - first;
    const span = Math.min(most, Math.max(least, newTo - newFrom));
    let middle = (newFrom + newTo) / 2;
    middle = Math.min(last - span / 2, Math.max(first + span / 2, middle));
    from = middle - span / 2;
    to = middle + span / 2;
    later();
  }
  const zoom = (factor, x = (left + width) / 2) => {
    const at = T(x);
    show(at - (at - from) * factor, at + (to - at) * factor);
  };
  const pan = (pixels) => {
    const shift = pixels / (width - left) * (to - from);
    show(from + shift, to + shift);
  };
  const lift = (pixels) => {
    scroll = Math.min(overflow(), Math.max(0, scroll + pixels));
    later();
  };
  function later() {
    if (!wanted) wanted = requestAnimationFrame(() => { wanted = 0; draw(); });
  }

  // --- drawing -------------------------------------------------------------------------------

  function draw() {
    scroll = Math.min(scroll, overflow());
    pen.fillStyle = colours.page;
    pen.fillRect(0, 0, width, height);
    pen.save();
    pen.beginPath();
    pen.rect(left, top(), width - left, room());
    pen.clip();
    const shades = Array.from({ length: LEVELS }, () => []);
    const low = Math.max(0, after(tops.subarray(0, lanes.length), scroll - laneHeight) - 1);
    let end = low;
    for (; end < lanes.length && tops[end] - scroll < room(); end++) {
      drawJob(lanes[end], top() + tops[end] - scroll);
      drawCalls(lanes[end], top() + tops[end] - scroll, shades);
    }
    pen.fillStyle = colours.running;
    shades.forEach((rects, level) => {
      pen.globalAlpha = (level + 1) / LEVELS;
      for (let i = 0; i < rects.length; i += 3) pen.fillRect(rects[i], rects[i + 1], rects[i + 2], laneHeight - 1);
    });
    pen.globalAlpha = 1;
    for (let i = low; i < end; i++) drawMarks(lanes[i], top() + tops[i] - scroll);
    drawSelection();
    pen.restore();
    drawLabels(low, end);
    drawAxis();
    drawChart();
  }

  function stretch(start, end, y, colour) {
    const a = Math.max(left, X(start)), b = Math.min(width, X(end));
    if (b <= a) return;
    pen.fillStyle = colour;
    pen.fillRect(a, y, Math.max(1, b - a), laneHeight - 1);
  }

  function drawJob(lane, y) {
    const job = lane.job;
    stretch(job.launched, job.began, y, colours.idle);
    stretch(job.launched, job.began, y, hatch.hardware);
    stretch(job.began, job.up, y, colours.starting);
    stretch(job.up, job.ended, y, colours.idle);
    for (const [start, end] of job.transfers) stretch(start, end, y, colours.transferring);
    for (const [start, end] of job.installs) stretch(start, end, y, colours.installing);
  }

  /** Calls that are wide enough as they are; of others, how much of a pixel they cover. */
  function drawCalls(lane, y, shades) {
    const { starts, ends, n } = lane;
    const full = shades[LEVELS - 1];
    let i = after(ends, from);
    while (i < n && starts[i] < to) {
      const a = X(starts[i]), b = X(ends[i]);
      if (b - a >= 2) {
        const x = Math.max(left - 1, a);
        full.push(x, y, Math.max(1, Math.min(width + 1, b) - x - (b - a > 3 ? 1 : 0.5)));
        i++;
        continue;
      }
      const x = Math.floor(a), begin = T(x), end = T(x + 1);
      const covered = (busyUntil(lane, end) - busyUntil(lane, begin)) / (end - begin);
      shades[Math.max(0, Math.ceil(covered * LEVELS) - 1)].push(x, y, 1);
      i = Math.max(i + 1, after(starts, end, i));
    }
  }

  /** What did not end well, over all else, and never too narrow to be seen. */
  function drawMarks(lane, y) {
    let drawn = -9;
    for (const i of lane.marks) {
      if (lane.ends[i] < from || lane.starts[i] > to) continue;
      const state = lane.states[i];
      const a = X(lane.starts[i]), b = Math.max(X(lane.ends[i]), a + 3);
      if (b <= drawn) continue;
      drawn = b;
      const x = Math.max(left - 2, a), w = Math.min(width + 2, b) - x;
      pen.fillStyle = colours.page;
      pen.fillRect(x, y, w, laneHeight - 1);
      if (state === OPEN) {
        pen.globalAlpha = 0.55;
        pen.fillStyle = colours.running;
      } else pen.fillStyle = state === LOST || state === STOPPED ? hatch.lost : colours.lost;
      pen.fillRect(x, y, w, laneHeight - 1);
      pen.globalAlpha = 1;
      if (state === FAILED && laneHeight >= 8 && w >= 9) cross(x, w, y);
    }
  }

  function cross(x, w, y) {
    const size = Math.min(3, (laneHeight - 5) / 2), cx = x + w / 2, cy = y + (laneHeight - 1) / 2;
    pen.strokeStyle = colours.page;
    pen.lineWidth = 1.5;
    pen.beginPath();
    pen.moveTo(cx - size, cy - size); pen.lineTo(cx + size, cy + size);
    pen.moveTo(cx - size, cy + size); pen.lineTo(cx + size, cy - size);
    pen.stroke();
  }

  function drawSelection() {
    if (!selected) return;
    const lane = lanes[selected.lane], y = top() + tops[selected.lane] - scroll;
    const a = X(lane.starts[selected.place]), b = Math.max(a + 3, X(lane.ends[selected.place]));
    pen.strokeStyle = colours.text;
    pen.lineWidth = 2;
    pen.strokeRect(a - 1, y - 1, b - a + 1, laneHeight + 1);
  }

  function drawLabels(low, end) {
    pen.save();
    pen.beginPath();
    pen.rect(0, top(), left, room());
    pen.clip();
    pen.font = "12px ui-monospace, monospace";
    pen.textBaseline = "middle";
    pen.fillStyle = colours.quiet;
    let drawn = -99;
    for (let i = low; i < end; i++) {
      if (i && lanes[i].job === lanes[i - 1].job) continue;
      const y = top() + tops[i] - scroll + Math.max(laneHeight / 2, 6);
      if (y - drawn < 14) continue;
      drawn = y;
      pen.fillText(lanes[i].job.id.slice(0, left < 80 ? 6 : 12), 8, y);
    }
    pen.restore();
  }

  const STEPS = [1, 2, 5];
  function tickOf(span, most) {
    const units = [[36e8, [1, 2, 4, 6, 12, 24, 48]], [6e7, [1, 2, 5, 10, 15, 30]]];
    let best = 36e8 * 96;
    for (const [unit, steps] of units) for (const step of steps)
      if (span / (unit * step) <= most) best = Math.min(best, unit * step);
    for (let power = 1; power <= 1e7; power *= 10) for (const step of STEPS)
      if (power * step <= 3e7 && span / (power * step) <= most) best = Math.min(best, power * step);
    return best;
  }
  function clock(moment, step) {
    if (step >= 6e7) {
      const minutes = Math.round(moment / 6e7);
      return minutes < 60 ? minutes + " min" : Math.floor(minutes / 60) + ":" + String(minutes % 60).padStart(2, "0") + " h";
    }
    const digits = Math.max(0, Math.ceil(-Math.log10(step / 1e6) - 1e-9));
    if (Math.abs(moment) < 6e7 || digits > 1) return (moment / 1e6).toFixed(digits) + " s";
    const sign = moment < 0 ? "-" : "", seconds = Math.abs(moment) / 1e6;
    return sign + Math.floor(seconds / 60) + ":" + (seconds % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, "0") + " min";
  }

  function drawAxis() {
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    const step = tickOf(to - from, Math.max(2, (width - left) / 95));
    for (let moment = Math.ceil(from / step) * step; moment <= to; moment += step) {
      const x = Math.round(X(moment)) + 0.5;
      pen.strokeStyle = colours.line;
      pen.globalAlpha = 0.7;
      pen.lineWidth = 1;
      pen.beginPath(); pen.moveTo(x, 6); pen.lineTo(x, CHART); pen.moveTo(x, top() - 5); pen.lineTo(x, top()); pen.stroke();
      pen.globalAlpha = 1;
      const text = clock(moment, step), half = pen.measureText(text).width / 2;
      pen.fillStyle = colours.quiet;
      pen.fillText(text, Math.min(Math.max(x - half, left + 2), width - 2 * half - 4), CHART + AXIS / 2 - 1);
    }
  }

  /** Slots that were there, those of them that were busy, and dollars. */
  function drawChart() {
    const most = Math.max(1, lanes.length), base = CHART - 4, tall = base - 10;
    const area = (colour, counts) => {
      pen.fillStyle = colour;
      for (let x = left; x < width; x++) {
        const h = counts(T(x), T(x + 1)) / most * tall;
        if (h > 0) pen.fillRect(x, base - h, 1, h);
      }
    };
    const at = (starts, ends, moment) => after(starts, moment) - after(ends, moment);
    area(colours.idle, (a) => at(thereFrom, thereTo, a));
    // The mean over the pixel: the first and the last moment of it alone would flicker.
    area(colours.running, (a, b) => (covered(b) - covered(a)) / (b - a));
    pen.fillStyle = colours.quiet;
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    pen.fillText(left < 80 ? "busy" : "busy slots", 8, base - tall / 2);
    if (data.cost.length) drawCost(base, tall);
  }
  const sums = (values) => {
    const result = new Float64Array(values.length + 1);
    for (let i = 0; i < values.length; i++) result[i + 1] = result[i] + values[i];
    return result;
  };
  const fromSums = sums(busyFrom), toSums = sums(busyTo);
  /** How long all lanes together were busy until a moment: the sum of (moment - start) less that of (moment - end). */
  function covered(moment) {
    const i = after(busyFrom, moment), j = after(busyTo, moment);
    return i * moment - fromSums[i] - (j * moment - toSums[j]);
  }

  /** Dollars: a step for each minute that a job begins. */
  function drawCost(base, tall) {
    const most = data.cost[data.cost.length - 1][1];
    if (!(most > 0)) return;
    pen.strokeStyle = colours.money;
    pen.lineWidth = 1.5;
    pen.setLineDash([5, 3]);
    pen.beginPath();
    let y = base;
    pen.moveTo(left, y);
    for (const [moment, dollars] of data.cost) {
      const x = Math.min(width, Math.max(left, X(moment)));
      pen.lineTo(x, y);
      y = base - dollars / most * tall;
      pen.lineTo(x, y);
    }
    pen.lineTo(Math.min(width, X(last)), y);
    pen.stroke();
    pen.setLineDash([]);
    const text = "cost $" + (most >= 1 ? most.toFixed(2) : most.toFixed(4));
    const wide = pen.measureText(text).width;
    pen.fillStyle = colours.page;
    pen.globalAlpha = 0.8;
    pen.fillRect(width - wide - 12, base - tall + 2, wide + 8, 16);
    pen.globalAlpha = 1;
    pen.fillStyle = colours.money;
    pen.fillText(text, width - wide - 8, base - tall + 10);
  }

  // --- words ---------------------------------------------------------------------------------

  function seconds(micros) {
    if (micros < 1e3) return Math.round(micros) + " µs";
    if (micros < 1e5) return (micros / 1e3).toFixed(micros < 1e4 ? 1 : 0) + " ms";
    if (micros < 6e7) return (micros / 1e6).toFixed(micros < 1e7 ? 2 : 1) + " s";
    const whole = Math.round(micros / 1e6);
    return Math.floor(whole / 60) + " min " + whole % 60 + " s";
  }
  function bytes(size) {
    const units = ["bytes", "kB", "MB", "GB"];
    let unit = 0;
    while (size >= 1000 && unit < 3) { size /= 1000; unit++; }
    return (unit ? size.toFixed(1) : size) + " " + units[unit];
  }
  const place = (lane) => "job " + lane.job.id + ", slot " + lane.slot;

  function wordsOfCall(lane, i) {
    const state = lane.states[i], took = lane.ends[i] - lane.starts[i];
    const name = data.names[lane.names.length > 1 ? lane.names[i] : lane.names[0]];
    const lines = ["call " + lane.calls[i] + (name ? " · " + name : "")];
    if (state === LOST) lines.push("lost with its job, after " + seconds(took) + " at most");
    else if (state === STOPPED) lines.push("stopped after " + seconds(took) + " at most: another attempt of it had ended");
    else if (state === OPEN) lines.push("may be running, for " + seconds(took));
    else if (state === FAILED) lines.push((i in lane.errors ? "raised " + data.errors[lane.errors[i]] : "failed") + " after " + seconds(took));
    else lines.push("ran for " + seconds(took));
    if (lane.waits.length && lane.waits[i] >= 0) lines.push("began " + seconds(lane.waits[i]) + " after it was submitted");
    lines.push("began at " + seconds(Math.max(0, lane.starts[i])) + " of the run", place(lane));
    return lines;
  }
  function wordsOfRest(lane, moment) {
    const job = lane.job;
    const within = (kind, start, end) => moment >= start && moment < end ? [data.kinds[kind] + ", " + seconds(end - start), place(lane)] : null;
    for (const [kind, some] of [["installing", job.installs], ["transferring", job.transfers]])
      for (const [start, end, size] of some) {
        const found = within(kind, start, end);
        if (found) return size ? [found[0] + ", " + bytes(size), found[1]] : found;
      }
    const i = after(lane.starts, moment);
    const gapFrom = i ? Math.max(job.up, lane.ends[i - 1]) : job.up;
    const gapTo = i < lane.n ? lane.starts[i] : job.ended;
    return within("hardware", job.launched, job.began) || within("starting", job.began, job.up) || within("idle", gapFrom, gapTo);
  }

  function laneAt(y) {
    const inside = y - top() + scroll;
    if (y < top() || inside < 0) return -1;
    const i = after(tops.subarray(0, lanes.length), inside) - 1;
    return i >= 0 && inside < tops[i] + laneHeight ? i : -1;
  }
  /** The call under a point: the one that runs then, or else the nearest one within some pixels. */
  function callAt(lane, x) {
    const moment = T(x), i = after(lane.starts, moment) - 1;
    let best = -1, nearest = 4;
    for (const k of [i, i + 1]) {
      if (k < 0 || k >= lane.n) continue;
      const distance = Math.max(X(lane.starts[k]) - x, x - Math.max(X(lane.ends[k]), X(lane.starts[k]) + 1), 0);
      if (distance < nearest) { best = k; nearest = distance; }
    }
    return best;
  }

  function tell(lines, x, y) {
    if (!lines) { tip.hidden = true; return; }
    tip.replaceChildren(...lines.map((line) => {
      const row = document.createElement("div");
      row.textContent = line;
      return row;
    }));
    tip.hidden = false;
    const wide = tip.offsetWidth, tall = tip.offsetHeight;
    tip.style.left = Math.max(4, Math.min(x + 14, width - wide - 4)) + "px";
    tip.style.top = (y + 18 + tall > height + 60 ? Math.max(0, y - tall - 12) : y + 18) + "px";
  }
  function hover(x, y) {
    const i = laneAt(y);
    if (i < 0 || x < left) { tell(null); return; }
    const lane = lanes[i], call = callAt(lane, x);
    tell(call >= 0 ? wordsOfCall(lane, call) : wordsOfRest(lane, T(x)), x, y);
  }

  /** Go to the next call, or the one before, in the order in which they began. */
  function step(way) {
    let moment = way > 0 ? from - 1 : to, number = -1;
    if (selected) {
      moment = lanes[selected.lane].starts[selected.place];
      number = selected.lane;
    }
    let found = null, best = way * Infinity;
    lanes.forEach((lane, i) => {
      // Of calls that begin at the same moment the upper one comes first.
      let k = way > 0 ? after(lane.starts, moment) : after(lane.starts, moment) - 1;
      if (way > 0 && selected && i > number && k > 0 && lane.starts[k - 1] === moment) k -= 1;
      if (way < 0) while (k >= 0 && lane.starts[k] === moment && selected && i >= number) k -= 1;
      if (k < 0 || k >= lane.n) return;
      if (way > 0 ? lane.starts[k] < best : lane.starts[k] >= best) { best = lane.starts[k]; found = { lane: i, place: k }; }
    });
    if (!found) return;
    selected = found;
    const lane = lanes[found.lane], start = lane.starts[found.place];
    if (start < from || start > to) show(start - (to - from) / 2, start + (to - from) / 2);
    const y = tops[found.lane] - scroll;
    if (y < 0 || y > room() - laneHeight) { scroll = 0; lift(tops[found.lane] - room() / 2); }
    const lines = wordsOfCall(lane, found.place);
    tell(lines, X(start), top() + tops[found.lane] - scroll);
    said.textContent = lines.join(", ");
    later();
  }

  // --- hands ---------------------------------------------------------------------------------

  const pointers = new Map();
  const point = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    pointers.set(event.pointerId, point(event));
    canvas.setPointerCapture(event.pointerId);
    canvas.classList.add("dragged");
    selected = null;
    hover(point(event).x, point(event).y);
  });
  canvas.addEventListener("pointermove", (event) => {
    const now = point(event), before = pointers.get(event.pointerId);
    if (!before) { hover(now.x, now.y); return; }
    pointers.set(event.pointerId, now);
    if (pointers.size === 1) {
      pan(before.x - now.x);
      if (event.pointerType === "mouse") lift(before.y - now.y);
      if (Math.abs(before.x - now.x) > 1) tell(null);
    } else if (pointers.size === 2) {
      const other = [...pointers.entries()].find(([id]) => id !== event.pointerId)[1];
      const gap = (a) => Math.max(10, Math.hypot(a.x - other.x, a.y - other.y));
      zoom(gap(before) / gap(now), (now.x + other.x) / 2);
      tell(null);
    }
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => {
    pointers.delete(event.pointerId);
    if (!pointers.size) canvas.classList.remove("dragged");
  });
  canvas.addEventListener("pointerleave", () => { if (!pointers.size && !selected) tell(null); });
  canvas.addEventListener("wheel", (event) => {
    const { x } = point(event), unit = event.deltaMode ? 16 : 1;
    if (event.ctrlKey || event.metaKey) zoom(Math.exp(Math.max(-120, Math.min(120, event.deltaY * unit)) / 160), Math.max(left, x));
    else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) pan((event.deltaX || event.deltaY) * unit);
    else if (overflow() && (event.deltaY < 0 ? scroll > 0 : scroll < overflow())) lift(event.deltaY * unit);
    else return; // the page scrolls
    event.preventDefault();
    tell(null);
  }, { passive: false });
  const fit = () => { selected = null; tell(null); scroll = 0; show(first, last); };
  canvas.addEventListener("dblclick", fit);
  const keys = {
    ArrowLeft: () => pan(-(width - left) / 8), ArrowRight: () => pan((width - left) / 8),
    ArrowUp: () => lift(-4 * laneHeight), ArrowDown: () => lift(4 * laneHeight),
    "+": () => zoom(1 / 1.5), "=": () => zoom(1 / 1.5), "-": () => zoom(1.5), "0": fit,
    Home: () => show(first, first + to - from), End: () => show(last - to + from, last),
    "]": () => step(1), "[": () => step(-1), Escape: () => { selected = null; tell(null); later(); },
  };
  canvas.addEventListener("keydown", (event) => {
    const act = keys[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  });
  document.getElementById("zoom-in").addEventListener("click", () => zoom(1 / 1.5));
  document.getElementById("zoom-out").addEventListener("click", () => zoom(1.5));
  document.getElementById("fit").addEventListener("click", fit);
  new ResizeObserver(() => { if (frame.clientWidth !== width) layout(); }).observe(frame);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", layout);
  layout();
})();
