'use strict';
// Draws the report from the JSON document that the page carries. No network, no other script but uPlot.
(() => {
const report = JSON.parse(document.getElementById('data').textContent);
const runs = report.runs || [], header = report.header || {};
const main_phase = runs.length ? runs[0].phase : '';
const shown = runs.filter(run => run.phase === main_phase);
const by_stack = stack => shown.find(run => run.stack === stack);
const byId = id => document.getElementById(id);

// ---- small helpers ----
function element(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
  node.append(...children.filter(child => child !== null && child !== undefined));
  return node;
}
function svg(name, attributes, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
  node.append(...children);
  return node;
}
function time(ns) {
  if (ns === null || ns === undefined) return 'unknown';
  const size = Math.abs(ns);
  const [unit, scale] = size >= 1e9 ? ['s', 1e9] : size >= 1e6 ? ['ms', 1e6] : size >= 1e3 ? ['µs', 1e3] : ['ns', 1];
  const value = ns / scale;
  return (unit === 'ns' ? value.toFixed(0) : Number(value.toPrecision(3)).toString()) + ' ' + unit;
}
const count = number => Number(number || 0).toLocaleString('en');
function bytes(number) {
  for (const [unit, scale] of [['GB', 1e9], ['MB', 1e6], ['kB', 1e3]])
    if (number >= scale) return (number / scale).toPrecision(3) + ' ' + unit;
  return count(number) + ' B';
}
const marks = {PASS: '✓', FAIL: '✗', INVALID: '⚠', INCONCLUSIVE: '?'};
const verdict = name => element('span', {class: name}, `${marks[name] || ''} ${name}`);
function ratio(figure) {
  if (!figure || figure.pairs === 0 || figure.ratio === null) return '';
  const interval = figure.confidence ? ` (${figure.low.toFixed(2)}–${figure.high === null ? '∞' : figure.high.toFixed(2)})` : '';
  return figure.ratio.toFixed(2) + interval;
}
// columns: [title, function of the row, 'text' for words]
function table(caption, columns, rows) {
  const head = element('tr', {}, ...columns.map(([title, , kind]) =>
    element('th', kind ? {scope: 'col', class: kind} : {scope: 'col'}, title)));
  const body = rows.map(row => element('tr', {}, ...columns.map(([, cell, kind], i) => {
    const content = cell(row);
    return i === 0 ? element('th', {scope: 'row'}, content) : element('td', kind ? {class: kind} : {}, content ?? '');
  })));
  return element('table', {}, element('caption', {}, caption), element('thead', {}, head), element('tbody', {}, ...body));
}
const sum = (list, value) => list.reduce((total, item) => total + (value(item) || 0), 0);
const name_of = run => `${run.stack}, ${run.phase}`;

// ---- the top ----
byId('title').textContent = header.title || `Pattern ${report.pattern}`;
byId('verdict').textContent = `${marks[report.verdict] || ''} ${report.verdict}`;
byId('verdict').className = report.verdict;
byId('reason').textContent = report.reason || 'Every message arrived within the limit of its type, on every stack.';

const comparison = (report.comparisons || []).find(c => runs[c.a].phase === main_phase && runs[c.b].phase === main_phase);
function tile(title, value) { byId('tiles').append(element('div', {}, element('dt', {}, title), element('dd', {}, value))); }
for (const run of shown) {
  const lost = sum(run.types, type => type.lost), late = sum(run.types, type => type.late);
  tile(`${run.stack}: messages`, count(sum(run.types, type => type.received)));
  tile(`${run.stack}: lost, late sent`, `${count(lost)}, ${count(late)}`);
}
if (comparison) {
  const names = `${runs[comparison.b].stack} / ${runs[comparison.a].stack}`;
  for (const row of comparison.classes) tile(`${row.name}, worst: ${names}`, ratio(row.worst));
}
for (const note of header.notes || []) byId('notes').append(element('li', {}, note));

// ---- worst against required ----
function draw_worst() {
  const types = shown.length ? shown[0].types : [], width = 1140, height = 420, left = 58, bottom = 84, top = 14;
  if (!types.length) return;
  const step = (width - left - 10) / types.length;
  const values = shown.flatMap(run => run.types.flatMap(type => [type.limit_ns, type.latency.max_ns, type.latency.p50_ns]));
  const positive = values.filter(value => value > 0);
  const low = Math.floor(Math.log10(Math.min(...positive) / 1.5)), high = Math.ceil(Math.log10(Math.max(...positive) * 1.2));
  const y = ns => top + (height - top - bottom) * (high - Math.log10(Math.max(ns, 10 ** low))) / (high - low);
  const x = i => left + step * (i + 0.5);
  const root = svg('svg', {viewBox: `0 0 ${width} ${height}`, role: 'img',
    'aria-label': 'Worst latency of each message type beside its limit; the table of message types has the same figures'});
  for (let power = low; power <= high; power++) {
    root.append(svg('line', {class: 'grid', x1: left, x2: width - 10, y1: y(10 ** power), y2: y(10 ** power)}),
      svg('text', {x: left - 6, y: y(10 ** power) + 4, 'text-anchor': 'end'}, time(10 ** power)));
  }
  let group = 0;
  types.forEach((type, i) => {
    if (i + 1 < types.length && types[i + 1].class === type.class) return;
    const from = left + step * group, to = left + step * (i + 1);
    root.append(svg('line', {class: 'grid', x1: to, x2: to, y1: top, y2: height - 30}),
      svg('text', {x: (from + to) / 2, y: height - 36, 'text-anchor': 'middle', 'font-weight': 600}, type.class));
    group = i + 1;
  });
  types.forEach((type, i) => {
    root.append(svg('line', {class: 'limit', x1: x(i) - step * 0.42, x2: x(i) + step * 0.42, y1: y(type.limit_ns), y2: y(type.limit_ns)},
        svg('title', {}, `${type.name}: limit ${time(type.limit_ns)}`)),
      svg('text', {class: 'soft', x: x(i), y: height - bottom + 18, 'text-anchor': 'middle'}, type.name.split('.').pop()));
  });
  shown.forEach((run, r) => run.types.forEach((type, i) => {
    if (!type.latency.count) return;
    const at = x(i) + (r - (shown.length - 1) / 2) * Math.min(step * 0.36, 9), worst = y(type.latency.max_ns), median = y(type.latency.p50_ns);
    const tip = svg('title', {}, `${type.name} on ${run.stack}: worst ${time(type.latency.max_ns)} ± ${time(type.bound_ns)}, ` +
      `median ${time(type.latency.p50_ns)}, limit ${time(type.limit_ns)}`);
    const kind = run.stack === 'kernel' ? 'kernel' : 'lockstep';
    const bound = type.bound_ns || 0;
    const mark = kind === 'kernel' ? svg('circle', {cx: at, cy: worst, r: 4, class: kind}, tip)
      : svg('path', {d: `M${at} ${worst - 5}l5 5l-5 5l-5 -5z`, class: kind}, tip);
    root.append(svg('line', {class: `${kind} whisker`, x1: at, x2: at, y1: y(type.latency.max_ns + bound), y2: y(Math.max(type.latency.max_ns - bound, 1))}),
      svg('line', {class: `${kind} whisker`, 'stroke-dasharray': '1 3', x1: at, x2: at, y1: worst, y2: median}),
      svg('line', {class: `${kind} whisker`, x1: at - 3, x2: at + 3, y1: median, y2: median}), mark);
  }));
  root.append(svg('line', {class: 'limit', x1: left, x2: left + 22, y1: height - 10, y2: height - 10}), svg('text', {x: left + 28, y: height - 6}, 'limit'));
  shown.forEach((run, r) => {
    const at = left + 110 + 240 * r, kind = run.stack === 'kernel' ? 'kernel' : 'lockstep';
    root.append(kind === 'kernel' ? svg('circle', {cx: at, cy: height - 10, r: 4, class: kind})
      : svg('path', {d: `M${at} ${height - 15}l5 5l-5 5l-5 -5z`, class: kind}),
      svg('text', {x: at + 12, y: height - 6}, `${run.stack}: worst; dash: median`));
  });
  byId('worst').replaceChildren(root);
}

// ---- tables ----
function draw_classes() {
  const rows = shown.flatMap(run => run.classes.map(item => ({run, item})));
  const compared = name => comparison && comparison.classes.find(row => row.name === name);
  const second = run => comparison && runs[comparison.b] === run;
  byId('classes').append(table('Latency from planned sending to last byte; ratio to the other stack with its confidence interval over pairs of rounds.', [
    ['Class', row => row.item.name], ['Stack', row => row.run.stack, 'text'], ['Types', row => count(row.item.types)], ['Messages', row => count(row.item.received)],
    ['Lost', row => count(row.item.lost)], ['Median', row => time(row.item.latency.p50_ns)], ['99 %', row => time(row.item.latency.p99_ns)],
    ['99.9 %', row => time(row.item.latency.p99_9_ns)], ['Worst', row => time(row.item.latency.max_ns)],
    ['Median ×', row => second(row.run) ? ratio(compared(row.item.name)?.median) : ''], ['99 % ×', row => second(row.run) ? ratio(compared(row.item.name)?.p99) : ''],
    ['Worst ×', row => second(row.run) ? ratio(compared(row.item.name)?.worst) : ''], ['Verdict', row => verdict(row.item.verdict), 'text'],
  ], rows));
}
function draw_types() {
  const rows = shown.length ? shown[0].types.map((type, i) => ({type, i})) : [];
  const columns = [
    ['Type', row => row.type.name], ['Size', row => bytes(row.type.size_bytes)], ['Period', row => time(row.type.period_ns)],
    ['From → to', row => `${row.type.sender} → ${row.type.receivers.join(', ')}`, 'text'], ['Limit', row => time(row.type.limit_ns)],
  ];
  for (const run of shown) {
    const of = row => run.types[row.i];
    columns.push([`${run.stack} median`, row => time(of(row).latency.p50_ns)], ['99 %', row => time(of(row).latency.p99_ns)],
      ['99.9 %', row => time(of(row).latency.p99_9_ns)], ['worst', row => time(of(row).latency.max_ns)], ['± clocks', row => time(of(row).bound_ns)],
      ['lost', row => `${count(of(row).lost)} of ${count(of(row).expected)}`], ['verdict', row => {
        const mark = verdict(of(row).verdict);
        mark.title = of(row).reason;
        return mark;
      }, 'text']);
  }
  byId('types').append(table(`${rows.length} types.`, columns, rows));
}
function draw_phases() {
  const place = byId('phases');
  const with_prediction = runs.filter(run => run.types.some(type => type.predicted_queueing_ns !== undefined));
  if (!with_prediction.length) { place.append('No link rates were given, so nothing is predicted.'); return; }
  const queueing = type => type.latency.count ? type.latency.max_ns - type.latency.min_ns : null;
  const worst = (run, value) => Math.max(...run.types.map(value).filter(Number.isFinite));
  place.append(element('div', {class: 'scroll'}, table(
    'Predicted: the longest that a message waits for others at its sender and at the switch. Measured: the largest worst latency above the least latency of the same type.', [
      ['Run', name_of], ['Predicted, worst type', run => time(worst(run, type => type.predicted_queueing_ns))],
      ['Measured, worst type', run => time(worst(run, queueing))],
      ['Worst latency, worst type', run => time(worst(run, type => type.latency.max_ns))],
      ['Busiest port', run => run.outlook ? (100 * Math.max(...run.outlook.nodes.map(node => node.port_load))).toFixed(1) + ' %' : ''],
      ['Longest queue', run => run.outlook ? bytes(Math.max(...run.outlook.nodes.map(node => node.worst_queue_bytes))) : ''],
    ], with_prediction)));
}
function draw_outliers() {
  const rows = runs.flatMap(run => run.outliers.map(item => ({run, item})));
  byId('outliers').append(table('By share of the limit. A host stall beside a message means that the operating system ran nothing on that node for so long at that moment.', [
    ['Type', row => row.item.type], ['Run', row => name_of(row.run), 'text'], ['Round', row => row.item.round + 1], ['Sequence', row => count(row.item.sequence)],
    ['At', row => row.item.at_s.toFixed(3) + ' s'], ['Latency', row => time(row.item.latency_ns)], ['Sent after', row => time(row.item.sent_ns)],
    ['First byte after', row => time(row.item.first_byte_ns)],
    ['Host stall', row => row.item.stalled_node ? `${time(row.item.stall_ns)} on ${row.item.stalled_node}` : 'none', 'text'],
  ], rows));
}
function draw_checks() {
  const rows = runs.flatMap(run => run.clock_checks.map(item => ({run, item})));
  if (!rows.length) return;
  byId('checks').append(table('Round trips between nodes, measured by both nodes\' common clock and by a clock that nobody steers: the two must agree within the bounds.', [
    ['Nodes', row => `${row.item.node} – ${row.item.peer}`], ['Run', row => name_of(row.run), 'text'], ['Round', row => row.item.round + 1],
    ['Exchanges', row => count(row.item.received)], ['Round trip, median', row => time(row.item.round_trip.p50_ns)],
    ['Disagreement', row => `${time(row.item.disagreement_ns)} ± ${time(row.item.disagreement_round_trip_ns / 2)}`], ['Bound of both', row => time(row.item.bound_max_ns)],
    ['Check', row => element('span', {class: row.item.failed ? 'FAIL' : 'PASS'}, row.item.failed ? '✗ failed: ' + row.item.reason : '✓ holds'), 'text'],
  ], rows));
}
// Any JSON as nested tables: what the caller knows of the run.
function tree(value) {
  if (Array.isArray(value)) return value.every(item => typeof item !== 'object') ? value.join(', ') : element('div', {}, ...value.map(tree));
  if (value === null || typeof value !== 'object') return String(value);
  return element('table', {}, element('tbody', {}, ...Object.entries(value).map(([key, item]) =>
    element('tr', {}, element('th', {scope: 'row'}, key.replaceAll('_', ' ')), element('td', {class: 'wide'}, tree(item))))));
}
function draw_offload() {
  const rows = runs.flatMap(run => Object.entries(run.offload || {}).map(([node, item]) => ({run, node, item})));
  if (!rows.length) { byId('offload').append('Nobody counted.'); return; }
  byId('offload').append(table('Octets of IP packets that the kernel\'s stack handled on each node, and payload that went through lanes, until half a second before the end of each round.', [
    ['Node', row => row.node], ['Run', row => name_of(row.run), 'text'], ['Kernel, received', row => bytes(row.item.kernel_received_octets)],
    ['Kernel, sent', row => bytes(row.item.kernel_sent_octets)], ['Lanes, received', row => bytes(row.item.lane_received_bytes)],
    ['Lanes, sent', row => bytes(row.item.lane_sent_bytes)],
  ], rows));
}
function draw_host() {
  const stalls = runs.flatMap(run => run.stalls.map(item => ({run, item})));
  byId('host').append(table('Host noise: a thread sleeps again and again and notes how late it wakes up.', [
    ['Node', row => row.item.node], ['Run', row => name_of(row.run), 'text'], ['Round', row => row.item.round + 1], ['Wake-ups', row => count(row.item.wakeups)],
    ['99 % late by', row => time(row.item.lateness.p99_ns)], ['Worst', row => time(row.item.lateness.max_ns)],
    ['Stalls', row => `${count(row.item.stalls)} over ${time(row.item.threshold_ns)}`], ['Stolen', row => row.item.steal_ms + ' ms'],
  ], stalls));
  byId('host').append(table('Processes.', [
    ['Process', row => row.item.process], ['Run', row => name_of(row.run), 'text'], ['Round', row => row.item.round + 1], ['Ended', row => row.item.ending, 'text'],
    ['A stamp costs', row => time(row.item.stamp_ns)], ['A record costs', row => time(row.item.record_ns)],
    ['CPU, user', row => (row.item.cpu_user_us / 1e6).toFixed(2) + ' s'], ['CPU, system', row => (row.item.cpu_system_us / 1e6).toFixed(2) + ' s'],
    ['Problem', row => row.item.problem, 'wide'],
  ], runs.flatMap(run => run.processes.map(item => ({run, item})))));
}

function draw_run() {
  const {nodes = [], notes, ...rest} = header;
  byId('run').append(tree({pattern: report.pattern, pattern_fingerprint: report.pattern_fingerprint, ...rest}));
  const facts = [...new Set(nodes.flatMap(node => Object.keys(node.facts || {})))];
  byId('run').append(table('Nodes.', [['Fact', fact => fact.replaceAll('_', ' ')],
    ...nodes.map(node => [`${node.name} (${node.address})`, fact => String(node.facts?.[fact] ?? ''), 'text'])], facts));
  const findings = nodes.flatMap(node => (node.findings || []).filter(one => one.state !== 'ok').map(one => ({node, one})));
  if (findings.length) byId('run').append(table('What was not as it should be.', [
    ['Node', row => row.node.name], ['Check', row => row.one.check, 'text'], ['State', row => row.one.state, 'text'],
    ['Finding', row => row.one.finding, 'wide'], ['Remedy', row => row.one.remedy, 'wide']], findings));
}

// ---- plots over time ----
const plots = [];
const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const dashes = [[], [7, 4], [2, 3], [9, 3, 2, 3]];
const shapes = ['circle', 'square', 'none', 'none'];
function axes(x_label, y_label, x_values, y_values) {
  const common = {stroke: css('--ink'), grid: {stroke: css('--line'), width: 1}, ticks: {stroke: css('--line'), width: 1}};
  return [{...common, label: x_label, values: x_values}, {...common, label: y_label, size: 76, values: y_values}];
}
const time_values = (u, splits) => splits.map(value => value === null ? '' : time(value));
function plot(place, options, series, data) {
  const node = byId(place);
  const colours = [css('--kernel'), css('--lockstep'), css('--ink'), css('--soft')];
  const chart = new uPlot({
    width: Math.max(320, node.clientWidth), height: 300, ...options,
    series: [{label: options.x_name}, ...series.map((one, i) => ({
      width: 1.6, stroke: colours[i % colours.length], dash: dashes[i % dashes.length], points: {show: !!one.points, size: 5},
      value: (u, value) => value === null || value === undefined ? '–' : time(value), spanGaps: false, ...one}))],
  }, data, node);
  chart.root.setAttribute('role', 'img');
  chart.root.setAttribute('aria-label', options.title);
  plots.push({chart, node});
  return chart;
}
function no_data(place, text) { byId(place).append(element('p', {}, text)); }
// Joins [x, y] lists of several series on one axis.
function join(lists) {
  const xs = [...new Set(lists.flatMap(list => list.map(point => point[0])))].sort((a, b) => a - b);
  const index = new Map(xs.map((value, i) => [value, i]));
  return [xs, ...lists.map(list => {
    const ys = new Array(xs.length).fill(null);
    for (const [x, y] of list) ys[index.get(x)] = y;
    return ys;
  })];
}
// From [low, count] to [1 / (1 - rank), low]: the axis shows how rare.
function tail(histogram) {
  const total = sum(histogram, pair => pair[1]), points = [];
  let below = 0;
  for (const [low, number] of histogram) {
    if (low > 0) points.push([total / Math.max(total - below, 0.5), low]);
    below += number;
  }
  return points;
}
function draw_choice() {
  const [kind, name] = JSON.parse(byId('choice').value);
  byId('distribution').replaceChildren();
  byId('course').replaceChildren();
  const items = shown.map(run => ({run, item: run[kind].find(item => item.name === name)})).filter(pair => pair.item && pair.item.latency.count);
  if (!items.length) { no_data('distribution', 'Nothing was measured.'); return; }
  const rare = value => value >= 2 ? `1 in ${count(Math.round(value))}` : 'all';
  plot('distribution', {
    title: `${name}: how rare is a latency above`, x_name: 'Exceeded by',
    scales: {x: {time: false, distr: 3, log: 10}, y: {distr: 3, log: 10}},
    axes: axes('Exceeded by', 'Latency', (u, splits) => splits.map(value => Number.isInteger(Math.log10(value)) ? rare(value) : ''),
      (u, splits) => splits.map(value => value !== null && Number.isInteger(Math.round(1e6 * Math.log10(value)) / 1e6) ? time(value) : '')),
  }, items.map(pair => ({label: pair.run.stack})), join(items.map(pair => tail(pair.item.histogram))));
  if (kind !== 'types') { no_data('course', 'Choose a type to see its course.'); return; }
  plot('course', {
    title: `${name}: worst latency over time`, x_name: 'Time', scales: {x: {time: false}, y: {distr: 3, log: 10}},
    axes: axes('Seconds since the first round began', 'Latency', undefined,
      (u, splits) => splits.map(value => value !== null && Number.isInteger(Math.round(1e6 * Math.log10(value)) / 1e6) ? time(value) : '')),
  }, items.map(pair => ({label: pair.run.stack, points: true})), join(items.map(pair => pair.run.times_s.map((at, i) => {
    const value = pair.item.worst_over_time_ns[i];
    return [at, value > 0 ? value : null];
  }))));
}
function draw_clocks() {
  const nodes = new Map(), pairs = new Map();
  for (const run of runs) {
    for (const clock of run.clocks) {
      const list = nodes.get(clock.node) || nodes.set(clock.node, new Map()).get(clock.node);
      for (const [at, , most] of clock.bounds) list.set(at, most);
    }
    for (const check of run.clock_checks) {
      const name = `${check.peer} − ${check.node}`;
      const list = pairs.get(name) || pairs.set(name, new Map()).get(name);
      for (const [at, least, most] of check.disagreement) list.set(at, (least + most) / 2);
    }
  }
  const draw = (place, title, groups, none) => {
    byId(place).replaceChildren();
    const names = [...groups.keys()].filter(name => groups.get(name).size);
    if (!names.length) { no_data(place, none); return; }
    plot(place, {title, x_name: 'Time', scales: {x: {time: false}}, axes: axes('Seconds since the first round began', '', undefined, time_values)},
      names.map(name => ({label: name, points: true})), join(names.map(name => [...groups.get(name)])));
  };
  draw('bounds', 'Stated bound of each node\'s clock', nodes, 'No clock with a bound took part.');
  draw('disagreement', 'Disagreement of clocks between nodes', pairs, 'No echo messages were exchanged.');
}
function draw_plots() {
  for (const {chart} of plots.splice(0)) chart.destroy();
  draw_choice();
  draw_clocks();
}

draw_worst();
draw_classes();
draw_types();
draw_phases();
draw_outliers();
draw_checks();
draw_offload();
draw_host();
draw_run();
const first = shown[0] || {classes: [], types: []};
for (const kind of ['classes', 'types'])
  byId('choice').append(element('optgroup', {label: kind}, ...first[kind].map(item => element('option', {value: JSON.stringify([kind, item.name])}, item.name))));
if (byId('choice').options.length) {
  byId('choice').addEventListener('change', draw_plots);
  const first_type = [...byId('choice').options].find(option => option.value.startsWith('["types"'));
  if (first_type) first_type.selected = true;
  draw_plots();
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw_plots);
  addEventListener('resize', () => { for (const {chart, node} of plots) chart.setSize({width: Math.max(320, node.clientWidth), height: 300}); });
}
document.documentElement.dataset.drawn = 'yes';
})();
