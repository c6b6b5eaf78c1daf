// SPDX-License-Identifier: BSD-2-Clause
// Usage: WEB_COMMAND=... WEB_URL=... [REMOTE_URL=... TOKEN=...] [NETD_PID=... NETD_COMMAND=...] node dashboard.mjs [DIRECTORY]
// Opens the dashboard in headless Chromium and checks that it works: drawn, live, without an error on the console or a request to
// elsewhere, with the keyboard, dark and light, and over the end and the return of lockstep-web and lockstep-netd, which it starts
// and stops itself. At least two connections must be open that have latencies. One line for each check; screenshots go to DIRECTORY.
import {spawn} from 'node:child_process';
import path from 'node:path';
import {chromium} from '../../.cache/playwright-core/index.mjs';

const {WEB_COMMAND: command, WEB_URL: url, REMOTE_URL: remote_url, TOKEN: token, NETD_PID: netd_pid, NETD_COMMAND: netd_command} = process.env;
const directory = process.argv[2];
const patience = {timeout: 20000};
let failed = 0;
function check(name, good, detail = 'it does not') {
  console.log(`${good ? 'ok' : 'FAIL'} ${name}${good ? '' : `: ${detail}`}`);
  if (!good) failed++;
}
async function happens(name, promise) {
  try {
    await promise;
    check(name, true);
  } catch (error) {
    check(name, false, String(error).split('\n')[0]);
  }
}

const children = [];
function start(line) {
  const [program, ...words] = line.split(' ');
  const child = spawn(program, words, {stdio: ['ignore', 'ignore', 'inherit']});
  children.push(child);
  return child;
}
const stop = child => new Promise(resolve => { child.once('exit', resolve); child.kill(); });

let web = start(command);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
const context = await browser.newContext({viewport: {width: 1280, height: 800}, colorScheme: 'light'});
const page = await context.newPage();
const errors = [], foreign = [];
let expect_failures = false;
page.on('console', message => {
  if (!['error', 'warning'].includes(message.type())) return;
  if (/getImageData/.test(message.text())) return; // this script's own looking
  if (expect_failures && /Failed to load resource|net::ERR/.test(message.text())) return; // while the service is away
  errors.push(message.text());
});
page.on('pageerror', error => errors.push(String(error)));
page.on('request', request => { if (!request.url().startsWith(url)) foreign.push(request.url()); });

const text = selector => page.textContent(selector);
const updates = () => page.evaluate(() => Number(document.documentElement.dataset.updates || 0));
const has_text = (selector, pattern) => page.waitForFunction(([where, source]) =>
  new RegExp(source).test(document.querySelector(where)?.textContent), [selector, pattern.source], patience);
const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent.trim());
const shot = async (name, options = {}) => {
  if (!directory) return;
  if (options.fullPage) await page.evaluate(() => scrollTo({top: 0, behavior: 'instant'}));
  await page.screenshot({path: path.join(directory, `dashboard-${name}.png`), ...options});
};
// Canvases in the element that have more than three colours.
const drawn = place => page.evaluate(id => [...document.querySelectorAll(`#${id} canvas`)].filter(canvas => {
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const colours = new Set();
  for (let i = 0; i < data.length; i += 4) colours.add(data.slice(i, i + 4).join());
  return colours.size > 3;
}).length, place);

// ---- drawn and live ----
for (let tries = 0; ; tries++) {
  try {
    await page.goto(url);
    break;
  } catch (error) {
    if (tries > 100) throw error;
    await new Promise(resolve => setTimeout(resolve, 100));
  }
}
await happens('connections are listed', page.waitForFunction(() => document.querySelectorAll('#list tbody tr').length >= 2, null, patience));
await happens('latencies are known', page.waitForFunction(() =>
  [...document.querySelectorAll('#list tbody tr')].filter(row => /[nµm]s/.test(row.cells[5].textContent)).length >= 2, null, patience));
await happens('the page is live', page.waitForFunction(() => Number(document.documentElement.dataset.updates) >= 5, null, patience));
check('the clock is shown', /synchronised/.test(await text('#service-clockd')), await text('#service-clockd'));
check('no service is said to be missing', await text('#banner') === '', await text('#banner'));
for (const place of ['chart-clock', 'chart-throughput', 'chart-quantiles', 'heat'])
  check(`${place} is drawn`, await drawn(place) === 1, 'no canvas, or an empty one');
check('the figures have words', /Since .*bound of/.test(await text('#text-clock')) && /received/.test(await text('#text-throughput')), await text('#text-clock'));
check('latency has words', /median, .* for 99 %/.test(await text('#text-quantiles')), await text('#text-quantiles'));
check('the history is read', await text('#text-history') === '', await text('#text-history'));
await happens('a test-bed run of the history is listed', page.waitForFunction(() =>
  document.querySelectorAll('#runs-list tbody .PASS, #runs-list tbody .FAIL').length >= 1, null, patience));
check('throughput is not zero', /[kMG]b\/s/.test(await text('#text-throughput')), await text('#text-throughput'));
await happens('a program that is accelerated is an event', has_text('#events-list', /is accelerated/));
await shot('light-whole', {fullPage: true});
await shot('light');

// ---- sorting, filtering, details ----
await page.click('#list thead th[data-sort=p99] button');
await happens('sorting by a click', page.waitForFunction(() =>
  document.querySelector('#list th[data-sort=p99]').getAttribute('aria-sort') === 'descending', null, patience));
await page.fill('#filter', 'no-such-program');
await happens('an empty filter result is said', has_text('#list-empty', /No connection matches/));
await page.fill('#filter', 'python');
await happens('the filter finds', page.waitForFunction(() => document.querySelectorAll('#list tbody tr').length >= 2, null, patience));
check('and is said aloud', /connections/.test(await text('#said')), await text('#said'));
await page.fill('#filter', '');
await page.evaluate(() => document.querySelector('#limit').add(new Option('3')));
await page.selectOption('#limit', '3');
await happens('a page of connections', has_text('#count', /^1 to 3 of \d+ connections$/));
await page.click('#page-on');
await happens('the next page', has_text('#count', /^4 to \d+ of \d+ connections$/));
await page.click('#page-back');
await happens('and back', has_text('#count', /^1 to 3 of/));
await page.selectOption('#limit', '100');
await page.click('#list tbody tr:first-child th button');
await happens('details with a histogram', page.waitForSelector('#details[open] svg.bars rect', patience));
await shot('details');
await page.keyboard.press('Escape');
check('Escape closes the details', !await page.isVisible('#details'));

// ---- keyboard ----
await page.evaluate(() => document.activeElement.blur());
const walk = [];
for (let i = 0; i < 45; i++) {
  await page.keyboard.press('Tab');
  const visible = await page.evaluate(() => {
    const style = getComputedStyle(document.activeElement);
    return document.activeElement === document.body || (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0);
  });
  walk.push(await focused());
  if (!visible) check(`the focus on ${walk.at(-1)} is seen`, false, 'no outline');
}
const in_order = ['Skip to the content', 'Clock', 'pause', 'theme', 'span', 'As a table', 'heat-table-switch', 'heat', 'filter', 'limit', 'Program'];
const places = in_order.map(name => walk.indexOf(name));
check('Tab goes through the page in order', places.every((place, i) => place >= 0 && (i === 0 || place > places[i - 1])), walk.join(', '));
await page.evaluate(() => document.activeElement.blur());
await page.keyboard.press('/');
check('/ goes to the filter', await focused() === 'filter', await focused());
await page.keyboard.press('Escape');
await page.keyboard.press('?');
check('? shows the keys', await page.isVisible('#keys'));
await page.keyboard.press('Escape');
await page.focus('#heat');
await page.keyboard.press('ArrowDown');
check('a cell of the heat map is read', /packets, .*Median/.test(await text('#heat-text')), await text('#heat-text'));
await page.click('#heat-table-switch');
check('the heat map as a table', await page.locator('#heat-table tbody tr').count() >= 2);
await page.click('#heat-table-switch');
for (const name of ['clock', 'throughput', 'drops', 'quantiles']) {
  await page.click(`#table-${name} summary`);
  await happens(`${name} as a table`, page.waitForFunction(id => document.querySelectorAll(`#table-${id} tbody td:not(:empty)`).length >= 2, name, patience));
  await page.click(`#table-${name} summary`);
}
await page.evaluate(() => document.activeElement.blur());
await page.keyboard.press('p');
const before = await updates();
await page.waitForTimeout(2500);
check('a pause', await updates() <= before + 1 && await page.getAttribute('#pause', 'aria-pressed') === 'true');
await page.keyboard.press('p');
await happens('and on', page.waitForFunction(n => Number(document.documentElement.dataset.updates) > n + 1, before, patience));

// ---- dark, narrow ----
const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
const light = await paper();
await page.keyboard.press('t');
const dark = await paper();
check('dark by the switch', light !== dark, dark);
for (const place of ['chart-clock', 'heat']) check(`${place} is drawn in the dark`, await drawn(place) === 1, 'an empty one');
await shot('dark-whole', {fullPage: true});
await page.evaluate(() => scrollTo({top: 0, behavior: 'instant'}));
await shot('dark');
await page.reload();
await happens('live again after loading it again', page.waitForFunction(() => Number(document.documentElement.dataset.updates) >= 2, null, patience));
check('the choice stays', await paper() === dark, await paper());
await page.evaluate(() => localStorage.clear());
await page.emulateMedia({colorScheme: 'dark'});
await page.reload();
check('dark as the system says', await paper() === dark, await paper());
await page.emulateMedia({colorScheme: 'light'});
check('light as the system says', await paper() === light, await paper());
await page.setViewportSize({width: 400, height: 800});
await page.waitForTimeout(300);
check('a narrow screen does not scroll sideways', await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
  `${await page.evaluate(() => document.documentElement.scrollWidth)} px`);
await page.evaluate(() => scrollTo({top: 0, behavior: 'instant'}));
await shot('narrow');
await shot('narrow-whole', {fullPage: true});
await page.setViewportSize({width: 1280, height: 800});

// ---- landmarks and names ----
// As the browser tells them to a screen reader.
const tree = (await page.locator('body').ariaSnapshot()).replaceAll("'", '');
for (const line of ['banner:', 'navigation "Sections":', 'main:', 'contentinfo:', 'heading "Lockstep', 'heading "Clock" [level=2]', 'heading "Test-bed runs" [level=2]',
  'img "Clock offset to its source with the error bound, over time"', 'img "Throughput over time"', 'img "Drops and retransmissions over time"',
  'img "Latency of all packets over time, on a logarithmic scale"', 'application "Latency heat map: arrow keys move between cells"',
  'combobox "Show all charts for"', 'searchbox "Filter"', 'table "Accelerated connections. The buttons in the head sort."', 'columnheader "99 %"',
  'rowheader "python3', 'table "Test-bed runs, newest first"', 'table "Events of the path, newest first"'])
  check(`the accessibility tree has ${line}`, tree.includes(`- ${line}`), tree);
const nameless = tree.split('\n').filter(line => /^\s*- (button|link|img|combobox|searchbox|textbox|table|region|dialog|application|columnheader)( \[.*\])?:?$/.test(line));
check('nothing in it lacks a name', nameless.length === 0, nameless.join('; '));
const unnamed = await page.evaluate(() => [...document.querySelectorAll('button, select, input, [role=region], [role=img], dialog, section')].filter(node =>
  !(node.textContent.trim() || node.getAttribute('aria-label') || node.labels?.length ||
    document.getElementById(node.getAttribute('aria-labelledby') || '-'))).map(node => node.outerHTML.slice(0, 80)));
check('everything has a name for screen readers', unnamed.length === 0, unnamed.join('; '));
check('landmarks', await page.evaluate(() => ['header', 'nav', 'main', 'footer'].every(name => document.querySelectorAll(name).length === 1)));
check('headings of tables have a scope', await page.evaluate(() => [...document.querySelectorAll('th')].filter(cell => !cell.closest('.u-legend')).every(cell => cell.scope)));

// ---- signing in ----
if (remote_url) {
  const other = await (await browser.newContext({ignoreHTTPSErrors: true, viewport: {width: 1280, height: 800}})).newPage();
  other.on('console', message => { if (message.type() === 'error') errors.push(message.text()); });
  await other.goto(remote_url);
  check('a token is asked for', /\/login$/.test(other.url()) && await other.evaluate(() => document.activeElement.id) === 'token', other.url());
  if (directory) await other.screenshot({path: path.join(directory, 'dashboard-login.png')});
  await other.fill('#token', 'x'.repeat(48));
  await other.keyboard.press('Enter');
  await other.waitForURL(/wrong/);
  check('a wrong one is said to be wrong', await other.isVisible('#wrong'));
  await other.fill('#token', token);
  await other.keyboard.press('Enter');
  await happens('the right one opens the page', other.waitForFunction(() => Number(document.documentElement.dataset.updates) >= 2, null, patience));
  check('the token is not in the page, its address or its storage', await other.evaluate(secret =>
    ![document.documentElement.outerHTML, location.href, document.cookie, JSON.stringify({...localStorage})].some(text => text.includes(secret)), token));
  await other.click('#logout button');
  await happens('signing out', other.waitForURL(/\/login$/));
  await other.goto(remote_url);
  check('and the page is closed', /\/login$/.test(other.url()), other.url());
  await other.context().close();
}

// ---- lockstep-web goes and comes ----
expect_failures = true;
const ended_ms = Date.now();
await stop(web);
await page.evaluate(() => document.querySelector('#connections').scrollIntoView({behavior: 'instant'}));
await happens('its end is said', has_text('#banner', /has not answered since/));
check('where it is seen', await page.evaluate(() => { const box = document.querySelector('#banner').getBoundingClientRect(); return box.top >= 0 && box.bottom < innerHeight; }));
await shot('away');
await page.evaluate(() => scrollTo({top: 0, behavior: 'instant'}));
const at_end = await updates();
web = start(command);
await happens('live after its return', page.waitForFunction(n => Number(document.documentElement.dataset.updates) > n + 1, at_end, patience));
await happens('and nothing is said to be missing', page.waitForFunction(() => document.querySelector('#banner').textContent === '', null, patience));
await page.reload();
await happens('its charts begin before that', page.waitForFunction(ms => {
  const oldest = document.documentElement.dataset.oldestMs;
  return oldest && Number(oldest) < ms;
}, ended_ms, patience));
await page.selectOption('#span', '604800');
await happens('a week of history', page.waitForFunction(() => /^Since \d{4}-/.test(document.querySelector('#text-clock').textContent), null, patience));
expect_failures = false;

// ---- netd goes and comes ----
if (netd_command) {
  process.kill(Number(netd_pid));
  await happens("netd's end is said", has_text('#banner', /lockstep-netd does not answer/));
  check('the clock is still shown', /synchronised/.test(await text('#service-clockd')), await text('#service-clockd'));
  const netd = start(netd_command);
  await happens("netd's return is seen", has_text('#service-netd', /running/));
  await happens('its connections are back', page.waitForFunction(() => document.querySelectorAll('#list tbody tr').length >= 2, null, patience));
  await stop(netd);
}

check('nothing was asked of anybody else', foreign.length === 0, foreign.join(' '));
check('no error on the console', errors.length === 0, errors.join('; '));
await browser.close();
for (const child of children) child.kill();
console.log(`${failed} failed`);
process.exit(failed ? 1 : 0);
