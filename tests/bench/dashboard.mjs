// SPDX-License-Identifier: BSD-2-Clause
// Usage: node dashboard.mjs URL REFRESHES ROWS...: opens the dashboard in headless Chromium with so many rows in its table and prints
// what refreshes take: from the page's asking to the document being up to date (with the server's answers in it), and the layout that
// follows. See tests/bench/dashboard.
import {chromium} from '../../.cache/playwright-core/index.mjs';

const [url, refreshes, ...rows] = process.argv.slice(2);
const browser = await chromium.launch({executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update']});
const page = await (await browser.newContext({viewport: {width: 1280, height: 800}})).newPage();
await page.goto(url);

const quantile = (values, share) => values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))];
const text = values => `median ${quantile(values, 0.5).toFixed(0)} ms, worst ${Math.max(...values).toFixed(0)} ms`;
for (const number of rows) {
  await page.evaluate(wanted => {
    const limit = document.querySelector('#limit');
    if (![...limit.options].some(option => option.value === wanted)) limit.add(new Option(wanted));
  }, number);
  await page.selectOption('#limit', number);
  await page.waitForFunction(wanted => document.querySelectorAll('#list tbody tr').length >= Number(wanted), number, {timeout: 60000});
  const refresh = [], layout = [];
  let changed = 0;
  for (let i = 0; i < Number(refreshes); i++) {
    const seen = await page.evaluate(() => new Promise(resolve => {
      const root = document.documentElement, before = document.querySelector('#list tbody').textContent;
      new MutationObserver((_, observer) => {
        observer.disconnect();
        const began = performance.now();
        document.body.getBoundingClientRect(); // what a frame would have to lay out
        resolve({refresh: Number(root.dataset.refreshMs), layout: performance.now() - began,
          changed: document.querySelector('#list tbody').textContent !== before});
      }).observe(root, {attributeFilter: ['data-refresh-ms']});
    }));
    refresh.push(seen.refresh);
    layout.push(seen.layout);
    changed += seen.changed;
  }
  const whole = refresh.map((value, i) => value + layout[i]);
  console.log(`${await page.textContent('#count')}; ${await page.locator('#list tbody tr').count()} rows, changed in ${changed} of ${refreshes} refreshes: ` +
    `refresh ${text(refresh)}; layout ${text(layout)}; together ${text(whole)}`);
}
await browser.close();
