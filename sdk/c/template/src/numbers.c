#include "numbers.h"

#include <stdlib.h>

bool summarize(const double *numbers, size_t count, struct summary *summary) {
    if (count == 0) return false;
    double sum = 0, largest = numbers[0];
    for (size_t at = 0; at < count; at++) {
        sum += numbers[at];
        if (numbers[at] > largest) largest = numbers[at];
    }
    summary->mean = sum / (double)count;
    summary->largest = largest;
    return true;
}

size_t count_lines(const char *text) {
    size_t lines = 0;
    for (char before = '\n'; *text != '\0'; before = *text++)
        if (before == '\n') lines++;
    return lines;
}

bool next_amount(const char **line, double *amount) {
    char *end;
    *amount = strtod(*line, &end);
    bool good = end != *line && (*end == '\n' || *end == '\r' || *end == '\0');
    while (*end != '\n' && *end != '\0') end++;
    *line = *end == '\n' ? end + 1 : end;
    return good;
}
