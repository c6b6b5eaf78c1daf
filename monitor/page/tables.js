// SPDX-License-Identifier: BSD-2-Clause
// The tables: connections (sorted and cut by the server), one connection's details, test-bed runs, events.
import {bits, bucket_text, by_id, bytes, count, counted, date_time, duration, element, histogram_cells, percent, say, set_text, svg, time} from './format.js';

// ---- connections ----
// [sort name, title, function of the row, 'text' for words]
const columns = [
  ['program', 'Program', row => `${row.program} (${row.pid})`, 'text'],
  ['local', 'Local', row => `${row.protocol} ${row.local}`, 'text'],
  ['remote', 'Remote', row => row.remote, 'text'],
  ['state', 'State', row => row.state, 'text'],
  ['rate', 'In, out', row => `${bits(row.rx_bytes_per_s * 8)}, ${bits(row.tx_bytes_per_s * 8)}`],
  ['p50', 'Median', row => time(row.p50_ns)],
  ['p90', '90 %', row => time(row.p90_ns)],
  ['p99', '99 %', row => time(row.p99_ns)],
  ['p999', '99.9 %', row => time(row.p999_ns)],
  ['max', 'Largest', row => time(row.max_ns)],
  ['messages', 'Packets', row => count(row.messages)],
  ['rtt', 'RTT', row => row.protocol === 'tcp' && row.rtt_us ? time(row.rtt_us * 1e3) : '–'],
  ['retransmissions', 'Resent', row => row.protocol === 'tcp' ? count(row.retransmissions) : '–', '', row => row.retransmissions > 0],
  ['drops', 'Drops', row => count(row.drops), '', row => row.drops > 0],
];
const words = new Set(['program', 'local', 'remote', 'state']);
let sort = '-rate', first = 0, asked = false, changed = () => {}, open = () => {};

export const sorted_by = () => sort;
export const first_row = () => first;
// Somebody has asked for other rows: what comes is said aloud, and only then. The caller asks for them.
export function set_first_row(row) {
  first = Math.max(0, row);
  asked = true;
}
function show_from(row) {
  set_first_row(row);
  changed();
}
const page_rows = () => Number(by_id('limit').value);

function show_sort() {
  for (const cell of by_id('list').tHead.rows[0].cells) {
    const name = cell.dataset.sort;
    if (sort === name) cell.setAttribute('aria-sort', 'ascending');
    else if (sort === `-${name}`) cell.setAttribute('aria-sort', 'descending');
    else cell.removeAttribute('aria-sort');
  }
}

export function start(on_change, open_details) {
  changed = on_change;
  open = open_details;
  by_id('list').tHead.replaceChildren(element('tr', {}, ...columns.map(([name, title, , kind]) => {
    const button = element('button', {type: 'button'}, title);
    button.addEventListener('click', () => {
      // Words from A, numbers from the largest; once more the other way round.
      sort = sort === name ? `-${name}` : sort === `-${name}` ? name : words.has(name) ? name : `-${name}`;
      show_sort();
      show_from(0);
    });
    return element('th', {scope: 'col', class: kind || '', 'data-sort': name}, button);
  })));
  show_sort();
  by_id('page-back').addEventListener('click', () => show_from(first - page_rows()));
  by_id('page-on').addEventListener('click', () => show_from(first + page_rows()));
}

function new_row() {
  const button = element('button', {type: 'button'});
  const row = element('tr', {}, element('th', {scope: 'row'}, button),
    ...columns.slice(1).map(([, , , kind]) => element('td', kind ? {class: kind} : {})));
  button.addEventListener('click', () => open(row.shown.key));
  row.shown = {cells: [button, ...[...row.cells].slice(1)], texts: columns.map(() => '')};
  return row;
}

// Touches only the cells that change: what was shown is remembered, for asking the document is slow.
function show_row({shown}, row) {
  shown.key = row.key;
  columns.forEach(([, , cell, , hot], k) => {
    const text = cell(row);
    if (text === shown.texts[k]) return;
    shown.cells[k].textContent = shown.texts[k] = text;
    if (hot) shown.cells[k].classList.toggle('hot', hot(row));
  });
}

function show_count(list, rows) {
  const matching = counted(list.matching, 'connection', 'connections'), pages = list.matching > rows || first > 0;
  const some = pages && rows ? `${count(first + 1)} to ${count(first + rows)} of ${matching}` : matching;
  set_text(by_id('count'), list.matching < list.total ? `${some}, ${count(list.total)} in all` : some);
  by_id('pages').hidden = !pages;
  by_id('page-back').disabled = first === 0;
  by_id('page-on').disabled = first + rows >= list.matching;
  if (asked) say(by_id('count').textContent);
  asked = false;
}

// Rows stay where they are and get other contents, so that the focus stays, too.
export function update(list, reachable) {
  const body = by_id('list').tBodies[0], rows = list.connections || [];
  while (body.rows.length > rows.length) body.deleteRow(-1);
  while (body.rows.length < rows.length) body.append(new_row());
  [...body.rows].forEach((line, i) => show_row(line, rows[i]));
  if (!rows.length && first && list.matching) show_from(0); // there are not so many any more
  show_count(list, rows.length);
  by_id('list').hidden = rows.length === 0;
  by_id('list-empty').hidden = rows.length > 0;
  set_text(by_id('list-empty'), list.total > 0 ? 'No connection matches the filter.'
    : !reachable ? 'The connections are not known while lockstep-netd does not answer.'
      : 'No connection is accelerated. Start a program with: lockstep run PROGRAM');
}

// ---- details ----
function bars(row) {
  const cells = histogram_cells(row.histogram), width = 800, height = 150, base = 128;
  const sum = cells.reduce((total, [, number]) => total + number, 0), most = Math.max(1, ...cells.map(([, number]) => number));
  if (!cells.length) return element('p', {class: 'empty'}, 'No latencies yet.');
  const step = Math.min(width / cells.length, 60);
  const root = svg('svg', {class: 'bars', viewBox: `0 0 ${width} ${height}`, role: 'img',
    'aria-label': `Latency histogram: ${cells.filter(([, number]) => number).map(([bucket, number]) =>
      `${bucket_text(row.bucket_edges_ns, bucket)} ${percent(number / sum)}`).join('; ')}`});
  cells.forEach(([bucket, number], i) => {
    const tall = number ? Math.max(number / most * (base - 8), 1) : 0;
    root.append(svg('rect', {x: i * step + 1, y: base - tall, width: step - 2, height: tall},
      svg('title', {}, `${bucket_text(row.bucket_edges_ns, bucket)}: ${count(number)} (${percent(number / sum)})`)));
    if (i % Math.ceil(50 / step) === 0)
      root.append(svg('text', {x: i * step, y: base + 14}, bucket === 0 ? '0' : time(row.bucket_edges_ns[bucket - 1], 2)));
  });
  root.append(svg('line', {x1: 0, x2: width, y1: base, y2: base}));
  return root;
}

function facts(row) {
  const lane = row.lane || {};
  return [
    ['Process', `${row.program} (${row.pid}), user ${row.uid}`], ['State', `${row.state}, ${row.kind}`], ['Interface', row.interface],
    ['Since', date_time(row.since_ms)], ['Received', `${bytes(row.rx_bytes)}, ${count(row.rx_packets)} packets`],
    ['Sent', `${bytes(row.tx_bytes)}, ${count(row.tx_packets)} packets`],
    ['In, out', `${bits(row.rx_bytes_per_s * 8)}, ${bits(row.tx_bytes_per_s * 8)}`],
    ['Median', time(row.p50_ns)], ['90 %', time(row.p90_ns)], ['99 %', time(row.p99_ns)], ['99.9 %', time(row.p999_ns)], ['Largest', time(row.max_ns)],
    ['Round trip', row.rtt_us ? time(row.rtt_us * 1e3) : '–'], ['Congestion window', row.congestion_window ? bytes(row.congestion_window) : '–'],
    ['Send window', row.send_window ? bytes(row.send_window) : '–'], ['Sent again', count(row.retransmissions)],
    ['Dropped: ring full', count(row.ring_drops)], ['Dropped: buffer full', count(row.buffer_drops)],
    ['Lane', lane.lane === undefined ? '–' : `${lane.lane}, ${lane.injector}`], ['Ring', lane.ring_bytes ? `${bytes(lane.ring_bytes)}, ${percent(lane.ring_high_water / lane.ring_bytes)} at most` : '–'],
    ['Sleeps, wake-ups', lane.sleeps === undefined ? '–' : `${count(lane.sleeps)}, ${count(lane.wakeups)}`],
    ['Spun away', lane.spin_ns === undefined ? '–' : time(lane.spin_ns)], ['Guard dropped', count(lane.guard_drops)],
  ];
}

// row: NULL when the connection has gone; then what was shown last stays.
export function show_details(row) {
  by_id('details-gone').hidden = Boolean(row);
  if (!row) return;
  set_text(by_id('details-title'), `${row.program}: ${row.protocol} ${row.local} – ${row.remote}`);
  by_id('details-histogram').replaceChildren(bars(row));
  by_id('details-facts').replaceChildren(...facts(row).map(([name, value]) =>
    element('div', {}, element('dt', {}, name), element('dd', {}, value))));
}

// ---- plain tables ----
function table(caption, titles, rows) {
  const head = element('tr', {}, ...titles.map(([title, kind]) => element('th', {scope: 'col', class: kind || ''}, title)));
  return element('table', {}, element('caption', {class: 'hidden'}, caption), element('thead', {}, head),
    element('tbody', {}, ...rows.map(cells => element('tr', {}, ...cells.map((cell, i) =>
      element(i === 0 ? 'th' : 'td', i === 0 ? {scope: 'row'} : {class: titles[i][1] || ''}, cell))))));
}
const empty = text => element('p', {class: 'empty'}, text);

export function update_runs(document) {
  const runs = document.runs || [];
  by_id('runs-list').replaceChildren(
    !document.available ? empty(document.problem || 'There is no history database on this node, so no test-bed runs are known here.')
      : !runs.length ? empty('No run of the test bed has been recorded. Start one with: lockstep testbed run')
        : table('Test-bed runs, newest first',
          [['Ended', 'text'], ['Title', 'text'], ['Pattern', 'text'], ['Stack', 'text'], ['Phase', 'text'], ['Verdict', 'text'], ['Messages'], ['Lost'],
            ['Slowest class: median'], ['99 %'], ['Worst'], ['Took']],
          runs.map(run => [date_time(run.ended_ms), run.title || '–', run.pattern, run.stack, run.phase, element('span', {class: run.verdict}, run.verdict),
            count(run.received), count(run.lost), time(run.p50_ns), time(run.p99_ns), time(run.max_ns), duration(run.took_s)])));
}

export function update_events(document) {
  const events = document.events || [];
  by_id('events-list').replaceChildren(!events.length ? empty('Nothing has happened yet.')
    : table('Events of the path, newest first', [['Time', 'text'], ['Kind', 'text'], ['What', 'text wide']],
      events.map(event => [date_time(event.time_ms), event.type, event.text])));
}
