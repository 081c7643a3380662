// The page of `lift plot`: one state, one function that shows it.
(() => {
  const svgNs = "http://www.w3.org/2000/svg";
  const plane = byId("plane");
  const [width, height, padding] = [560, 440, 34];
  const state = {
    method: data.projections[0].method,
    clip: 0,
    frame: 0,
    halves: { ...data.shown },
    clips: data.clips.map((clip) => !clip.mirror),
    playing: null,
  };

  const element = (name, attributes = {}, text = "") => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  };
  const shape = (name, attributes) => {
    const made = document.createElementNS(svgNs, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const lone = data.clips.filter((clip) => !clip.mirror).length === 1;
  const name = (clip) => (lone ? (clip.mirror ? "mirrored in time" : "forward") : clip.title.length > 48 ? `${clip.title.slice(0, 47)}…` : clip.title);
  const frames = () => data.clips[state.clip].frames;
  const projection = () => data.projections.find((one) => one.method === state.method);

  // The shown paths in the pixels of the plane, one scale for both axes.
  let shown = [];
  const layOut = () => {
    shown = [];
    for (const [number, paths] of projection().clips.entries()) {
      if (!state.clips[number]) continue;
      for (const half of ["features", "reconstructed"]) {
        if (state.halves[half]) shown.push({ number, half, points: paths[half] });
      }
    }
    const all = shown.flatMap((path) => path.points);
    const range = (axis) => all.reduce(([low, high], point) => [Math.min(low, point[axis]), Math.max(high, point[axis])], [Infinity, -Infinity]);
    const [x, y] = [range(0), range(1)];
    const spread = (side, [low, high]) => (high > low ? (side - 2 * padding) / (high - low) : Infinity);
    let scale = Math.min(spread(width, x), spread(height, y));
    if (!Number.isFinite(scale)) scale = 1;
    for (const path of shown) {
      path.at = path.points.map((point) => [
        width / 2 + (point[0] - (x[0] + x[1]) / 2) * scale,
        height / 2 - (point[1] - (y[0] + y[1]) / 2) * scale,
      ]);
    }
  };

  const marker = (half, [x, y], radius, attributes) =>
    half === "features"
      ? shape("circle", { cx: x, cy: y, r: radius, ...attributes })
      : shape("rect", { x: x - radius * 0.9, y: y - radius * 0.9, width: radius * 1.8, height: radius * 1.8, ...attributes });

  const arrow = ([x0, y0], [x1, y1], fill) => {
    const length = Math.hypot(x1 - x0, y1 - y0);
    if (length < 20) return null;
    const [ux, uy] = [(x1 - x0) / length, (y1 - y0) / length];
    const tip = [(x0 + x1) / 2 + ux * 4, (y0 + y1) / 2 + uy * 4];
    const back = [tip[0] - ux * 9, tip[1] - uy * 9];
    const corners = [tip, [back[0] - uy * 4, back[1] + ux * 4], [back[0] + uy * 4, back[1] - ux * 4]];
    return shape("polygon", { points: corners.map((corner) => corner.join(",")).join(" "), fill });
  };

  const drawPlane = () => {
    layOut();
    plane.replaceChildren();
    for (let x = 40; x < width; x += 60) plane.append(shape("line", { x1: x, x2: x, y1: 0, y2: height, stroke: "#e8eaed" }));
    for (let y = 40; y < height; y += 60) plane.append(shape("line", { x1: 0, x2: width, y1: y, y2: y, stroke: "#e8eaed" }));
    for (const path of shown) {
      const clip = data.clips[path.number];
      const colours = clip.colours[path.half];
      const count = path.at.length;
      const radius = count > 40 ? 3.5 : count > 20 ? 4.5 : 6;
      for (let t = 1; t < count; t += 1) {
        const [from, to] = [path.at[t - 1], path.at[t]];
        const line = { x1: from[0], y1: from[1], x2: to[0], y2: to[1], stroke: colours[t], "stroke-width": 2 };
        if (clip.mirror) line["stroke-dasharray"] = "5 4";
        plane.append(shape("line", line));
        const head = arrow(from, to, colours[t]);
        if (head) plane.append(head);
      }
      path.at.forEach((point, t) => {
        const look = clip.mirror
          ? { fill: "#fff", stroke: colours[t], "stroke-width": 2 }
          : { fill: colours[t], stroke: colours[count > 40 ? t : 0], "stroke-width": 1.2 };
        const made = marker(path.half, point, radius, look);
        const title = shape("title", {});
        title.textContent = `${name(clip)}, ${path.half === "features" ? "frame feature" : "reconstruction"}, frame ${t + 1}`;
        made.append(title);
        plane.append(made);
      });
      path.ring = shape("circle", { class: "ring", r: radius + 5, fill: "none", stroke: "#202124", "stroke-width": 2.5 });
      plane.append(path.ring);
    }
  };

  const show = () => {
    const clip = data.clips[state.clip];
    state.frame = Math.max(0, Math.min(clip.frames - 1, state.frame));
    byId("caption").textContent = projection().caption;
    const picture = data.pictures[clip.pictures[state.frame]];
    if (picture && byId("picture").src !== picture) byId("picture").src = picture;
    byId("picture").alt = `Frame ${state.frame + 1} of ${clip.frames}`;
    const several = clip.mirror || !lone ? `${name(clip)}: ` : "";
    byId("now").textContent = `${several}frame ${state.frame + 1} of ${clip.frames}, ${clip.distance[state.frame].toFixed(2)} from the line's decoding`;
    const scrub = byId("scrub");
    scrub.max = clip.frames - 1;
    scrub.value = state.frame;
    for (const path of shown) {
      const time = clip.frames > 1 ? state.frame / (clip.frames - 1) : 0;
      const same = path.number === state.clip;
      const at = path.at[same ? state.frame : Math.round(time * (path.at.length - 1))];
      path.ring.setAttribute("transform", `translate(${at[0]} ${at[1]})`);
      path.ring.setAttribute("stroke-opacity", same ? 1 : 0.35);
    }
    const tiles = [...byId("strip").children];
    tiles.forEach((tile, t) => tile.setAttribute("aria-current", String(t === state.frame)));
    const tile = tiles[state.frame];
    if (tile) {
      const strip = byId("strip");
      strip.scrollLeft = tile.offsetLeft - strip.offsetLeft - strip.clientWidth / 2 + tile.clientWidth / 2;
    }
  };

  const drawStrip = () => {
    const clip = data.clips[state.clip];
    byId("strip").replaceChildren(
      ...clip.pictures.map((picture, t) => {
        const tile = element("button", { type: "button", "aria-label": `Frame ${t + 1}` });
        tile.style.borderBottomColor = clip.colours.features[t];
        tile.append(element("img", { src: data.pictures[picture], alt: "" }));
        tile.addEventListener("click", () => go(t));
        return tile;
      }),
    );
  };

  const go = (frame, clip = state.clip) => {
    const other = clip !== state.clip;
    state.clip = clip;
    state.frame = frame;
    if (other) drawStrip();
    show();
  };

  const stop = () => {
    clearInterval(state.playing);
    state.playing = null;
    byId("play").textContent = "▶";
    byId("play").setAttribute("aria-label", "Play");
  };
  const play = () => {
    if (state.playing) return stop();
    if (state.frame === frames() - 1) go(0);
    byId("play").textContent = "❚❚";
    byId("play").setAttribute("aria-label", "Pause");
    state.playing = setInterval(() => (state.frame >= frames() - 1 ? stop() : go(state.frame + 1)), 4000 / frames());
  };

  // The nearest point of any shown path; the shown clip's own first where several clips share a point.
  const point = (event) => {
    const box = plane.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * width;
    const y = ((event.clientY - box.top) / box.height) * height;
    let best = { distance: 40 };
    for (const path of shown) {
      path.at.forEach((at, t) => {
        const distance = Math.hypot(at[0] - x, at[1] - y) + (path.number === state.clip ? 0 : 0.5);
        // Of points in one place the last is on top.
        if (distance <= best.distance) best = { distance, t, number: path.number };
      });
    }
    if (best.t !== undefined) go(best.t, best.number);
  };
  plane.addEventListener("pointermove", point);
  plane.addEventListener("pointerdown", point);

  byId("scrub").addEventListener("input", (event) => go(Number(event.target.value)));
  byId("play").addEventListener("click", play);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const kind = event.target.type;
    if (kind === "radio" && event.key.startsWith("Arrow")) return;
    const steps = { ArrowLeft: state.frame - 1, ArrowRight: state.frame + 1, Home: 0, End: frames() - 1 };
    if (event.key in steps) {
      event.preventDefault();
      stop();
      go(steps[event.key]);
    } else if (event.key === " " && kind !== "button" && kind !== "radio" && kind !== "checkbox") {
      event.preventDefault();
      play();
    }
  });

  const choice = (parent, type, name, checked, label, ramps, change) => {
    const made = element("label");
    const input = element("input", { type, name });
    input.checked = checked;
    input.addEventListener("change", () => change(input.checked));
    made.append(input);
    for (const colours of ramps) {
      const swatch = element("span", { class: "swatch" });
      swatch.style.background = `linear-gradient(to right, ${colours[0]}, ${colours[Math.floor(colours.length / 2)]}, ${colours.at(-1)})`;
      made.append(swatch);
    }
    made.append(element("span", {}, label));
    byId(parent).append(made);
    return input;
  };
  for (const one of data.projections) {
    choice("methods", "radio", "method", one.method === state.method, one.method === "pca" ? "PCA" : "t-SNE", [], () => {
      state.method = one.method;
      drawPlane();
      show();
    });
  }
  for (const [half, label] of [["features", "frame features (circles)"], ["reconstructed", "LiFT reconstruction (squares)"]]) {
    choice("halves", "checkbox", half, state.halves[half], label, lone ? [data.clips[0].colours[half]] : [], (on) => {
      state.halves[half] = on;
      drawPlane();
      show();
    });
  }
  const toggles = data.clips.map((clip, number) =>
    choice("clips", "checkbox", "clip", state.clips[number], name(clip), lone ? [clip.colours.features, clip.colours.reconstructed] : [clip.colours.features], (on) => {
      state.clips[number] = on;
      // Someone's frames must be on the screen: the one just switched on, else the first that is.
      const next = on ? number : state.clips.indexOf(true);
      if (next < 0) {
        state.clips[number] = true;
        toggles[number].checked = true;
      }
      drawPlane();
      go(state.frame, next < 0 ? number : next);
    }),
  );
  byId("clipchoice").hidden = data.clips.length < 2;

  const degrees = (curve) => (curve === null || curve === undefined ? "–" : `${curve.toFixed(1)}°`);
  const row = (cell, texts) => {
    const made = element("tr");
    made.append(...texts.map((text) => element(cell, {}, text)));
    return made;
  };
  byId("numbers").append(
    row("th", ["curvature", "pixels", "features", "LiFT", "distance"]),
    ...data.clips.map((clip) => {
      const mean = clip.distance.reduce((sum, value) => sum + value, 0) / clip.distance.length;
      return row("td", [name(clip), degrees(clip.curvature.pixels), degrees(clip.curvature.features), degrees(clip.curvature.reconstruction), mean.toFixed(2)]);
    }),
  );

  document.body.classList.toggle("bare", data.pictures.length === 0);
  drawStrip();
  drawPlane();
  show();
})();
