/* `make test` runs this natively, without a worker and without WebAssembly. */
#include "../src/numbers.h"

#include <assert.h>
#include <stdio.h>

static void numbers_are_summarized(void) {
    const double numbers[] = {3, 1, 2};
    struct summary summary;
    assert(summarize(numbers, 3, &summary));
    assert(summary.mean == 2 && summary.largest == 3);
    assert(!summarize(numbers, 0, &summary));
}

static void amounts_are_read_line_by_line(void) {
    const char *line = "12.50\n7.25\ntwelve\n";
    double amount;
    assert(count_lines(line) == 3);
    assert(next_amount(&line, &amount) && amount == 12.5);
    assert(next_amount(&line, &amount) && amount == 7.25);
    assert(!next_amount(&line, &amount));
}

int main(void) {
    numbers_are_summarized();
    amounts_are_read_line_by_line();
    puts("ok");
    return 0;
}
