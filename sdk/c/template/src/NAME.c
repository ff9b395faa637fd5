/* The tasks of NAME: each function that the interface `tasks` in wit/NAME.wit describes.
 * `umbel build` writes their declarations to build/bindings/plugin.h. */
#include <stdlib.h>

#include "numbers.h"
#include "plugin.h"
#include "umbel.h"

/* Counts numbers, and finds their mean and the largest of them. */
bool exports_example_NAME_tasks_summarize(plugin_list_f64_t *numbers, exports_example_NAME_tasks_summary_t *ret,
                                          plugin_string_t *err) {
    struct summary summary;
    if (!summarize(numbers->ptr, numbers->len, &summary)) {
        *err = umbel_text("there are no numbers");
        return false;
    }
    ret->count = (uint32_t)numbers->len;
    ret->mean = summary.mean;
    ret->largest = summary.largest;
    return true;
}

/* Adds up amounts, told apart by lines. An empty text has not arrived yet: the task is run again two
 * seconds later, three times at most. */
bool exports_example_NAME_tasks_add_up(plugin_string_t *lines, double *ret, umbel_task_types_error_t *err) {
    if (lines->len == 0) {
        const plugin_string_t *id = &umbel_request()->id;
        return umbel_retry(err, 2000, 3, "nothing arrived for %.*s", (int)id->len, (const char *)id->ptr);
    }
    char *text = umbel_cstring(lines);
    size_t total = count_lines(text), done = 0;
    *ret = 0;
    for (const char *line = text; done < total; done++) {
        double amount;
        if (!next_amount(&line, &amount)) {
            free(text);
            return umbel_fail(err, "ValueError", "line %zu is no amount", done + 1);
        }
        *ret += amount;
        umbel_progress(done + 1, total);
    }
    free(text);
    return true;
}
