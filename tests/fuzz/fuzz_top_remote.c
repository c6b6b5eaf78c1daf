/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as another node's answers, as far as the screen. */
#include <string.h>

#include "monitor/json_report.h"
#include "tests/fuzz/fuzz.h"
#include "tools/top_batch.h"
#include "tools/top_draw.h"
#include "tools/top_remote.h"

static void show(struct top_model *model, struct json_object *report)
{
    static const struct top_node unnamed;
    struct top_node node = unnamed;
    struct top_data data = {.model = model, .nodes = &node, .node_count = 1, .dump = report};
    struct canvas canvas = {0};
    struct top_ui ui;
    static FILE *out;

    if (!out)
        out = fopen("/dev/null", "w");
    top_node_fill(&node, report, report);
    top_ui_init(&ui, 1000000000);
    for (int view = 0; view < TOP_VIEWS; view++) {
        top_ui_key(&ui, &data, '1' + view);
        fuzz_require(canvas_resize(&canvas, 120, 24) == 0);
        top_ui_resize(&ui, top_draw_list_rows(24));
        top_draw(&ui, &data, &canvas);
        for (int i = 0; i < 120 * 24; i++)
            fuzz_require(canvas.text[i] >= ' ' && canvas.text[i] <= '~');
        for (int form = 0; form <= TOP_FORM_JSON; form++)
            top_batch_print(&ui, &data, (enum top_form)form, 0, true, out);
        top_ui_key(&ui, &data, 'd');
        top_draw(&ui, &data, &canvas);
    }
    canvas_free(&canvas);
    top_ui_free(&ui);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_object *report = report_parse((const char *)data, size);
    struct top_model *model = report ? top_model_create() : NULL;
    struct connection_table table;

    for (uint64_t i = 1; model && i < 3; i++) {
        fuzz_require(top_remote_table(report, i > 1 ? report : NULL, &table) == 0);
        table.header.monotonic_ns += i * 1000000;
        fuzz_require(top_model_update(model, &table) == 0);
        show(model, report);
    }
    top_model_destroy(model);
    json_object_put(report);
    return 0;
}
