/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/web_assets.h"

#include <string.h>

#include "web_parts.h" /* made from monitor/page/ */

#define HTML   "text/html; charset=utf-8"
#define SCRIPT "text/javascript; charset=utf-8"
#define STYLE  "text/css; charset=utf-8"

const struct web_asset web_page = {"/", HTML, web_page_html, sizeof web_page_html};
const struct web_asset web_login_page = {"/login", HTML, web_login_html, sizeof web_login_html};

static const struct web_asset assets[] = {
    {"/page.css", STYLE, web_page_css, sizeof web_page_css},
    {"/page.js", SCRIPT, web_page_js, sizeof web_page_js},
    {"/format.js", SCRIPT, web_format_js, sizeof web_format_js},
    {"/charts.js", SCRIPT, web_charts_js, sizeof web_charts_js},
    {"/heatmap.js", SCRIPT, web_heatmap_js, sizeof web_heatmap_js},
    {"/tables.js", SCRIPT, web_tables_js, sizeof web_tables_js},
    {"/theme.js", SCRIPT, web_theme_js, sizeof web_theme_js},
    {"/uplot.css", STYLE, web_uplot_css, sizeof web_uplot_css},
    {"/uplot.js", SCRIPT, web_uplot_js, sizeof web_uplot_js},
    {"/favicon.svg", "image/svg+xml", web_favicon_svg, sizeof web_favicon_svg},
};

const struct web_asset *web_asset(const char *path)
{
    for (size_t i = 0; i < sizeof assets / sizeof *assets; i++) {
        if (strcmp(path, assets[i].path) == 0)
            return &assets[i];
    }
    return NULL;
}
