// SPDX-License-Identifier: BSD-2-Clause
// Numbers for people, and the making of elements.

export function time(ns, digits = 3) {
  if (ns === null || ns === undefined) return '–';
  const size = Math.abs(ns);
  if (size < 0.05) return '0 ns';
  const [unit, scale] = size >= 1e9 ? ['s', 1e9] : size >= 1e6 ? ['ms', 1e6] : size >= 1e3 ? ['µs', 1e3] : ['ns', 1];
  const value = ns / scale;
  return `${unit === 'ns' && size >= 100 ? value.toFixed(0) : Number(value.toPrecision(digits))}\u00a0${unit}`;
}
export const signed_time = ns => (ns >= 0.05 ? '+' : '') + time(ns);
function scaled(number, units, step) {
  if (number === null || number === undefined) return '–';
  let i = 0;
  while (Math.abs(number) >= step && i + 1 < units.length) { number /= step; i++; }
  return `${i === 0 ? Math.round(number) : Number(number.toPrecision(3))}\u00a0${units[i]}`;
}
export const bits = number => scaled(number, ['b/s', 'kb/s', 'Mb/s', 'Gb/s', 'Tb/s'], 1000);
export const bytes = number => scaled(number, ['B', 'kB', 'MB', 'GB', 'TB', 'PB'], 1000);
// (Kept, for thousands of cells a second.)
const whole = new Intl.NumberFormat('en', {maximumFractionDigits: 0});
const clock_format = new Intl.DateTimeFormat('en-GB', {timeStyle: 'medium'});
const date_format = new Intl.DateTimeFormat('sv-SE', {dateStyle: 'short', timeStyle: 'medium'});
const day_format = new Intl.DateTimeFormat('en-GB', {day: 'numeric', month: 'short'});
export const rate = number => number === null || number === undefined ? '–'
  : number >= 100 ? `${whole.format(number)}/s` : `${Number(number.toPrecision(2))}/s`;
export const count = number => number === null || number === undefined ? '–' : whole.format(number);
export const counted = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;
export const clock_time = ms => clock_format.format(ms);
export const date_time = ms => date_format.format(ms);
export const day = ms => day_format.format(ms);
export const percent = share => share === 0 ? '0 %' : share < 0.001 ? '<0.1 %' : `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
export function duration(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ${Math.round(seconds % 3600 / 60)} min`;
  return `${Math.floor(seconds / 86400)} days`;
}

export const by_id = id => document.getElementById(id);
export function element(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
  node.append(...children.filter(child => child !== null && child !== undefined));
  return node;
}
export function svg(name, attributes, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
  node.append(...children);
  return node;
}
// Leaves the document alone if nothing changes: screen readers then stay silent.
export function set_text(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
// What screen readers shall say now: only what somebody has asked for, not what changes by itself.
export function say(text) {
  set_text(by_id('said'), text);
}
export const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Lower edge of latency bucket i, and what it says.
export const bucket_low = (edges, i) => i === 0 ? 0 : edges[i - 1];
export function bucket_text(edges, i) {
  if (i === 0) return `below ${time(edges[0])}`;
  return i >= edges.length ? `from ${time(edges[i - 1])}` : `${time(edges[i - 1])} to ${time(edges[i])}`;
}
// The short form of a histogram ([first bucket, counts ...]) as [[bucket, count], ...].
export const histogram_cells = short => (short || []).slice(1).map((number, i) => [short[0] + i, number]);
