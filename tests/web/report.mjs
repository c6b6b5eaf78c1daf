// SPDX-License-Identifier: BSD-2-Clause
// Usage: node report.mjs PAGE.html [SCREENSHOT.png]
// Opens a test bed's report in headless Chromium without a network and checks that it works: no error on the console, nothing
// fetched, all figures drawn, as many rows as types, also on a narrow and on a dark screen. One line for each check.
import path from 'node:path';
import {pathToFileURL} from 'node:url';
import {chromium} from '../../.cache/playwright-core/index.mjs';

const [page_path, screenshot] = process.argv.slice(2);
if (!page_path) {
  console.error('Usage: node report.mjs PAGE.html [SCREENSHOT.png]');
  process.exit(2);
}
let failed = 0;
function check(name, good, detail) {
  console.log(`${good ? 'ok' : 'FAIL'} ${name}${good ? '' : `: ${detail}`}`);
  if (!good) failed++;
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
const context = await browser.newContext({viewport: {width: 1280, height: 900}, offline: true});
const page = await context.newPage();
const errors = [], requests = [];
page.on('console', message => { if (['error', 'warning'].includes(message.type())) errors.push(message.text()); });
page.on('pageerror', error => errors.push(String(error)));
page.on('request', request => { if (!request.url().startsWith('file:')) requests.push(request.url()); });

// Canvases that have more than one colour.
const drawn_canvases = place => page.evaluate(id => [...document.querySelectorAll(`#${id} canvas`)].filter(canvas => {
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const colours = new Set();
  for (let i = 0; i < data.length; i += 4) colours.add(data.slice(i, i + 4).join());
  return colours.size > 3;
}).length, place);

async function look(when) {
  for (const place of ['distribution', 'course', 'bounds'])
    check(`${when}: ${place} is drawn`, await drawn_canvases(place) >= 1, 'no canvas, or an empty one');
}

await page.goto(pathToFileURL(path.resolve(page_path)).href);
const report = JSON.parse(await page.textContent('#data'));
const main_runs = report.runs.filter(run => run.phase === report.runs[0].phase);
check('the script ran to its end', await page.evaluate(() => document.documentElement.dataset.drawn) === 'yes', errors.join('; '));
check('the verdict is on top', (await page.textContent('#verdict')).includes(report.verdict), await page.textContent('#verdict'));
check('a row for each type', await page.locator('#types tbody tr').count() === report.runs[0].types.length,
  `${await page.locator('#types tbody tr').count()} rows`);
const marks = await page.locator('#worst svg circle title, #worst svg path title').count();
const measured = main_runs.flatMap(run => run.types).filter(type => type.latency.count).length;
check('a mark for each measured type on each stack', marks === measured, `${marks} of ${measured}`);
check('a limit for each type', await page.locator('#worst svg line.limit title').count() === report.runs[0].types.length, 'too few');
await look('light');
if (screenshot) await page.screenshot({path: screenshot, fullPage: true});

const options = await page.locator('#choice option').count();
await page.selectOption('#choice', {index: options - 1});
await look('another type');
await page.emulateMedia({colorScheme: 'dark'});
await page.waitForTimeout(200);
await look('dark');
if (screenshot) await page.screenshot({path: screenshot.replace(/\.png$/, '-dark.png'), fullPage: false});
await page.setViewportSize({width: 400, height: 800});
await page.waitForTimeout(200);
check('a narrow screen does not scroll sideways', await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'it does');
check('every figure has a name for screen readers', await page.evaluate(() =>
  [...document.querySelectorAll('.figure svg, .figure .uplot')].every(figure => figure.getAttribute('aria-label'))), 'one has none');
check('nothing was fetched', requests.length === 0, requests.join(' '));
check('no error on the console', errors.length === 0, errors.join('; '));
await browser.close();
process.exit(failed ? 1 : 0);
