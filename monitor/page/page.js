// SPDX-License-Identifier: BSD-2-Clause
// The dashboard: asks the node once a second and shows the answer. Nothing comes from anywhere else.
import * as charts from './charts.js';
import * as heatmap from './heatmap.js';
import * as tables from './tables.js';
import {bits, by_id, clock_time, count, counted, duration, element, rate, set_text, signed_time, time} from './format.js';

const period_ms = 1000, hidden_period_ms = 10000, patience_ms = 5000, slow_period_ms = 10000, series_period_ms = 60000;
let paused = false, timer = null, failed_since = null, last_sequence = 0, asked_slowly = 0, details_key = null, asking = false, again = false,
  series_asked = 0;

// ---- asking ----
async function ask(path) {
  const response = await fetch(path, {signal: AbortSignal.timeout(patience_ms), cache: 'no-store'});
  if (response.status === 401) location.assign('/login');
  if (response.status === 404) return null;
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

function list_path() {
  const query = new URLSearchParams({sort: tables.sorted_by(), offset: tables.first_row(), limit: by_id('limit').value});
  if (by_id('filter').value.trim()) query.set('filter', by_id('filter').value.trim());
  return `/api/v1/live?${query}`;
}

// ---- showing ----
function pill(id, kind, text) {
  by_id(id).className = `pill ${kind}`;
  set_text(by_id(id), text);
}

function show_services(summary) {
  const {netd, clock} = summary;
  pill('service-netd', netd.reachable ? 'good' : 'bad', netd.reachable ? 'path: running' : 'path: not running');
  const good = {synchronised: 'good', holdover: 'warn'}[clock.status] || 'bad';
  pill('service-clockd', clock.reachable ? good : 'bad', clock.reachable ? `clock: ${clock.status}` : 'clock: not running');
  const away = [];
  if (!netd.reachable) away.push(`lockstep-netd does not answer (${netd.problem}): connections and traffic are not known.`);
  else if (netd.problem) away.push(`lockstep-netd gives no table of connections: ${netd.problem}.`);
  if (!clock.reachable) away.push('lockstep-clockd does not answer: the clock is not known.');
  else if (clock.status === 'disrupted') away.push(`The clock has been disrupted: ${clock.last_disruption || 'no reason given'}.`);
  set_text(by_id('banner'), away.join(' '));
}

const known = value => value !== null && value !== undefined;
function offset_figures({clock, now}) {
  if (!clock.reachable) return ['–', 'no clock daemon'];
  if (!clock.source) return ['–', 'no source selected'];
  return [known(clock.offset_ns) ? signed_time(clock.offset_ns) : '–',
    known(now.measured_ns) ? `exchange ${signed_time(now.measured_ns)}` : `to ${clock.source}`];
}
function bound_figures({clock}) {
  if (!(clock.bound_ns > 0)) return ['–', ''];
  return [`± ${time(clock.bound_ns)}`, clock.bound_utc_ns ? `to UTC ± ${time(clock.bound_utc_ns)}` : `stratum ${clock.stratum}`];
}
// [title, function of the summary: [figure, note, whether it is bad]]
const tiles = [
  ['Clock offset', offset_figures],
  ['Clock error bound', bound_figures],
  ['Latency, median', s => [time(s.now.p50_ns), known(s.now.p99_ns) ? `99 % within ${time(s.now.p99_ns)}` : 'no packets']],
  ['Connections', s => [count(s.now.connections), s.netd.reachable ? counted(s.netd.lanes, 'process', 'processes') : '']],
  ['Received', s => [bits(s.now.rx_bits_per_s), '']],
  ['Sent', s => [bits(s.now.tx_bits_per_s), '']],
  ['Dropped', s => [rate(s.now.drops_per_s), `sent again ${rate(s.now.retransmissions_per_s)}`, s.now.drops_per_s > 0]],
  ['Path', s => [s.netd.interfaces?.length ? s.netd.interfaces.map(i => `${i.name} ${i.mode}`).join(', ') : '–', s.netd.reachable ? `up ${duration(s.netd.uptime_s)}` : '']],
];

function show_tiles(summary) {
  const place = by_id('tiles');
  if (!place.children.length) {
    place.append(...tiles.map(([title]) => element('div', {}, element('dt', {}, title), element('dd', {}, element('span')), element('dd', {class: 'note'}))));
  }
  tiles.forEach(([, figures], i) => {
    const [value, note, bad] = figures(summary);
    place.children[i].classList.toggle('hot', Boolean(bad));
    set_text(place.children[i].children[1].firstChild, value);
    set_text(place.children[i].children[2], note);
  });
}

function show(live) {
  const {summary, connections, ...list} = {...live, connections: live.connections};
  show_services(summary);
  show_tiles(summary);
  set_text(by_id('node'), summary.node);
  set_text(by_id('version'), `Lockstep ${summary.version}`);
  document.title = `Lockstep ${summary.node}`;
  const whole = {...list, connections};
  tables.update(whole, summary.netd.reachable);
  heatmap.update(whole);
  if (live.sequence !== last_sequence) charts.add_point(summary.now);
  last_sequence = live.sequence;
  set_text(by_id('updated'), clock_time(summary.time_ms));
  document.documentElement.dataset.updates = String(Number(document.documentElement.dataset.updates || 0) + 1);
}

function source_text(source) {
  const offset = known(source.offset_ns) ? `, ${signed_time(source.offset_ns)}` : '', bound = source.bound_ns ? ` ± ${time(source.bound_ns)}` : '';
  return `${source.name} (${source.state}${offset}${bound})`;
}
function show_sources(clock) {
  const sources = clock.sources?.sources || [];
  set_text(by_id('clock-sources'), sources.length ? `Sources: ${sources.map(source_text).join(', ')}.` : 'The clock has no sources to show.');
}

function show_failure(error) {
  failed_since ||= Date.now();
  document.documentElement.classList.add('stale');
  set_text(by_id('banner'), `lockstep-web has not answered since ${clock_time(failed_since)} (${error.name === 'TimeoutError' ? 'too slow' : 'not reachable'}). ` +
    'What is shown is old. Trying again.');
  pill('service-netd', 'unknown', 'path: unknown');
  pill('service-clockd', 'unknown', 'clock: unknown');
}

// ---- the round ----
async function catch_up() {
  const newest = charts.newest_ms();
  const old = charts.asked_span_s() > 3600 && Date.now() - series_asked > series_period_ms;
  if (newest !== undefined && Date.now() - newest <= 5 * period_ms && series_asked && !old) return;
  charts.set_series(await ask(`/api/v1/series?span=${charts.asked_span_s()}`) || {});
  series_asked = Date.now();
}

async function ask_slowly() {
  if (Date.now() - asked_slowly < slow_period_ms) return;
  asked_slowly = Date.now();
  tables.update_runs(await ask('/api/v1/runs') || {});
}

async function round() {
  const began = performance.now();
  await catch_up();
  const [live, clock, events] = await Promise.all([ask(list_path()), ask('/api/v1/clock'), ask('/api/v1/events')]);
  if (failed_since) asked_slowly = series_asked = 0;
  failed_since = null;
  document.documentElement.classList.remove('stale');
  show(live);
  show_sources(clock || {});
  tables.update_events(events || {});
  document.documentElement.dataset.refreshMs = (performance.now() - began).toFixed(1);
  if (details_key !== null) tables.show_details(await ask(`/api/v1/connections/${details_key}`));
  await ask_slowly();
}

async function refresh() {
  if (asking) { again = true; return; }
  asking = true;
  clearTimeout(timer);
  try {
    await round();
  } catch (error) {
    show_failure(error);
  }
  asking = false;
  if (again) { again = false; refresh(); } else plan();
}
function plan() {
  clearTimeout(timer);
  if (!paused) timer = setTimeout(refresh, document.hidden ? hidden_period_ms : period_ms);
}

// ---- what the reader does ----
function open_details(key) {
  details_key = key;
  by_id('details-title').textContent = '';
  by_id('details-histogram').replaceChildren();
  by_id('details-facts').replaceChildren();
  by_id('details-gone').hidden = true;
  by_id('details').showModal();
  ask(`/api/v1/connections/${key}`).then(tables.show_details, show_failure);
}

function set_paused(value) {
  paused = value;
  by_id('pause').setAttribute('aria-pressed', String(paused));
  set_text(by_id('pause'), paused ? 'Go on' : 'Pause');
  if (!paused) refresh(); else clearTimeout(timer);
}

const theme_now = () => document.documentElement.dataset.theme || (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
function redraw() {
  set_text(by_id('theme'), theme_now() === 'dark' ? 'Light' : 'Dark');
  charts.build();
  heatmap.draw();
}
function switch_theme() {
  const theme = theme_now() === 'dark' ? 'light' : 'dark';
  document.documentElement.dataset.theme = theme;
  try { localStorage.setItem('lockstep-theme', theme); } catch { /* for this visit only, then */ }
  redraw();
}

function on_key(event) {
  const typing = event.target.matches('input, select, textarea');
  if (event.key === 'Escape' && event.target === by_id('filter')) event.target.blur();
  if (typing || event.ctrlKey || event.altKey || event.metaKey || document.querySelector('dialog[open]')) return;
  const action = {'/': () => by_id('filter').focus(), p: () => set_paused(!paused), t: switch_theme, '?': () => by_id('keys').showModal()}[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

function start() {
  let typing = null;
  tables.start(refresh, open_details);
  heatmap.start(open_details);
  by_id('pause').addEventListener('click', () => set_paused(!paused));
  by_id('theme').addEventListener('click', switch_theme);
  by_id('help').addEventListener('click', () => by_id('keys').showModal());
  charts.start();
  by_id('limit').addEventListener('change', () => { tables.set_first_row(0); refresh(); });
  by_id('span').addEventListener('change', event => {
    if (!charts.set_span(Number(event.target.value))) return;
    series_asked = 0;
    refresh();
  });
  by_id('filter').addEventListener('input', () => { tables.set_first_row(0); clearTimeout(typing); typing = setTimeout(refresh, 200); });
  set_text(by_id('zone'), `Times are of ${Intl.DateTimeFormat().resolvedOptions().timeZone}.`);
  by_id('details').addEventListener('close', () => { details_key = null; });
  for (const button of document.querySelectorAll('dialog .close')) button.addEventListener('click', () => button.closest('dialog').close());
  document.addEventListener('keydown', on_key);
  document.addEventListener('visibilitychange', () => { if (!document.hidden && !paused) refresh(); });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
  by_id('logout').hidden = location.protocol !== 'https:';
  new ResizeObserver(() => { charts.resize(); heatmap.draw(); }).observe(by_id('main'));
  redraw();
  refresh();
}
start();
