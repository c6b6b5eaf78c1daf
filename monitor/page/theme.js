// SPDX-License-Identifier: BSD-2-Clause
// Before the first paint: the theme that was chosen last, and on the sign-in page whether the token was wrong.
'use strict';
(() => {
let chosen = null;
try { chosen = localStorage.getItem('lockstep-theme'); } catch { /* storage may be switched off */ }
if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
if (location.search === '?wrong') document.documentElement.dataset.wrong = 'yes';
})();
