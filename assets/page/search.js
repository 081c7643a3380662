// The page of `lift search`: a query on top, and its hits as cards.
let current = 0;
function choose(index) {
  current = index;
  const query = data.queries[index];
  byId('query').replaceChildren(...query.clips.map((clip) => card(clip, null)));
  const scores = query.hits.map((hit) => hit.score);
  const least = byId('least');
  // Rounded outwards, so that every hit is shown at first.
  least.min = scores.length ? Math.floor(1e4 * Math.min(...scores)) / 1e4 : 0;
  least.max = scores.length ? Math.ceil(1e4 * Math.max(...scores)) / 1e4 : 1;
  least.value = least.min;
  byId('hits').replaceChildren(...query.hits.map((hit) => card(hit, `${hit.rank}. ${hit.score.toFixed(4)}`)));
  filter();
}

function filter() {
  const hits = data.queries[current].hits;
  const words = byId('name').value.toLowerCase();
  const least = byId('least');
  const floor = Number(least.value);
  byId('leastshown').textContent = floor.toFixed(4);
  let shown = 0;
  [...byId('hits').children].forEach((item, at) => {
    const hit = hits[at];
    const text = [hit.id, hit.path, ...Object.values(hit.columns)].join('\n').toLowerCase();
    const fits = hit.score >= floor && text.includes(words);
    item.hidden = !fits;
    shown += fits ? 1 : 0;
  });
  byId('count').textContent = `${shown} of ${hits.length} hits`;
}

byId('caption').textContent = data.caption;
data.queries.forEach((query, at) => {
  const option = make('option', '', query.name);
  option.value = at;
  byId('queries').append(option);
});
byId('querychoice').hidden = data.queries.length < 2;
byId('queries').addEventListener('change', (event) => choose(Number(event.target.value)));
for (const id of ['name', 'least']) byId(id).addEventListener('input', filter);
byId('choices').addEventListener('submit', (event) => event.preventDefault());
arrows(byId('hits'));
if (data.queries.length) choose(0);
