'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const names = data.names, size = names.length;
const NS = 'http://www.w3.org/2000/svg';
const state = {
  method: data.told ?? data.methods.filter((m) => data.gallery[m]).pop() ?? data.methods.at(-1), order: 'tree', kind: 'precision',
  cell: Math.max(10, Math.min(30, Math.floor(560 / size))), at: null, image: 0, large: 0, hidden: new Set(), k: 1,
};
const byId = (id) => document.getElementById(id);
// The attribution method whose maps are shown: the last one, beside a measure that has none.
const mapped = () => data.gallery[state.method] ? state.method : Object.keys(data.gallery).pop();

function node(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}
function shape(tag, attributes = {}, text) {
  const element = document.createElementNS(NS, tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}
const signed = (text) => String(text).replace('-', '−');
function number(value, digits = 3) {
  if (value === null || value === undefined) return '–';
  return signed((value + 0).toFixed(digits)).replace(/^−(0\.0*)$/, '$1');
}
const pValue = (value) => (value !== null && value !== undefined && value < 0.001 ? '<0.001' : number(value));
// An affinity: four decimals, or two digits that count.
const affinityText = (value) => signed(value && Math.abs(value) < 0.001 ? +value.toPrecision(2) : value.toFixed(4));
// Round values between two ends, and how many decimals they have.
function ticks(low, high, count) {
  const rough = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), values = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) values.push(i * step);
  return values.map((value) => [value, number(value, digits)]);
}
function fill(table, header, rows, isBaseline = () => false) {
  table.replaceChildren(
    node('thead', {}, node('tr', {}, ...header.map((text) => node('th', {scope: 'col'}, text)))),
    node('tbody', {}, ...rows.map(([first, ...rest]) => {
      const row = node('tr', {}, node('th', {scope: 'row'}, first), ...rest.map((text) => node('td', {}, text)));
      if (isBaseline(first)) row.className = 'baseline';
      return row;
    })));
}

// Colours of affinities, as in the figures: white is zero, and roots of magnitudes are shown.
const RED_BLUE = ['#053061', '#2166ac', '#4393c3', '#92c5de', '#d1e5f0', '#f7f7f7', '#fddbc7', '#f4a582', '#d6604d',
  '#b2182b', '#67001f'].map((hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
const root = (value) => Math.sign(value) * Math.sqrt(Math.abs(value));
function signedColor(value, largest) {
  const place = Math.max(0, Math.min(1, (1 + root(value / largest)) / 2)) * (RED_BLUE.length - 1);
  const low = Math.min(Math.floor(place), RED_BLUE.length - 2), rest = place - low;
  const mix = RED_BLUE[low].map((channel, i) => Math.round(channel + rest * (RED_BLUE[low + 1][i] - channel)));
  return `rgb(${mix.join(',')})`;
}
const readable = (color) => `color-mix(in srgb, ${color} var(--group-share), white)`;
const groupColor = (i) => data.groups[i] in data.group_colors ? readable(data.group_colors[data.groups[i]]) : 'var(--ink)';
const room = (id, least, most) => Math.max(least, Math.min(most, byId(id).clientWidth || most));

const signedCell = (text) => text.replace(/^-(?=\d)/, '−');

// The answer, in words.
function drawAnswer() {
  const answer = data.answer;
  byId('answer-section').hidden = !answer;
  if (!answer) return;
  const whole = (text) => text.replace(/(\d) %/g, '$1\u00a0%');  // A number and its sign stay on one line.
  byId('answer').replaceChildren(...answer.paragraphs.map((text, i) => node('p', i ? {} : {class: 'first'}, whole(text))));
  const [header, ...rows] = answer.table;
  byId('answer-table').parentElement.hidden = !rows?.length;
  if (rows?.length) fill(byId('answer-table'), header, rows.map((row) => row.map(signedCell)));
  byId('answer-note').textContent = answer.note;
}

function drawSummary() {
  const [header, ...rows] = data.summary;
  if (!rows.length) {
    byId('summary-note').textContent = 'The bank has no oracle: transfers were not measured, so there is nothing to ' +
      'compare the rankings with.';
    return;
  }
  const cell = (value, i) => (header[i + 1].startsWith('p') ? pValue : number)(value);
  fill(byId('summary'), header, rows.map(([name, ...values]) => [data.method_labels[name] || name, ...values.map(cell)]),
    (label) => !data.methods.some((m) => data.method_labels[m] === label));
  byId('summary-note').textContent = `${data.num_targets} targets: a difference of one hit in P@5 is ${number(1 / (5 * data.num_targets))}.`;
}

// Curves.
function drawCurves() {
  const names = Object.keys(data.curves);
  if (!names.length) return;
  const last = data.curves[names[0]].precision.length;
  const width = room('curves', 320, 900), height = Math.max(260, width * 0.46), left = 44, right = 12, top = 12, bottom = 42;
  const x = (k) => left + (width - left - right) * (last > 1 ? (k - 1) / (last - 1) : 0.5);
  const y = (value) => height - bottom - (height - top - bottom) * value;
  const svg = shape('svg', {viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label':
    `${state.kind === 'precision' ? 'P@K' : 'R@K'} of ${names.length} methods and baselines; the table below has the values`});
  for (let tick = 0; tick <= 10; tick += 2) {
    svg.append(shape('line', {class: 'grid', x1: left, x2: width - right, y1: y(tick / 10), y2: y(tick / 10)}),
      shape('text', {x: left - 8, y: y(tick / 10) + 4, 'text-anchor': 'end'}, (tick / 10).toFixed(1)));
  }
  const step = Math.ceil(last / Math.floor(width / 34));
  for (let k = 1; k <= last; k += step) {
    svg.append(shape('text', {x: x(k), y: height - bottom + 20, 'text-anchor': 'middle'}, k));
  }
  svg.append(shape('text', {x: (left + width) / 2, y: height - 6, 'text-anchor': 'middle'}, 'K'));
  svg.append(shape('line', {class: 'axis', x1: x(state.k), x2: x(state.k), y1: y(0), y2: y(1), 'stroke-dasharray': '3 4'}));
  for (const name of names) {
    const curve = data.curves[name], style = data.curve_styles[name];
    if (state.hidden.has(name)) continue;
    const points = (values) => values.map((value, i) => `${x(i + 1).toFixed(1)},${y(value).toFixed(1)}`);
    const low = curve[`${state.kind}_low`], high = curve[`${state.kind}_high`];
    if (low) {
      svg.append(shape('polygon', {points: [...points(high), ...points(low).reverse()].join(' '), fill: style.color, opacity: 0.16}));
    }
    svg.append(shape('polyline', {points: points(curve[state.kind]).join(' '), fill: 'none', stroke: style.color,
      'stroke-width': style.width, 'stroke-dasharray': style.dashes, 'stroke-dashoffset': -style.shift}));
  }
  byId('curves').replaceChildren(svg);
  const striped = names.filter((name) => data.methods.includes(name) && data.curve_styles[name].dashes);
  byId('curves-note').textContent = (striped.length ?
    `Striped curves coincide: ${striped.map((name) => data.method_labels[name]).join(', ')}. ` : '') +
    'Bands are 95 % intervals over resamplings of the images.';
  const rows = names.map((name) => {
    const curve = data.curves[name], i = state.k - 1;
    const band = curve.precision_low ? `${number(curve.precision_low[i])} – ${number(curve.precision_high[i])}` : '–';
    return [data.method_labels[name] || name, number(curve.precision[i]), band, number(curve.recall[i]),
      curve.p_value ? pValue(curve.p_value[i]) : '–'];
  });
  fill(byId('at-k'), ['at this K', 'P@K', '95 % over images', 'R@K', 'p-value'], rows,
    (label) => !data.methods.some((m) => data.method_labels[m] === label));
  byId('k-value').textContent = state.k;
}
function drawLegend() {
  byId('curve-legend').replaceChildren(...Object.keys(data.curves).map((name) => {
    const style = data.curve_styles[name];
    const key = shape('svg', {class: 'key', width: 44, height: 8, 'aria-hidden': true});
    key.append(shape('line', {x1: 0, x2: 44, y1: 4, y2: 4, stroke: style.color, 'stroke-width': style.width * 1.3,
      'stroke-dasharray': style.dashes, 'stroke-dashoffset': -style.shift}));
    const button = node('button', {type: 'button', 'aria-pressed': !state.hidden.has(name)}, key, data.method_labels[name] || name);
    button.addEventListener('click', () => {
      if (!state.hidden.delete(name)) state.hidden.add(name);
      button.setAttribute('aria-pressed', !state.hidden.has(name));
      drawCurves();
    });
    return button;
  }));
}

// Affinity.
function order() {
  if (state.order === 'tree') return data.trees[state.method].leaf_order;
  const plain = names.map((_, i) => i);
  if (state.order === 'bank') return plain;
  const groups = [...new Set(data.groups)];
  return plain.sort((a, b) => groups.indexOf(data.groups[a]) - groups.indexOf(data.groups[b]) || a - b);
}
function drawAffinity() {
  const matrix = data.affinities[state.method], rows = order(), cell = state.cell;
  const values = [];
  for (let i = 0; i < size; i++) for (let j = 0; j < size; j++) if (i !== j) values.push(matrix[i][j]);
  const low = Math.min(0, ...values), high = Math.max(0, ...values), largest = Math.max(-low, high) || 1;
  const font = Math.max(7, Math.min(13, cell * 0.62));
  const margin = 8 + font * 0.58 * Math.max(...data.labels.map((label) => label.length));
  const side = margin + size * cell + 4;
  const svg = shape('svg', {width: side, height: side, role: 'application', tabindex: 0, id: 'matrix',
    'aria-label': 'Affinity matrix. Arrow keys move from pair to pair; the value is read out.'});
  rows.forEach((i, r) => {
    const color = groupColor(i), middle = margin + (r + 0.5) * cell;
    const style = `font-size:${font}px;fill:${color}`;
    svg.append(shape('text', {x: margin - 5, y: middle + font * 0.35, 'text-anchor': 'end', style}, data.labels[i]),
      shape('text', {x: 0, y: 0, transform: `translate(${middle + font * 0.35},${margin - 5}) rotate(-90)`, style}, data.labels[i]));
    rows.forEach((j, c) => {
      const color = i === j ? 'var(--diagonal)' : signedColor(matrix[i][j], largest);
      svg.append(shape('rect', {x: margin + c * cell, y: margin + r * cell, width: cell - 1, height: cell - 1,
        fill: color, 'data-r': r, 'data-c': c}));
    });
  });
  const choose = (r, c) => {
    state.at = [r, c];
    for (const rect of svg.querySelectorAll('rect.chosen')) rect.classList.remove('chosen');
    svg.querySelector(`rect[data-r="${r}"][data-c="${c}"]`).classList.add('chosen');
    const [i, j] = [rows[r], rows[c]];
    byId('affinity-readout').textContent = `${data.labels[i]} – ${data.labels[j]}: ${affinityText(matrix[i][j])}`;
  };
  svg.addEventListener('pointerover', (event) => {
    if (event.target.dataset.r !== undefined) choose(+event.target.dataset.r, +event.target.dataset.c);
  });
  svg.addEventListener('keydown', (event) => {
    const moves = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]};
    if (!(event.key in moves)) return;
    event.preventDefault();
    const [r, c] = state.at || [0, 0];
    const clamp = (value) => Math.max(0, Math.min(size - 1, value));
    choose(clamp(r + moves[event.key][0]), clamp(c + moves[event.key][1]));
  });
  byId('affinity').replaceChildren(svg);
  byId('affinity-readout').textContent = 'Point at a cell, or move with the arrow keys.';
  state.at = null;
  drawScale(low, high, largest);
}
function drawScale(low, high, largest) {
  const width = 280, left = 24, ends = [root(low), root(high)];
  const x = (value) => left + width * (root(value) - ends[0]) / (ends[1] - ends[0] || 1);
  const svg = shape('svg', {width: width + 2 * left, height: 34, role: 'img',
    'aria-label': `Colours from ${affinityText(low)} to ${affinityText(high)}; white is zero`});
  for (let i = 0; i < 70; i++) {
    const place = ends[0] + (i + 0.5) / 70 * (ends[1] - ends[0]);
    svg.append(shape('rect', {x: left + width * i / 70, y: 2, width: width / 70 + 0.5, height: 12,
      fill: signedColor(Math.sign(place) * place * place, largest)}));
  }
  const shown = [0], sizes = [];
  for (let power = 1; power > 1e-7; power /= 10) sizes.push(5 * power, 2 * power, power);
  for (const value of sizes.flatMap((one) => [one, -one])) {
    if (value < low || value > high) continue;
    if (shown.every((other) => Math.abs(x(value) - x(other)) > 40)) shown.push(value);
  }
  for (const value of shown) {
    svg.append(shape('text', {x: x(value), y: 30, 'text-anchor': 'middle'}, signed(+value.toPrecision(1))));
  }
  byId('affinity-scale').replaceChildren(svg);
}

// Sources of a target.
function drawSources() {
  const i = names.indexOf(byId('target').value), row = data.affinities[state.method][i];
  const relevant = (data.relevant || {})[names[i]] || [];
  byId('sources').replaceChildren(...data.rankings[state.method][names[i]].map((name) => {
    const j = names.indexOf(name), item = node('li', {}, `${data.labels[j]} `, node('span', {class: 'note'}, affinityText(row[j])));
    if (relevant.includes(name)) { item.className = 'relevant'; item.append(' ✓'); }
    return item;
  }));
  byId('sources-note').textContent = relevant.length
    ? '✓ One of the best sources by measured transfer.'
    : data.transfers ? 'By affinity; transfers to this target were not measured.' : 'By affinity, the nearest first.';
}

// Tree.
function drawTree() {
  const tree = data.trees[state.method], rowHeight = 24, top = 6;
  const width = room('tree', 330, 900), labelWidth = 12 + 7.2 * Math.max(...data.labels.map((label) => label.length));
  const heights = tree.linkage.map((join) => join[2]);
  const lowest = Math.min(...heights), highest = Math.max(...heights), spread = highest - lowest || 0.1;
  const start = Math.max(lowest - 0.12 * spread, Math.min(0, lowest)), stop = highest + 0.05 * spread;
  const x = (value) => 26 + (width - labelWidth - 40) * (stop - value) / (stop - start || 1);
  const svg = shape('svg', {width, height: top + rowHeight * size + 40, role: 'img',
    'aria-label': `Tree of ${size} networks by ${data.method_labels[state.method]}: ` +
      tree.leaf_order.map((i) => data.labels[i]).join(', ')});
  const row = [], height = [], group = [];
  tree.leaf_order.forEach((i, r) => { row[i] = r; height[i] = start; group[i] = data.groups[i]; });
  const y = (r) => top + (r + 0.5) * rowHeight;
  const color = (g) => g in data.group_colors ? readable(data.group_colors[g]) : 'var(--soft)';
  tree.linkage.forEach(([left, right, joined], n) => {
    const parent = size + n;
    row[parent] = (row[left] + row[right]) / 2;
    height[parent] = joined;
    group[parent] = group[left] === group[right] ? group[left] : null;
    for (const child of [left, right]) {
      const line = shape('polyline', {fill: 'none', stroke: color(group[child]), 'stroke-width': 2,
        points: `${x(height[child])},${y(row[child])} ${x(joined)},${y(row[child])} ${x(joined)},${y(row[parent])}`});
      line.append(shape('title', {}, `joined at ${number(joined, 4)}`));
      svg.append(line);
    }
  });
  tree.leaf_order.forEach((i, r) => {
    svg.append(shape('circle', {cx: x(start), cy: y(r), r: 4, fill: groupColor(i)}),
      shape('text', {x: x(start) + 9, y: y(r) + 4, style: `fill:${groupColor(i)};font-size:13px`}, data.labels[i]));
  });
  for (const [value, text] of ticks(start, stop, 5)) {
    svg.append(shape('text', {class: 'tick', x: x(value), y: top + rowHeight * size + 16, 'text-anchor': 'middle'}, text));
  }
  svg.append(shape('text', {x: x((start + stop) / 2), y: top + rowHeight * size + 32, 'text-anchor': 'middle'}, data.tree_axis));
  byId('tree').replaceChildren(svg);
}

// Maps.
function drawMaps() {
  const strips = data.gallery[mapped()] || [];
  byId('maps-section').hidden = !strips.length;
  if (byId('maps-section').hidden) return;
  byId('maps-of').textContent = `Maps of ${data.method_labels[mapped()]}.`;
  byId('image-value').textContent = `${state.image + 1} of ${strips.length}`;
  byId('maps').replaceChildren(...['Image', ...data.labels].map((label, i) => {
    const panel = node('button', {type: 'button', class: 'panel', 'aria-label': i
      ? `Map of ${label}, image ${state.image + 1}: enlarge` : `Probe image ${state.image + 1}: enlarge`});
    place(panel, i);
    panel.addEventListener('click', () => { state.large = i; drawLarge(); byId('large').showModal(); });
    const caption = node('figcaption', {}, label);
    if (i) caption.style.color = groupColor(i - 1);
    return node('figure', {}, panel, caption);
  }));
}
// Shows the i-th panel of the image's strip as the background of an element.
function place(element, i) {
  element.style.backgroundImage = `url(${data.gallery[mapped()][state.image]})`;
  element.style.backgroundSize = `${(size + 1) * 100}% 100%`;
  element.style.backgroundPosition = `${size ? 100 * i / size : 0}% 0`;
}
function drawLarge() {
  const view = document.querySelector('[name=view]:checked').value, i = state.large;
  const label = i ? `${data.labels[i - 1]}, ${data.method_labels[mapped()]}` : 'Image';
  byId('large-title').textContent = `${label}: image ${state.image + 1} of ${data.gallery[mapped()].length}`;
  const layers = [];
  if (view !== 'map' || !i) layers.push([0, view === 'overlay' && i ? 'grey' : '']);
  if (view !== 'image' && i) {
    layers.push([i, view === 'map' ? '' : data.signed.includes(mapped()) ? 'multiply' : 'screen']);
  }
  byId('large-picture').replaceChildren(...layers.map(([panel, look]) => {
    const layer = node('div', {class: `layer ${look}`});
    place(layer, panel);
    return layer;
  }));
  byId('large-picture').setAttribute('aria-label', byId('large-title').textContent);
}
function drawGroups() {
  const known = Object.entries(data.group_colors).map(([group, color]) => [data.group_labels[group], readable(color)]);
  if (known.length && data.groups.some((group) => !group)) known.push(['no group', 'var(--ink)']);
  for (const place of document.querySelectorAll('.groups')) {
    place.hidden = !known.length;
    place.replaceChildren('Groups: ', ...known.map(([text, color]) =>
      node('span', {style: `color:${color}`}, node('i', {style: `background:${color}`}), text)));
  }
}
const KINDS = {tables: 'tables and settings', affinity: 'affinity of each pair', distance: 'distance, 1 / affinity',
  ranking: 'sources of each target', tree: 'trees, also as Newick', figures: 'figures for print'};
function drawFiles() {
  const kinds = Object.entries(data.files);
  byId('files-section').hidden = !kinds.length;
  const links = (names) => node('span', {}, ...names.flatMap((name) =>
    [node('a', {href: name.split('/').map(encodeURIComponent).join('/')}, name.split('/').at(-1)), ' ']));
  fill(byId('files'), ['Folder', 'Files'], kinds.map(([kind, names]) => [KINDS[kind] || kind, links(names)]));
}

function drawAll() {
  drawMaps();
  byId('affinity-note').textContent = data.affinity_notes[state.method] ?? '';
  if (data.methods.length) { drawAffinity(); drawSources(); drawTree(); }
}

byId('lead').textContent = data.lead;
for (const method of data.methods) {
  const input = node('input', {type: 'radio', name: 'method', value: method});
  input.checked = method === state.method;
  input.addEventListener('change', () => { state.method = method; drawAll(); });
  byId('method-list').append(node('label', {}, input, ` ${data.method_labels[method]}`));
}
for (const input of document.querySelectorAll('input[name=kind]')) {
  input.addEventListener('change', () => { state.kind = input.value; drawCurves(); });
}
for (const input of document.querySelectorAll('input[name=order]')) {
  input.addEventListener('change', () => { state.order = input.value; drawAffinity(); });
}
for (const [id, factor] of [['zoom-in', 1.3], ['zoom-out', 1 / 1.3]]) {
  byId(id).addEventListener('click', () => { state.cell = Math.max(4, Math.min(80, state.cell * factor)); drawAffinity(); });
}
const known = {
  affinity: data.methods.length, curves: data.summary.length > 1, transfers: data.methods.length && data.transfers,
  groups: Object.keys(data.group_colors).length, pictures: data.pictures.length,
};
if (!data.transfers) {
  byId('h-sources').textContent = 'Nearest networks';
  byId('target-word').textContent = 'Network';
  byId('h-tree').textContent = 'Tree of the networks';
}
byId('pictures').replaceChildren(...data.pictures.map(([caption, picture]) =>
  node('figure', {}, node('figcaption', {}, caption), node('img', {src: picture, alt: caption}))));
for (const part of document.querySelectorAll('[data-needs]')) part.hidden = !known[part.dataset.needs];
byId('methods').hidden = data.methods.length < 2;
// Where there are too many for the screen, the chosen one is in sight.
const chosen = document.querySelector('[name=method]:checked');
if (chosen) byId('method-list').scrollLeft = chosen.parentElement.offsetLeft - 60;
for (const name of Object.keys(data.rankings[state.method] || {})) {
  byId('target').append(node('option', {value: name}, data.labels[names.indexOf(name)]));
}
byId('target').addEventListener('change', drawSources);
const curveNames = Object.keys(data.curves);
if (curveNames.length) byId('k').max = data.curves[curveNames[0]].precision.length;
byId('k').addEventListener('input', () => { state.k = +byId('k').value; drawCurves(); });
const gallery = data.gallery[mapped()] || [];
byId('image').max = Math.max(0, gallery.length - 1);
byId('image').addEventListener('input', () => { state.image = +byId('image').value; drawMaps(); });
byId('settings-section').hidden = !Object.keys(data.settings).length;
fill(byId('settings'), ['Setting', 'Value'], Object.entries(data.settings).map(([key, value]) => [key, String(value)]));
for (const input of document.querySelectorAll('input[name=view]')) input.addEventListener('change', drawLarge);
for (const [id, step] of [['large-previous', size], ['large-next', 1]]) {
  byId(id).addEventListener('click', () => { state.large = (state.large - 1 + step + size) % size + 1; drawLarge(); });
}
byId('large-close').addEventListener('click', () => byId('large').close());
let wait;
window.addEventListener('resize', () => { clearTimeout(wait); wait = setTimeout(() => { drawCurves(); if (data.methods.length) drawTree(); }, 120); });
drawAnswer(); drawSummary(); drawGroups(); drawFiles(); drawLegend(); drawCurves(); drawAll();
