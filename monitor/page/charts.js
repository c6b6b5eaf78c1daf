// SPDX-License-Identifier: BSD-2-Clause
// The figures over time: clock, throughput, drops, latency. uPlot draws; a sentence below each says the same in words, and a
// table has some of the figures.
import {bits, by_id, clock_time, colour, date_time, day, element, rate, set_text, signed_time, time} from './format.js';

const columns = ['measured_ns', 'offset_ns', 'bound_ns', 'rx_bits_per_s', 'tx_bits_per_s', 'drops_per_s', 'retransmissions_per_s',
  'p50_ns', 'p99_ns'];
const memory_s = 3600, table_rows = 20;
let data = {time_ms: []}, span_s = memory_s, history = {available: false, problem: ''};
const charts = {};

const finite = values => values.filter(value => value !== null && value !== undefined);
const largest = values => finite(values).reduce((most, value) => Math.max(most, value), -Infinity);
const last = values => finite(values).at(-1);
const bound_text = value => `±\u00a0${time(value)}`;
const magnitudes = values => finite(values).map(Math.abs);

// ---- what is drawn ----
const grid = () => ({stroke: colour('--soft'), grid: {stroke: colour('--line'), width: 1}, ticks: {stroke: colour('--line'), width: 1}});
const axis = format => ({...grid(), values: (_, splits) => splits.map(value => value === null ? '' : format(value)), size: 72});
function tick(s, step_s) {
  const date = new Date(s * 1e3), midnight = date.getHours() === 0 && date.getMinutes() === 0;
  if (step_s >= 86400 || (step_s >= 3600 && midnight)) return day(s * 1e3);
  return clock_time(s * 1e3).slice(0, step_s >= 60 ? 5 : 8);
}
const time_axis = () => ({...grid(), values: (_, splits, __, ___, step_s) => splits.map(s => tick(s, step_s)), space: 70});
function powers_of_ten(low, high) {
  const powers = [];
  for (let value = 10 ** Math.ceil(Math.log10(low) - 1e-9); value <= high * 1.0001; value *= 10) powers.push(value);
  return powers;
}

// Without a pointer the legend has the latest figures.
function legend_value(format) {
  return (plot, value, series, i) => {
    const shown = i === null || i === undefined ? plot.data[series]?.at(-1) : value;
    return shown === null || shown === undefined ? '–' : format(shown);
  };
}
const line = (label, stroke, format, more) => ({label, stroke, width: 1.6, points: {show: false}, value: legend_value(format), ...more});
// The second of two that may lie upon each other.
const dashed = (label, stroke, format, more) => line(label, stroke, format, {dash: [6, 4], ...more});
const from_zero = {scales: {y: {range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1]}}};
// As wide as nearly all bounds: those of the first moments would make a line of all the others.
function clock_limit(offsets, bounds, exchanges) {
  const sorted = finite(bounds).sort((a, b) => a - b), usual = sorted[Math.floor(sorted.length * 0.9)] ?? 0;
  return 1.15 * Math.max(usual * 1.3, largest(magnitudes(offsets)), largest(magnitudes(exchanges)), 1);
}
const around_zero = {scales: {y: {range: plot => {
  const [, offsets, bounds, , exchanges] = plot.data, most = bounds?.length ? clock_limit(offsets, bounds, exchanges) : 1000;
  return [-most, most];
}}}};

// [name, what it is, series, axis, options, columns of the table: [title, name, format]]
const definitions = () => [
  ['clock', 'Clock offset to its source with the error bound, over time',
    [line('Offset', colour('--accent'), signed_time),
      line('Bound', colour('--band'), bound_text, {width: 1, stroke: colour('--accent') + '66'}),
      line('', colour('--band'), time, {width: 1, stroke: colour('--accent') + '66'}),
      line('Last exchange', colour('--second'), signed_time, {width: 1})],
    axis(value => time(value)), {bands: [{series: [2, 3], fill: colour('--band')}], ...around_zero}],
  ['throughput', 'Throughput over time',
    [line('Received', colour('--accent'), bits, {fill: colour('--band')}), dashed('Sent', colour('--second'), bits)], axis(bits), from_zero],
  ['drops', 'Drops and retransmissions over time',
    [line('Drops', colour('--bad'), rate), dashed('Retransmissions', colour('--second'), rate)], axis(rate), from_zero],
  ['quantiles', 'Latency of all packets over time, on a logarithmic scale',
    [line('Median', colour('--accent'), time), dashed('99 %', colour('--second'), time)],
    {...axis(time), splits: (_, __, low, high) => low > 0 ? powers_of_ten(low, high) : []},
    {scales: {y: {distr: 3}}}],
];
const tables = {
  clock: [['Offset', 'offset_ns', signed_time], ['Bound', 'bound_ns', bound_text], ['Last exchange', 'measured_ns', signed_time]],
  throughput: [['Received', 'rx_bits_per_s', bits], ['Sent', 'tx_bits_per_s', bits]],
  drops: [['Drops', 'drops_per_s', rate], ['Retransmissions', 'retransmissions_per_s', rate]],
  quantiles: [['Median', 'p50_ns', time], ['99 %', 'p99_ns', time]],
};

const plot_size = place => ({width: place.clientWidth || 600, height: place.classList.contains('tall') ? 250 : 200});
function make([name, what, series, y_axis, extra]) {
  const place = by_id(`chart-${name}`);
  charts[name]?.destroy();
  const plot = charts[name] = new uPlot({...plot_size(place), ...extra,
    series: [{label: 'Time', value: legend_value(s => clock_time(s * 1e3))}, ...series],
    axes: [time_axis(), y_axis], cursor: {points: {size: 6}}, legend: {live: true}}, [[]], place);
  plot.root.setAttribute('role', 'img');
  plot.root.setAttribute('aria-label', what);
  plot.root.setAttribute('aria-describedby', `text-${name}`);
  plot.root.querySelector('.u-legend').setAttribute('aria-hidden', 'true'); // the same is said in words
}

export function build() {
  definitions().forEach(make);
  charts.clock.root.querySelectorAll('.u-legend .u-series')[3].hidden = true;
  draw();
}

// ---- words and tables ----
function first_shown() {
  const from = data.time_ms.at(-1) - span_s * 1e3;
  const i = data.time_ms.findIndex(ms => ms >= from);
  return i < 0 ? 0 : i;
}
const shown = name => (data[name] || []).slice(first_shown());
const moment = ms => span_s > 86400 || Date.now() - ms > 43200e3 ? date_time(ms) : clock_time(ms);

function words() {
  const from = data.time_ms.length ? `Since ${moment(data.time_ms[first_shown()])}: ` : 'No figures yet. ';
  const offset = last(shown('offset_ns')), bound = last(shown('bound_ns')), widest = largest(shown('bound_ns'));
  const beyond = widest > clock_limit(shown('offset_ns'), shown('bound_ns'), shown('measured_ns')) ? ', which is beyond the chart' : '';
  set_text(by_id('text-clock'), offset === undefined && bound === undefined ? `${from}no clock figures.`
    : `${from}now ${offset === undefined ? 'no source selected' : signed_time(offset)} with a bound of ±${time(bound)}; ` +
      `the largest offset was ${offset === undefined ? '–' : time(largest(magnitudes(shown('offset_ns'))))}, the largest bound ${time(widest)}${beyond}.`);
  const both = (name, a, b, format, what, none) => {
    const now_a = last(shown(a)), now_b = last(shown(b));
    set_text(by_id(name), now_a === undefined ? `${from}${none}`
      : `${from}now ${format(now_a)} ${what[0]}, ${format(now_b)} ${what[1]}; at most ${format(largest(shown(a)))} and ${format(largest(shown(b)))}.`);
  };
  both('text-throughput', 'rx_bits_per_s', 'tx_bits_per_s', bits, ['received', 'sent'], 'no figures.');
  both('text-drops', 'drops_per_s', 'retransmissions_per_s', rate, ['dropped', 'sent again'], 'no figures.');
  both('text-quantiles', 'p50_ns', 'p99_ns', time, ['median', 'for 99 %'], 'no packet has been timed.');
  set_text(by_id('text-history'), history.available ? ''
    : history.problem ? `The history cannot be read, so figures begin with lockstep-web's start: ${history.problem}`
      : "There is no history (lockstep-historyd) on this node: figures begin with lockstep-web's start, and go back an hour at most.");
}

function fill_table(name) {
  const place = by_id(`table-${name}`);
  if (!place.open) return;
  const first = first_shown(), count = data.time_ms.length - first, step = Math.max(1, Math.ceil(count / table_rows));
  const rows = [];
  for (let i = data.time_ms.length - 1; i >= first; i -= step) {
    rows.push(element('tr', {}, element('th', {scope: 'row'}, moment(data.time_ms[i])),
      ...tables[name].map(([, column, format]) => element('td', {}, data[column][i] === null ? '–' : format(data[column][i])))));
  }
  place.querySelector('div').replaceChildren(element('table', {}, element('caption', {class: 'hidden'}, charts[name].root.getAttribute('aria-label')),
    element('thead', {}, element('tr', {}, element('th', {scope: 'col', class: 'text'}, 'Time'),
      ...tables[name].map(([title]) => element('th', {scope: 'col'}, title)))), element('tbody', {}, ...rows)));
}

// ---- data ----
export function draw() {
  if (!charts.clock) return;
  const seconds = data.time_ms.slice(first_shown()).map(ms => ms / 1e3);
  const bound = shown('bound_ns'), positive = name => shown(name).map(value => value > 0 ? value : null);
  charts.clock.setData([seconds, shown('offset_ns'), bound, bound.map(value => value === null ? null : -value), shown('measured_ns')]);
  charts.throughput.setData([seconds, shown('rx_bits_per_s'), shown('tx_bits_per_s')]);
  charts.drops.setData([seconds, shown('drops_per_s'), shown('retransmissions_per_s')]);
  charts.quantiles.setData([seconds, positive('p50_ns'), positive('p99_ns')]);
  document.documentElement.dataset.oldestMs = String(data.time_ms[0] ?? '');
  words();
  Object.keys(tables).forEach(fill_table);
}

export function set_series(series) {
  data = {time_ms: series.time_ms || []};
  history = series.history || {available: false, problem: ''};
  for (const name of columns) data[name] = series[name] || data.time_ms.map(() => null);
  draw();
}
// A point is left out that is not younger than the last one.
export function add_point(point) {
  const newest = data.time_ms.at(-1);
  if (newest !== undefined && point.time_ms <= newest) return;
  data.time_ms.push(point.time_ms);
  for (const name of columns) (data[name] ||= []).push(point[name] ?? null);
  const old = data.time_ms.findIndex(ms => ms >= point.time_ms - Math.max(memory_s, span_s) * 1e3);
  if (old > 0) for (const name of ['time_ms', ...columns]) data[name].splice(0, old);
  draw();
}
export const newest_ms = () => data.time_ms.at(-1);
// What to ask for: the spans within the hour are cut from it.
export const asked_span_s = () => Math.max(memory_s, span_s);
// True if other figures are needed for it.
export function set_span(seconds) {
  const before = asked_span_s();
  span_s = seconds;
  draw();
  return asked_span_s() !== before;
}
export function resize() {
  for (const [name, plot] of Object.entries(charts)) plot.setSize(plot_size(by_id(`chart-${name}`)));
}
export function start() {
  for (const name of Object.keys(tables)) by_id(`table-${name}`).addEventListener('toggle', () => fill_table(name));
}
