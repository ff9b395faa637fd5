/* What the tasks do with numbers; knows nothing of WebAssembly, so that tests can be run natively. */
#ifndef NUMBERS_H
#define NUMBERS_H

#include <stdbool.h>
#include <stddef.h>

struct summary {
    double mean, largest;
};

/* False: there are no numbers. */
bool summarize(const double *numbers, size_t count, struct summary *summary);

/* How many lines a text has; the last one need not be ended. */
size_t count_lines(const char *text);

/* Reads the amount of a line, and goes on to the next. False: it is no amount. */
bool next_amount(const char **line, double *amount);

#endif
