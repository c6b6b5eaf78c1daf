// SPDX-License-Identifier: BSD-2-Clause
// The figures over time: clock, throughput, drops. uPlot draws; a sentence below each says the same in words.
import {bits, by_id, clock_time, colour, rate, set_text, signed_time, time} from './format.js';

const columns = ['measured_ns', 'offset_ns', 'bound_ns', 'rx_bits_per_s', 'tx_bits_per_s', 'drops_per_s', 'retransmissions_per_s'];
const longest_ms = 3600e3;
let data = {time_ms: []};
let span_s = 3600;
const charts = {};

const finite = values => values.filter(value => value !== null && value !== undefined);
const largest = values => finite(values).reduce((most, value) => Math.max(most, value), -Infinity);
const last = values => finite(values).at(-1);

// Ticks at round numbers of the unit that the largest wants.
function axis(format) {
  return {stroke: colour('--soft'), grid: {stroke: colour('--line'), width: 1}, ticks: {stroke: colour('--line'), width: 1},
    values: (_, splits) => splits.map(value => value === null ? '' : format(value)), size: 72};
}
const time_axis = () => ({stroke: colour('--soft'), grid: {stroke: colour('--line'), width: 1}, ticks: {stroke: colour('--line'), width: 1},
  values: (_, splits) => splits.map(s => clock_time(s * 1e3).slice(0, splits[1] - splits[0] >= 60 ? 5 : 8)), space: 70});

function chart(name, series, y_axis, extra) {
  const place = by_id(`chart-${name}`);
  const options = {width: place.clientWidth || 600, height: place.clientHeight - 30, series: [{value: (_, s) => s === null ? '–' : clock_time(s * 1e3)}, ...series],
    axes: [time_axis(), y_axis], cursor: {points: {size: 6}}, legend: {live: true}, ...extra};
  charts[name]?.destroy();
  charts[name] = new uPlot(options, [[]], place);
  charts[name].root.setAttribute('role', 'img');
  charts[name].root.setAttribute('aria-describedby', `text-${name}`);
}
const line = (label, stroke, format, more) =>
  ({label, stroke, width: 1.6, points: {show: false}, value: (_, value) => value === null ? '–' : format(value), ...more});
// From 0 up; without anything to show a line at 0.
const from_zero = {scales: {y: {range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1]}}};

export function build() {
  const accent = colour('--accent'), second = colour('--second'), band = colour('--band');
  chart('clock', [line('Offset', accent, signed_time),
    line('Bound', band, time, {width: 1, stroke: accent + '66', value: (_, value) => value === null ? '–' : `± ${time(value)}`}),
    line('', band, time, {width: 1, stroke: accent + '66'}),
    line('Last exchange', second, signed_time, {width: 1, points: {show: false}})], axis(value => time(value)),
  {bands: [{series: [2, 3], fill: band}],
    scales: {y: {range: (_, low, high) => { const most = Math.max(Math.abs(low), Math.abs(high)) * 1.15 || 1000; return [-most, most]; }}}});
  charts.clock.root.querySelectorAll('.u-legend .u-series')[3].hidden = true;
  chart('throughput', [line('Received', accent, bits, {fill: band}), line('Sent', second, bits)], axis(bits), from_zero);
  chart('drops', [line('Drops', colour('--bad'), rate), line('Retransmissions', second, rate)], axis(rate), from_zero);
  charts.clock.root.setAttribute('aria-label', 'Clock offset to its server with the error bound, over time');
  charts.throughput.root.setAttribute('aria-label', 'Throughput over time');
  charts.drops.root.setAttribute('aria-label', 'Drops and retransmissions over time');
  draw();
}

function words() {
  const from = data.time_ms.length ? `Since ${clock_time(data.time_ms[first_shown()])}: ` : 'No figures yet. ';
  const shown = name => (data[name] || []).slice(first_shown());
  const offset = last(shown('offset_ns')), bound = last(shown('bound_ns'));
  set_text(by_id('text-clock'), offset === undefined && bound === undefined ? `${from}no clock figures.`
    : `${from}now ${offset === undefined ? 'no source selected' : signed_time(offset)} with a bound of ±${time(bound)}; ` +
      `the largest offset was ${time(largest(shown('offset_ns').map(value => value === null ? null : Math.abs(value))))}, the largest bound ${time(largest(shown('bound_ns')))}.`);
  const both = (name, a, b, format, what) => {
    const now_a = last(shown(a)), now_b = last(shown(b));
    set_text(by_id(name), now_a === undefined ? `${from}no figures.`
      : `${from}now ${format(now_a)} ${what[0]}, ${format(now_b)} ${what[1]}; at most ${format(largest(shown(a)))} and ${format(largest(shown(b)))}.`);
  };
  both('text-throughput', 'rx_bits_per_s', 'tx_bits_per_s', bits, ['received', 'sent']);
  both('text-drops', 'drops_per_s', 'retransmissions_per_s', rate, ['dropped', 'sent again']);
}

function first_shown() {
  const from = data.time_ms.at(-1) - span_s * 1e3;
  const i = data.time_ms.findIndex(ms => ms >= from);
  return i < 0 ? 0 : i;
}

export function draw() {
  if (!charts.clock) return;
  const first = first_shown(), seconds = data.time_ms.slice(first).map(ms => ms / 1e3);
  const shown = name => (data[name] || []).slice(first).map(value => value ?? null);
  const bound = shown('bound_ns');
  charts.clock.setData([seconds, shown('offset_ns'), bound, bound.map(value => value === null ? null : -value), shown('measured_ns')]);
  charts.throughput.setData([seconds, shown('rx_bits_per_s'), shown('tx_bits_per_s')]);
  charts.drops.setData([seconds, shown('drops_per_s'), shown('retransmissions_per_s')]);
  words();
}

export function set_series(series) {
  data = {time_ms: series.time_ms || []};
  for (const name of columns) data[name] = series[name] || [];
  draw();
}
// A point is left out that is not younger than the last one.
export function add_point(point) {
  const newest = data.time_ms.at(-1);
  if (newest !== undefined && point.time_ms <= newest) return;
  data.time_ms.push(point.time_ms);
  for (const name of columns) (data[name] ||= []).push(point[name] ?? null);
  const old = data.time_ms.findIndex(ms => ms >= point.time_ms - longest_ms);
  if (old > 0) for (const name of ['time_ms', ...columns]) data[name].splice(0, old);
  draw();
}
export const newest_ms = () => data.time_ms.at(-1);
export function set_span(seconds) { span_s = seconds; draw(); }
export function resize() {
  for (const [name, drawn] of Object.entries(charts)) {
    const place = by_id(`chart-${name}`);
    drawn.setSize({width: place.clientWidth, height: place.clientHeight - 30});
  }
}
