// The map of `lift plot --figure map`: points on a canvas, the clip that is chosen, its neighbours, a filter and a selection.
(() => {
  const plane = byId("plane");
  const pen = plane.getContext("2d");
  const count = data.ids.length;
  const { x, y, label } = data;
  const labels = data.labels;
  // A fixed order without pattern, so that no label covers the others.
  const order = Uint32Array.from({ length: count }, (_, at) => at);
  let seed = 1;
  for (let at = count - 1; at > 0; at -= 1) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    const other = seed % (at + 1);
    [order[at], order[other]] = [order[other], order[at]];
  }
  const fits = new Uint8Array(count).fill(1);
  const selected = new Uint8Array(count);
  const hidden = new Set();
  let [chosen, hovered, main] = [-1, -1, null];
  const view = { scale: 1, x: 0, y: 0 };
  let [width, height, density] = [0, 0, 1];
  let [selecting, box] = [false, null];

  const nameOf = (row) => (label[row] < 0 ? "no label" : labels[label[row]].name);
  const stripOf = (row) => {
    const source = data.strips.sources[row];
    return source ? { source, frames: data.strips.frames, width: data.strips.widths[row], height: data.strips.heights[row] } : null;
  };
  const missing = new Map(data.strips.missing);
  const causeOf = (row) => missing.get(row) ?? data.strips.otherwise;

  // ---- Marks.
  let colours = {};
  let marks = [];
  const inks = () => {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(name).trim();
    colours = { paper: of("--paper"), ink: of("--ink"), grey: of("--faint"), accent: of("--accent") };
  };
  const plain = { colour: data.plain, shape: "disc" };
  const lookOf = (row) => (label[row] < 0 ? plain : labels[label[row]]);
  const radius = () => {
    const base = count > 20000 ? 1.7 : count > 2000 ? 2.6 : count > 300 ? 3.6 : 5;
    return density * Math.min(6, base * Math.sqrt(Math.max(1, view.scale / view.least)) ** 0.6);
  };
  let [markRadius, stride] = [0, 0];
  const prepare = () => {
    markRadius = radius();
    const rim = count > 5000 ? null : { width: density, colour: dark.matches ? "#000000a0" : "#00000090" };
    const accent = { width: 2 * density, colour: colours.accent };
    // Many labels may share a look.
    const known = new Map();
    const mark = (look, rim, kind) => {
      const key = `${look.colour} ${look.shape} ${kind}`;
      if (!known.has(key)) known.set(key, stampOf(look, markRadius, rim, stride));
      return known.get(key);
    };
    const all = [plain, ...labels];
    marks = {
      plain: all.map((look) => mark(look, rim, "plain")),
      selected: all.map((look) => mark(look, accent, "selected")),
      away: stampOf({ colour: colours.grey, shape: "disc" }, Math.max(1, markRadius / 2.5), null, stride),
    };
  };

  // ---- The map.
  const MARGIN = 48;
  let [image, buffer] = [null, null];
  const across = (row) => (x[row] - view.x) * view.scale + width / 2;
  const down = (row) => (view.y - y[row]) * view.scale + height / 2;
  const ring = (row, r, colour) => {
    pen.beginPath();
    pen.arc(across(row), down(row), r * density, 0, 7);
    pen.lineWidth = 2.5 * density;
    pen.strokeStyle = colour;
    pen.stroke();
  };
  const draw = () => {
    waiting = false;
    if (!width) return;
    if (Math.abs(radius() - markRadius) > 0.2) prepare();
    buffer.fill(pixelOfHex(colours.paper));
    for (const pass of [0, 1, 2]) {
      for (let i = 0; i < count; i += 1) {
        const row = order[i];
        const kind = fits[row] ? 1 + selected[row] : 0;
        if (kind !== pass) continue;
        const [left, top] = [Math.round(across(row)), Math.round(down(row))];
        if (left < -12 || top < -12 || left > width + 12 || top > height + 12) continue;
        const place = (top + MARGIN) * stride + left + MARGIN;
        stamp(buffer, pass === 0 ? marks.away : (pass === 2 ? marks.selected : marks.plain)[label[row] + 1], place);
      }
    }
    pen.putImageData(image, -MARGIN, -MARGIN);
    drawPictures();
    if (hovered >= 0) ring(hovered, 9, colours.ink);
    if (chosen >= 0) ring(chosen, 10, colours.accent);
    if (box) {
      pen.fillStyle = `${colours.accent}30`;
      pen.strokeStyle = colours.accent;
      pen.lineWidth = density;
      const area = [Math.min(box[0], box[2]), Math.min(box[1], box[3]), Math.abs(box[2] - box[0]), Math.abs(box[3] - box[1])];
      pen.fillRect(...area);
      pen.strokeRect(...area);
    }
  };
  let waiting = false;
  const redraw = () => {
    if (!waiting) requestAnimationFrame(draw);
    waiting = true;
  };

  // Pictures at points, where they do not overlap: of the points in view, in a fixed order.
  const MOST_PICTURES = 60;
  const loaded = new Map();
  const drawPictures = () => {
    if (!byId("pictures").checked) return;
    const [w, h] = [64 * density, 48 * density];
    const taken = [];
    let inView = 0;
    for (let row = 0; row < count; row += 1) {
      if (fits[row] && Math.abs(across(row) - width / 2) < width / 2 && Math.abs(down(row) - height / 2) < height / 2) inView += 1;
    }
    const most = Math.min(MOST_PICTURES, Math.ceil(inView / 3), Math.floor((width * height) / (w * h * 6)));
    for (let i = 0; i < count && taken.length < most; i += 1) {
      const row = order[i];
      if (!fits[row] || !data.strips.sources[row]) continue;
      const [left, top] = [across(row) - w / 2, down(row) - h / 2];
      if (left < 0 || top < 0 || left + w > width || top + h > height) continue;
      if (taken.some((other) => Math.abs(other.left - left) < w + 10 * density && Math.abs(other.top - top) < h + 10 * density)) continue;
      taken.push({ row, left, top });
    }
    for (const { row, left, top } of taken) {
      let picture = loaded.get(row);
      if (!picture) {
        if (loaded.size > 500) loaded.clear();
        picture = new Image();
        picture.onload = redraw;
        picture.src = data.strips.sources[row];
        loaded.set(row, picture);
      }
      if (!picture.complete || !picture.naturalWidth) continue;
      const strip = stripOf(row);
      const fit = Math.min(w / strip.width, h / strip.height);
      const [pw, ph] = [strip.width * fit, strip.height * fit];
      const [l, t] = [left + (w - pw) / 2, top + (h - ph) / 2];
      pen.fillStyle = colours.paper;
      pen.fillRect(l - 3 * density, t - 3 * density, pw + 6 * density, ph + 6 * density);
      pen.fillStyle = selected[row] ? colours.accent : markColour(lookOf(row));
      const frame = (selected[row] ? 4 : 2) * density;
      pen.fillRect(l - frame, t - frame, pw + 2 * frame, ph + 2 * frame);
      pen.drawImage(picture, Math.floor(strip.frames / 2) * strip.width, 0, strip.width, strip.height, l, t, pw, ph);
      pen.save();
      pen.translate(l, t + ph);
      paintMark(pen, lookOf(row), 0, 5 * density, { width: density, colour: colours.ink });
      pen.restore();
    }
  };

  const whole = () => {
    view.least = view.scale = Math.min((width - 48 * density) / Math.max(1, data.width), (height - 48 * density) / Math.max(1, data.height));
    [view.x, view.y] = [data.width / 2, data.height / 2];
    redraw();
  };
  const zoom = (factor, [px, py] = [width / 2, height / 2]) => {
    const scale = Math.max(view.least / 2, Math.min(view.least * 2000, view.scale * factor));
    view.x += (px - width / 2) * (1 / view.scale - 1 / scale);
    view.y -= (py - height / 2) * (1 / view.scale - 1 / scale);
    view.scale = scale;
    tip(-1);
    redraw();
  };
  const resize = () => {
    const first = !width;
    const { clientWidth, clientHeight } = plane;
    density = Math.min(2, devicePixelRatio || 1);
    [width, height] = [Math.round(clientWidth * density), Math.round(clientHeight * density)];
    [plane.width, plane.height] = [width, height];
    stride = width + 2 * MARGIN;
    image = new ImageData(stride, height + 2 * MARGIN);
    buffer = new Uint32Array(image.data.buffer);
    markRadius = 0;
    if (first || view.scale < view.least * 1.01) whole();
    else redraw();
  };

  // ---- The clip that is chosen.
  const clipOf = (row, withPath) => ({
    id: data.ids[row],
    path: withPath ? data.paths[row] || "" : nameOf(row),
    time: data.times[row] || "",
    strip: stripOf(row),
    missing: causeOf(row),
  });
  const choose = (row, show = false) => {
    tip(-1);
    if (main) main.pause();
    chosen = row;
    byId("none").hidden = row >= 0;
    byId("shown").hidden = row < 0;
    if (row < 0) return redraw();
    if (show) bring(row);
    const strip = stripOf(row);
    const scrub = byId("scrub");
    byId("time").hidden = !strip;
    if (strip) {
      main = player(strip, data.ids[row], (frame, plays) => {
        scrub.value = frame;
        byId("play").textContent = plays ? "❚❚" : "▶";
        byId("play").setAttribute("aria-label", plays ? "Pause" : "Play");
      });
      scrub.max = strip.frames - 1;
      byId("screen").replaceChildren(main.canvas);
      if (!still) main.play();
    } else {
      main = null;
      byId("screen").replaceChildren(make("div", "missing", causeOf(row)));
    }
    byId("id").replaceChildren(make("bdi", "", data.ids[row]));
    const facts = [[data.labelled, nameOf(row)], ["path", data.paths[row]], ["time", data.times[row]]].filter(([, text]) => text);
    byId("facts").replaceChildren(...facts.flatMap(([name, text]) => {
      const value = make("dd");
      value.append(make("bdi", "", text));
      return [make("dt", "", name), value];
    }));
    byId("near").replaceChildren(...data.near.flatMap((kind) => {
      const list = make("ol", "strips small");
      list.dataset.kind = kind.name;
      for (let at = row * data.nearest; at < (row + 1) * data.nearest && kind.rows[at] >= 0; at += 1) {
        const other = kind.rows[at];
        const item = card(clipOf(other, false), (kind.scores[at] / 1e4).toFixed(3), () => { choose(other, true); plane.focus(); });
        item.dataset.row = other;
        for (const name of ["pointerenter", "focus"]) item.addEventListener(name, () => { hovered = other; redraw(); });
        for (const name of ["pointerleave", "blur"]) item.addEventListener(name, () => { hovered = -1; redraw(); });
        list.append(item);
      }
      arrows(list);
      return [make("h3", "", kind.title), make("p", "where", kind.about), list];
    }), ...data.without.map((text) => make("p", "where", text)));
    redraw();
  };
  // Moves the map so that a point is in view.
  const bring = (row) => {
    const edge = 40 * density;
    if (across(row) < edge || across(row) > width - edge || down(row) < edge || down(row) > height - edge) [view.x, view.y] = [x[row], y[row]];
  };

  const nearestTo = (px, py, most) => {
    let [best, at] = [most * most, -1];
    for (let row = 0; row < count; row += 1) {
      if (!fits[row]) continue;
      const [dx, dy] = [across(row) - px, down(row) - py];
      const distance = dx * dx + dy * dy;
      if (distance <= best) [best, at] = [distance, row];
    }
    return at;
  };
  // The next clip to the right, left, top or bottom of the one that is chosen.
  const step = ([dx, dy]) => {
    if (chosen < 0) return choose(nearestTo(width / 2, height / 2, width + height), true);
    let [best, at] = [Infinity, -1];
    for (let row = 0; row < count; row += 1) {
      if (!fits[row] || row === chosen) continue;
      const [ax, ay] = [across(row) - across(chosen), down(row) - down(chosen)];
      const along = ax * dx + ay * dy;
      const aside = Math.abs(ax * dy) + Math.abs(ay * dx);
      if (along <= 0 || aside > along) continue;
      const distance = along + 2 * aside;
      if (distance < best) [best, at] = [distance, row];
    }
    if (at >= 0) choose(at, true);
  };

  // ---- Pointers.
  const pointers = new Map();
  let moved = 0;
  const placeOf = (event) => {
    const area = plane.getBoundingClientRect();
    return [(event.clientX - area.left) * density, (event.clientY - area.top) * density];
  };
  plane.addEventListener("pointerdown", (event) => {
    try { plane.setPointerCapture(event.pointerId); } catch { /* a made-up event has no pointer */ }
    pointers.set(event.pointerId, placeOf(event));
    moved = 0;
    const [px, py] = placeOf(event);
    box = (selecting || event.shiftKey) && pointers.size === 1 ? [px, py, px, py] : null;
  });
  plane.addEventListener("pointermove", (event) => {
    const [px, py] = placeOf(event);
    const before = pointers.get(event.pointerId);
    if (!before) {
      const row = nearestTo(px, py, 12 * density);
      tip(row, px, py);
      return;
    }
    tip(-1);
    const [dx, dy] = [px - before[0], py - before[1]];
    moved += Math.abs(dx) + Math.abs(dy);
    if (pointers.size === 2) {
      const [[a, b], [c, d]] = [...pointers.values()];
      const apart = Math.hypot(a - c, b - d);
      pointers.set(event.pointerId, [px, py]);
      const [[e, f], [g, h]] = [...pointers.values()];
      zoom(Math.hypot(e - g, f - h) / Math.max(1, apart), [(e + g) / 2, (f + h) / 2]);
    } else if (box) {
      [box[2], box[3]] = [px, py];
    } else {
      view.x -= dx / view.scale;
      view.y += dy / view.scale;
    }
    pointers.set(event.pointerId, [px, py]);
    redraw();
  });
  const lifted = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    const [px, py] = placeOf(event);
    if (moved < 6 * density && event.type === "pointerup") {
      const row = nearestTo(px, py, 16 * density);
      if (row >= 0) choose(row);
    } else if (box) {
      const [left, right] = [Math.min(box[0], box[2]), Math.max(box[0], box[2])];
      const [top, bottom] = [Math.min(box[1], box[3]), Math.max(box[1], box[3])];
      select((row) => across(row) >= left && across(row) <= right && down(row) >= top && down(row) <= bottom);
    }
    box = null;
    redraw();
  };
  plane.addEventListener("pointerup", lifted);
  plane.addEventListener("pointercancel", lifted);
  plane.addEventListener("pointerleave", () => tip(-1));
  plane.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-Math.max(-200, Math.min(200, event.deltaY)) / 400), placeOf(event));
  }, { passive: false });
  const tip = (row, px, py) => {
    const box = byId("tip");
    box.hidden = row < 0;
    if (row < 0) return;
    box.replaceChildren(make("bdi", "", data.ids[row]), ` · `, make("bdi", "", nameOf(row)));
    box.style.left = `${Math.min(px / density + 12, Math.max(0, plane.clientWidth - 220))}px`;
    box.style.top = `${py / density + 14}px`;
  };

  // ---- Filter, selection, legend.
  const texts = data.ids.map((id, row) => `${id}\n${nameOf(row)}`.toLowerCase());
  const filter = () => {
    tip(-1);
    const words = byId("find").value.toLowerCase().trim();
    let found = 0;
    const first = [];
    for (let row = 0; row < count; row += 1) {
      const fit = !hidden.has(label[row]) && (!words || texts[row].includes(words));
      fits[row] = fit ? 1 : 0;
      if (!fit) continue;
      found += 1;
      if (words && first.length < 12) first.push(row);
    }
    byId("matches").hidden = !words;
    byId("matches").replaceChildren(...first.map((row) => {
      const item = make("li");
      const button = make("button");
      button.type = "button";
      button.append(make("bdi", "", data.ids[row]));
      button.addEventListener("click", () => choose(row, true));
      item.append(button);
      return item;
    }));
    told(found);
    redraw();
  };
  const told = (found = fits.reduce((sum, fit) => sum + fit, 0)) => {
    const chosenOnes = selected.reduce((sum, one) => sum + one, 0);
    byId("count").textContent = `${found === count ? count : `${found} of ${count}`} clips${chosenOnes ? `, ${chosenOnes} selected` : ""}`;
    byId("save").disabled = byId("clear").disabled = chosenOnes === 0;
  };
  const select = (inside) => {
    for (let row = 0; row < count; row += 1) if (fits[row] && inside(row)) selected[row] = 1;
    told();
    redraw();
  };
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  // A CSV with the column `id`, which `--list` reads; with the column `path`, so that lift embed reads it too.
  const list = () => {
    const columns = ["id", ...(data.paths.length ? ["path", "start", "end"] : [])];
    const lines = [columns.join(",")];
    for (let row = 0; row < count; row += 1) {
      if (!selected[row]) continue;
      const cells = [data.ids[row], ...(data.paths.length ? [data.paths[row], data.starts[row], data.ends[row]] : [])];
      lines.push(cells.map(cell).join(","));
    }
    return `${lines.join("\n")}\n`;
  };
  const save = () => {
    const link = make("a");
    link.href = URL.createObjectURL(new Blob([list()], { type: "text/csv" }));
    link.download = "selection.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  const legend = () => {
    const entries = [...labels.map((look, at) => [look, look.name, look.count, at]), ...(data.unlabelled ? [[plain, "no label", data.unlabelled, -1]] : [])];
    byId("legend").replaceChildren(...entries.slice(0, 200).map(([look, name, clips, at]) => {
      const item = make("li");
      const button = make("button");
      button.type = "button";
      button.setAttribute("aria-pressed", String(!hidden.has(at)));
      const mark = make("canvas");
      mark.width = mark.height = 32;
      paintMark(mark.getContext("2d"), look, 16, 10, { width: 1.5, colour: dark.matches ? "#000" : "#00000090" });
      button.append(mark, make("bdi", "", name), ` ${clips}`);
      button.addEventListener("click", () => {
        if (!hidden.delete(at)) hidden.add(at);
        button.setAttribute("aria-pressed", String(!hidden.has(at)));
        filter();
      });
      item.append(button);
      return item;
    }));
  };

  // ---- Controls.
  byId("caption").textContent = data.caption;
  byId("find").addEventListener("input", filter);
  byId("find").addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    const row = fits.indexOf(1);
    if (row >= 0) choose(row, true);
  });
  byId("choices").addEventListener("submit", (event) => event.preventDefault());
  byId("in").addEventListener("click", () => zoom(1.5));
  byId("out").addEventListener("click", () => zoom(1 / 1.5));
  byId("whole").addEventListener("click", whole);
  byId("area").addEventListener("click", () => {
    selecting = !selecting;
    byId("area").setAttribute("aria-pressed", String(selecting));
  });
  byId("inview").addEventListener("click", () => select((row) => across(row) >= 0 && across(row) <= width && down(row) >= 0 && down(row) <= height));
  byId("clear").addEventListener("click", () => { selected.fill(0); told(); redraw(); });
  byId("save").addEventListener("click", save);
  byId("pictures").addEventListener("change", redraw);
  byId("picturechoice").hidden = data.strips.sources.every((source) => !source);
  byId("play").addEventListener("click", () => main && (main.plays() ? main.pause() : main.play()));
  byId("scrub").addEventListener("input", (event) => { if (main) { main.pause(); main.show(Number(event.target.value)); } });
  plane.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const ways = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const acts = { "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), 0: whole, " ": () => byId("play").click(), Escape: () => choose(-1) };
    if (ways[event.key] && event.shiftKey) {
      view.x += (ways[event.key][0] * width) / 8 / view.scale;
      view.y -= (ways[event.key][1] * height) / 8 / view.scale;
      redraw();
    } else if (ways[event.key]) step(ways[event.key]);
    else if (acts[event.key]) acts[event.key]();
    else return;
    event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && event.target.tagName !== "INPUT") { event.preventDefault(); byId("find").focus(); }
  });
  dark.addEventListener("change", () => { inks(); markRadius = 0; legend(); redraw(); });
  plane.setAttribute("aria-label", `Map of ${count} clips. Arrow keys go from clip to clip.`);
  // For the tests: where a point is on the screen, and what would be saved.
  plane.placeOf = (row) => {
    const area = plane.getBoundingClientRect();
    return [area.left + across(row) / density, area.top + down(row) / density];
  };
  plane.list = list;
  inks();
  legend();
  new ResizeObserver(resize).observe(plane);
  filter();
})();
