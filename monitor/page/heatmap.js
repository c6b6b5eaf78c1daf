// SPDX-License-Identifier: BSD-2-Clause
// The latency heat map: a row a connection, a column a latency bucket, the colour the bucket's share of the row.
import {bucket_low, bucket_text, by_id, colour, count, element, histogram_cells, percent, say as say_aloud, set_text, time} from './format.js';

const most_rows = 24, row_height = 20, most_label_width = 300, top = 22, right = 12, font = '12px system-ui, sans-serif';
let rows = [], edges = [], first = 0, buckets = 1, label_width = most_label_width, cursor = null, open = () => {};

// Dark to bright on dark paper, and the other way on light: what stands out is what is more. (Roughly the viridis scale.)
const scale = [[68, 1, 84], [65, 68, 135], [42, 120, 142], [34, 168, 132], [122, 209, 81], [253, 231, 37]];
const light_scale = [[226, 236, 246], [167, 206, 226], [94, 168, 204], [37, 118, 178], [12, 74, 138], [5, 33, 77]];
function shade(share, dark) {
  const steps = dark ? scale : light_scale;
  const at = Math.min(Math.sqrt(share), 1) * (steps.length - 1), i = Math.min(Math.floor(at), steps.length - 2), part = at - i;
  return `rgb(${steps[i].map((value, k) => Math.round(value + (steps[i + 1][k] - value) * part)).join(' ')})`;
}
const is_dark = () => getComputedStyle(document.documentElement).colorScheme.includes('dark');

const name_of = row => `${row.program} ${row.remote === '*' ? row.local : row.remote}`;
function bucket_of(ns) {
  let i = 0;
  while (i < edges.length && ns >= edges[i]) i++;
  return i;
}

function geometry() {
  const width = Math.max(by_id('heat').clientWidth, 560), context = by_id('heat-canvas').getContext('2d');
  context.font = font;
  label_width = Math.min(most_label_width, 16 + rows.reduce((most, row) => Math.max(most, Math.ceil(context.measureText(name_of(row)).width)), 60));
  return {width, height: top + Math.max(rows.length, 1) * row_height + 4, column: (width - label_width - right) / buckets};
}

function fit_text(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  while (text.length > 1 && context.measureText(text + '…').width > width) text = text.slice(0, -1);
  return text + '…';
}

function draw_row(context, row, y, size, dark, ink) {
  context.fillStyle = ink;
  context.textAlign = 'left';
  context.fillText(fit_text(context, name_of(row), label_width - 16), 4, y + row_height / 2);
  for (const [bucket, number] of row.cells) {
    if (!number) continue;
    context.fillStyle = shade(number / row.sum, dark);
    context.fillRect(label_width + (bucket - first) * size.column, y + 1, Math.max(size.column - 1, 1), row_height - 2);
  }
  const centre = ns => label_width + (bucket_of(ns) - first + 0.5) * size.column;
  const mark = ns => row.cells.find(([bucket]) => bucket === bucket_of(ns))?.[1] / row.sum > 0.2 ? (dark ? '#000' : '#fff') : ink;
  context.fillStyle = mark(row.p50_ns);
  context.fillRect(centre(row.p50_ns) - 1, y + 4, 2, row_height - 8);
  context.fillStyle = mark(row.p99_ns);
  context.beginPath();
  context.arc(centre(row.p99_ns), y + row_height / 2, 2.5, 0, 7);
  context.fill();
}

function draw_axis(context, size) {
  context.fillStyle = colour('--soft');
  context.strokeStyle = colour('--line');
  context.textAlign = 'center';
  let free = 0;
  for (let i = first; i < first + buckets; i++) {
    const x = label_width + (i - first) * size.column;
    const text = time(bucket_low(edges, i), 2), half = context.measureText(text).width / 2;
    if ((i - 1) % 2 || x - half < free) continue;
    context.fillText(text, x, 9);
    free = x + half + 8;
    context.beginPath();
    context.moveTo(x, top - 5);
    context.lineTo(x, size.height);
    context.stroke();
  }
}

export function draw() {
  const canvas = by_id('heat-canvas'), size = geometry(), ratio = devicePixelRatio || 1, dark = is_dark();
  const context = canvas.getContext('2d');
  canvas.width = size.width * ratio;
  canvas.height = size.height * ratio;
  canvas.style.width = `${size.width}px`;
  canvas.style.height = `${size.height}px`;
  context.scale(ratio, ratio);
  context.font = font;
  context.textBaseline = 'middle';
  context.clearRect(0, 0, size.width, size.height);
  if (rows.length) draw_axis(context, size);
  const ink = colour('--ink');
  rows.forEach((row, i) => draw_row(context, row, top + i * row_height, size, dark, ink));
  if (cursor && rows[cursor.row]) {
    context.strokeStyle = colour('--second');
    context.lineWidth = 2;
    context.strokeRect(label_width + (cursor.bucket - first) * size.column, top + cursor.row * row_height, size.column, row_height);
  }
  draw_legend(dark);
}

function draw_legend(dark) {
  const canvas = by_id('heat-legend'), context = canvas.getContext('2d');
  for (let x = 0; x < canvas.width; x++) {
    context.fillStyle = shade(x / canvas.width, dark);
    context.fillRect(x, 0, 1, canvas.height);
  }
}

function say() {
  const row = cursor && rows[cursor.row];
  if (!row) {
    set_text(by_id('heat-text'), rows.length ? 'Point at a cell, or move with the arrow keys, to read it.'
      : 'No connection has latencies yet.');
    return;
  }
  const number = row.cells.find(([bucket]) => bucket === cursor.bucket)?.[1] || 0;
  set_text(by_id('heat-text'), `${name_of(row)}, ${bucket_text(edges, cursor.bucket)}: ${count(number)} packets, ` +
    `${percent(number / row.sum)} of ${count(row.sum)}. Median ${time(row.p50_ns)}, 99 % ${time(row.p99_ns)}, largest ${time(row.max_ns)}.`);
}

function draw_table() {
  const place = by_id('heat-table');
  if (place.hidden) return;
  const used = [...Array(buckets).keys()].map(i => first + i);
  const head = element('tr', {}, element('th', {scope: 'col', class: 'text'}, 'Connection'),
    ...used.map(i => element('th', {scope: 'col'}, i === 0 ? `< ${time(edges[0], 2)}` : `≥ ${time(bucket_low(edges, i), 2)}`)));
  const body = rows.map(row => {
    const cells = new Map(row.cells);
    return element('tr', {}, element('th', {scope: 'row'}, name_of(row)), ...used.map(i => element('td', {}, count(cells.get(i) || 0))));
  });
  place.replaceChildren(element('table', {}, element('caption', {class: 'hidden'}, 'Packets by latency, a row for each connection'),
    element('thead', {}, head), element('tbody', {}, ...body)));
}

export function update(list) {
  const before = cursor && rows[cursor.row]?.key;
  edges = list.bucket_edges_ns || [];
  rows = (list.connections || []).filter(row => row.histogram?.length).slice(0, most_rows).map(row => {
    const cells = histogram_cells(row.histogram);
    return {...row, cells, sum: cells.reduce((sum, [, number]) => sum + number, 0)};
  });
  const used = rows.flatMap(row => row.cells.map(([bucket]) => bucket));
  const low = used.length ? Math.min(...used) : 0, high = used.length ? Math.max(...used) : 0;
  first = Math.max(low - 1, 0);
  buckets = Math.min(high + 1, edges.length) - first + 1;
  if (cursor) {
    const again = rows.findIndex(row => row.key === before);
    cursor = again < 0 ? null : {row: again, bucket: Math.min(Math.max(cursor.bucket, first), first + buckets - 1)};
  }
  draw();
  say();
  draw_table();
}

function move(event) {
  const step = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]}[event.key];
  if (event.key === 'Enter' && cursor && rows[cursor.row]) {
    open(rows[cursor.row].key);
    return;
  }
  if (!step || !rows.length) return;
  event.preventDefault();
  if (!cursor) {
    cursor = {row: 0, bucket: bucket_of(rows[0].p50_ns)};
  } else {
    cursor = {row: Math.min(Math.max(cursor.row + step[0], 0), rows.length - 1),
      bucket: Math.min(Math.max(cursor.bucket + step[1], first), first + buckets - 1)};
  }
  draw();
  say();
  say_aloud(by_id('heat-text').textContent);
}

function point(event) {
  const box = by_id('heat-canvas').getBoundingClientRect(), size = geometry();
  const row = Math.floor((event.clientY - box.top - top) / row_height);
  const bucket = first + Math.floor((event.clientX - box.left - label_width) / size.column);
  cursor = rows[row] && bucket >= first && bucket < first + buckets ? {row, bucket} : null;
  draw();
  say();
}

export function start(open_details) {
  const heat = by_id('heat'), button = by_id('heat-table-switch');
  open = open_details;
  heat.addEventListener('keydown', move);
  heat.addEventListener('pointermove', point);
  heat.addEventListener('pointerleave', () => { cursor = null; draw(); say(); });
  heat.addEventListener('click', () => { if (cursor && rows[cursor.row]) open(rows[cursor.row].key); });
  button.addEventListener('click', () => {
    by_id('heat-table').hidden = !by_id('heat-table').hidden;
    button.setAttribute('aria-expanded', String(!by_id('heat-table').hidden));
    draw_table();
  });
}
