'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const element = (id) => document.getElementById(id);
const make = (name, className, text) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};
const still = window.matchMedia('(prefers-reduced-motion: reduce)').matches;

// A card draws one frame of its strip, and all of them in turn while it is pointed at.
function card(clip, heading) {
  const item = make(heading === null ? 'div' : 'li', 'card');
  item.tabIndex = 0;
  if (clip.strip) {
    const canvas = make('canvas');
    const { frames, width, height } = clip.strip;
    canvas.width = width;
    canvas.height = height;
    canvas.style.aspectRatio = `${width} / ${height}`;
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', `Frames of ${clip.id}`);
    const picture = new Image();
    let frame = 0, timer = 0;
    const draw = () => canvas.getContext('2d').drawImage(picture, frame * width, 0, width, height, 0, 0, width, height);
    picture.onload = draw;
    picture.src = clip.strip.source;
    const stop = () => { clearInterval(timer); timer = 0; frame = 0; draw(); };
    const play = () => {
      if (timer || frames < 2) return;
      timer = setInterval(() => { frame = (frame + 1) % frames; draw(); }, still ? 600 : 140);
    };
    for (const name of ['pointerenter', 'focus']) item.addEventListener(name, play);
    for (const name of ['pointerleave', 'blur']) item.addEventListener(name, stop);
    item.append(canvas);
  } else {
    item.append(make('div', 'missing', clip.missing));
  }
  const title = make('p');
  if (heading) title.append(make('span', 'score', heading), ' ');
  title.append(clip.id);
  item.append(title);
  const where = [clip.path, clip.time].filter(Boolean).join(', ');
  if (where) item.append(make('p', 'where', where));
  return item;
}

let current = 0;
function choose(index) {
  current = index;
  const query = data.queries[index];
  element('query').replaceChildren(...query.clips.map((clip) => card(clip, null)));
  const scores = query.hits.map((hit) => hit.score);
  const least = element('least');
  // Rounded outwards, so that every hit is shown at first.
  least.min = scores.length ? Math.floor(1e4 * Math.min(...scores)) / 1e4 : 0;
  least.max = scores.length ? Math.ceil(1e4 * Math.max(...scores)) / 1e4 : 1;
  least.value = least.min;
  element('hits').replaceChildren(...query.hits.map((hit) => card(hit, `${hit.rank}. ${hit.score.toFixed(4)}`)));
  filter();
}

function filter() {
  const hits = data.queries[current].hits;
  const words = element('name').value.toLowerCase();
  const least = element('least');
  const floor = Number(least.value);
  element('leastshown').textContent = floor.toFixed(4);
  let shown = 0;
  [...element('hits').children].forEach((item, at) => {
    const hit = hits[at];
    const fits = hit.score >= floor && `${hit.id}\n${hit.path}`.toLowerCase().includes(words);
    item.hidden = !fits;
    shown += fits ? 1 : 0;
  });
  element('count').textContent = `${shown} of ${hits.length} hits`;
}

element('caption').textContent = data.caption;
data.queries.forEach((query, at) => {
  const option = make('option', '', query.name);
  option.value = at;
  element('queries').append(option);
});
element('querychoice').hidden = data.queries.length < 2;
element('queries').addEventListener('change', (event) => choose(Number(event.target.value)));
for (const id of ['name', 'least']) element(id).addEventListener('input', filter);
element('choices').addEventListener('submit', (event) => event.preventDefault());
element('hits').addEventListener('keydown', (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step) return;
  const items = [...element('hits').children].filter((item) => !item.hidden);
  const next = items[items.indexOf(document.activeElement) + step];
  if (next) { next.focus(); event.preventDefault(); }
});
if (data.queries.length) choose(0);
