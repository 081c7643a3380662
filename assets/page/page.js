// What the pages of lift share: the data, elements, and filmstrips that play. All text goes in through textContent.
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const make = (name, className, text) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;

// A filmstrip on a canvas, which shows one frame, and all of them in turn while it plays.
function player({ source, frames, width, height }, name, shown = () => {}) {
  const canvas = make("canvas");
  canvas.width = width;
  canvas.height = height;
  canvas.style.aspectRatio = `${width} / ${height}`;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Frames of ${name}`);
  const picture = new Image();
  let [frame, timer] = [0, 0];
  const draw = () => {
    canvas.getContext("2d").drawImage(picture, frame * width, 0, width, height, 0, 0, width, height);
    shown(frame, timer !== 0);
  };
  const show = (next) => { frame = next % frames; draw(); };
  const pause = () => { clearInterval(timer); timer = 0; shown(frame, false); };
  const stop = () => { pause(); show(0); };
  const play = () => {
    if (timer || frames < 2) return;
    timer = setInterval(() => show(frame + 1), still ? 600 : 2240 / frames);
    shown(frame, true);
  };
  picture.onload = draw;
  picture.src = source;
  return { canvas, frames, show, play, pause, stop, plays: () => timer !== 0 };
}

// A clip as a card, whose strip plays while it is pointed at. `heading` goes before the id; without one it is no item of a list.
function card(clip, heading, chosen) {
  const item = make(heading === null ? "div" : "li", "card");
  item.tabIndex = 0;
  if (clip.strip) {
    const strip = player(clip.strip, clip.id);
    for (const name of ["pointerenter", "focus"]) item.addEventListener(name, strip.play);
    for (const name of ["pointerleave", "blur"]) item.addEventListener(name, strip.stop);
    item.append(strip.canvas);
  } else {
    item.append(make("div", "missing", clip.missing));
  }
  const title = make("p");
  if (heading) title.append(make("span", "score", heading), " ");
  title.append(make("bdi", "", clip.id));
  item.append(title);
  const where = [clip.path, clip.time].filter(Boolean).join(", ");
  if (where) item.append(make("p", "where", where));
  for (const [name, value] of Object.entries(clip.columns ?? {})) item.append(make("p", "where", `${name}: ${value}`));
  if (chosen) {
    item.setAttribute("role", "button");
    item.addEventListener("click", chosen);
    item.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); chosen(); }
    });
  }
  return item;
}

// Arrow keys move from card to card of a list.
function arrows(list) {
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const items = [...list.children].filter((item) => !item.hidden);
    const next = items[items.indexOf(document.activeElement) + step];
    if (next) { next.focus(); event.preventDefault(); }
  });
}
